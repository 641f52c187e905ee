/**
 * What the faults of a server are called. The wire does not know whether an origin or a store is at its other end, and
 * whoever catches an error decides by its code alone; so the one who connects says which codes are that server's.
 */
import type { ErrorCode, ErrorSource } from "../base/orca-error.ts";

export interface RemoteFaults {
  readonly source: ErrorSource;
  /** Network, deadline, a malformed or a short answer: another attempt may do better. */
  readonly unavailable: ErrorCode;
  /** A right answer of a kind that is of no use here: another attempt brings the same. */
  readonly unsupported: ErrorCode;
  /** No credentials are to be had for it. */
  readonly denied: ErrorCode;
}
