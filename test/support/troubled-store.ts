/**
 * An S3 store that a test gets into trouble and out of it again: Ceph RGW where that is installed, and there the trouble is
 * real (the process killed or stopped, the user suspended, the quota used up); elsewhere the in-repo server, which
 * answers as RGW would. It takes the keys that replica-fixture.ts gives its replicas, once they are let in.
 */
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { rgwAvailable, startRgw } from "./rgw.ts";
import { S3Server } from "./s3-server.ts";

/** Gone; takes connections and says nothing; 403 to everything; 403 QuotaExceeded to a put. */
export type StoreTrouble = "stopped" | "hanging" | "denying" | "full";

const credentials = { accessKey: "test", secretKey: "test-secret" };

interface Trouble {
  strike(): unknown;
  heal(): unknown;
}

interface StoreBehind {
  readonly endpoint: string;
  readonly troubles: Readonly<Record<StoreTrouble, Trouble>>;
  letIn(): unknown;
  stop(): Promise<void>;
}

export class TroubledStore {
  /** For the names of tests. */
  static readonly kind = rgwAvailable()
    ? "Ceph RGW"
    : "the in-repo S3 server, for want of radosgw on the PATH";
  readonly endpoint: string;
  readonly #behind: StoreBehind;
  readonly #client: S3Client;
  #isLetIn = false;
  #trouble: Trouble | undefined;

  private constructor(behind: StoreBehind) {
    const { accessKey: accessKeyId, secretKey: secretAccessKey } = credentials;
    this.#behind = behind;
    this.endpoint = behind.endpoint;
    this.#client = new S3Client({
      endpoint: behind.endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    });
  }

  /** The replicas' keys are not known to it yet. */
  static async start(): Promise<TroubledStore> {
    return new TroubledStore(await (rgwAvailable() ? rgwBehind() : serverBehind()));
  }

  /** Makes the replicas' keys known, where they are not yet. */
  async letIn(): Promise<void> {
    if (this.#isLetIn) return;
    this.#isLetIn = true;
    await this.#behind.letIn();
  }

  async createBucket(name: string): Promise<void> {
    await this.#client.send(new CreateBucketCommand({ Bucket: name }));
  }

  /** Sizes of all objects in bytes, as the store itself lists them. */
  async sizes(bucket: string): Promise<readonly number[]> {
    const page = await this.#client.send(new ListObjectsV2Command({ Bucket: bucket }));
    if (page.IsTruncated) throw new Error(`Cannot list bucket "${bucket}": it has more than a page`);
    return page.Contents?.map(({ Size }) => Size ?? 0) ?? [];
  }

  async strike(trouble: StoreTrouble): Promise<void> {
    this.#trouble = this.#behind.troubles[trouble];
    await this.#trouble.strike();
  }

  /** Ends the trouble, where there is any. */
  async heal(): Promise<void> {
    const trouble = this.#trouble;
    this.#trouble = undefined;
    await trouble?.heal();
  }

  async stop(): Promise<void> {
    this.#client.destroy();
    await this.#behind.stop();
  }
}

async function rgwBehind(): Promise<StoreBehind> {
  const rgw = await startRgw();
  const { accessKey, secretKey } = credentials;
  const uid = "--uid=orca";
  const quota = ["--quota-scope=bucket", uid];
  return {
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
    stop: () => rgw.stop(),
  };
}

async function serverBehind(): Promise<StoreBehind> {
  const server = await S3Server.start({ credentials });
  const { faults } = server;
  faults.always("*", "*", { status: 403, code: "InvalidAccessKeyId" });
  const heal = (): void => faults.clear();
  return {
    endpoint: server.endpoint,
    troubles: {
      stopped: { strike: () => server.stop(), heal: () => server.listen() },
      hanging: { strike: () => faults.always("*", "*", { delayHeadMs: 60_000 }), heal },
      denying: { strike: () => faults.always("*", "*", { status: 403, code: "UserSuspended" }), heal },
      full: { strike: () => faults.always("PUT", "*", { status: 403, code: "QuotaExceeded" }), heal },
    },
    letIn: heal,
    stop: () => server.stop(),
  };
}
