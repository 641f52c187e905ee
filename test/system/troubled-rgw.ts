/** Ceph RGW in real trouble: the process killed or stopped, the user suspended, the quota used up. */
import type { Rgw } from "../support/rgw.ts";
import { replicaKeys, TroubledStore } from "../support/troubled-store.ts";

/** The gateway stays its owner's. */
export function troubledRgw(rgw: Rgw): TroubledStore {
  const { accessKey, secretKey } = replicaKeys;
  const uid = "--uid=orca";
  const quota = ["--quota-scope=bucket", uid];
  return new TroubledStore({
    endpoint: rgw.endpoint,
    troubles: {
      stopped: { strike: () => rgw.killGateway(), heal: () => rgw.startGateway() },
      hanging: { strike: () => rgw.signalGateway("SIGSTOP"), heal: () => rgw.signalGateway("SIGCONT") },
      denying: {
        strike: () => rgw.admin("user", "suspend", uid),
        heal: () => rgw.admin("user", "enable", uid),
      },
      full: {
        strike: async () => {
          await rgw.admin("quota", "set", "--max-objects=1", ...quota);
          await rgw.admin("quota", "enable", ...quota);
        },
        heal: () => rgw.admin("quota", "disable", ...quota),
      },
    },
    letIn: () => rgw.admin("key", "create", uid, `--access-key=${accessKey}`, `--secret-key=${secretKey}`),
    stop: async () => {},
  });
}
