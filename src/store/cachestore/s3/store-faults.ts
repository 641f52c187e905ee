/** What the wire's faults are called where the cachestore is at its other end. */
import type { RemoteFaults } from "../../../http-client/remote-faults.ts";

export const storeFaults: RemoteFaults = {
  source: "cachestore",
  unavailable: "store_unavailable",
  unsupported: "store_unavailable",
  denied: "store_denied",
};
