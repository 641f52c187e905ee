/** The error codes of HTTP client faults when the server is an origin. */
import type { RemoteFaults } from "../http-client/remote-faults.ts";

export const originFaults: RemoteFaults = {
  source: "origin",
  unavailable: "origin_unavailable",
  unsupported: "origin_unsupported",
  noCredentials: "origin_no_credentials",
};
