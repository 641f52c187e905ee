/**
 * The error codes for the faults of a server. The HTTP client does not know whether the server is an origin or a store, but
 * a catcher decides by the code of an error alone. So the owner of the client names the codes.
 */
import type { ErrorCode, ErrorSource } from "../base/orca-error.ts";

export interface RemoteFaults {
  readonly source: ErrorSource;
  /** Network, deadline, a malformed or a short answer: another attempt may succeed. */
  readonly unavailable: ErrorCode;
  /** A correct answer that Orca cannot use: another attempt has the same result. */
  readonly unsupported: ErrorCode;
  /** There are no credentials for the server. */
  readonly noCredentials: ErrorCode;
}
