/** What the wire's faults are called where an origin is at its other end. */
import type { RemoteFaults } from "../http-client/remote-faults.ts";

export const originFaults: RemoteFaults = {
  source: "origin",
  unavailable: "origin_unavailable",
  unsupported: "origin_unsupported",
  denied: "origin_denied",
};
