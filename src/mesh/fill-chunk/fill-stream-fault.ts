/**
 * A fault in a FillChunk stream, as its reader sees it: the peer broke off, or broke the protocol. It is not an error
 * that the peer sends, because the remedy differs: the bytes before the fault are right, and another replica can send
 * the rest.
 */
import { OrcaError } from "../../base/orca-error.ts";

/**
 * - `truncated`: the stream broke off, without an end.
 * - `wrong_length`: the header promises another number of bytes than the request asked for.
 * - `too_few`, `too_many`: the number of data bytes is not the one in the header.
 * - `oversize`: a message is larger than its limit.
 * - `compressed`: a message is compressed. It was not inflated, because its real size is unknown.
 * - `disorder`: the pieces are not in the order header, data, trailer.
 * - `malformed`: it is not protobuf, not JSON or not an envelope.
 * - `stalled`: only heartbeats arrived for too long.
 */
export type FillStreamFaultKind =
  | "truncated"
  | "wrong_length"
  | "too_few"
  | "too_many"
  | "oversize"
  | "compressed"
  | "disorder"
  | "malformed"
  | "stalled";

export class FillStreamFault extends OrcaError {
  readonly kind: FillStreamFaultKind;
  readonly reason: string;

  constructor(kind: FillStreamFaultKind, reason: string, cause?: unknown) {
    super("peer_unavailable", "mesh", `Cannot read a FillChunk stream: ${reason}`, { cause });
    this.kind = kind;
    this.reason = reason;
  }
}

/** The result of `parse`. Every exception of it becomes a fault. */
export function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (thrown) {
    throw new FillStreamFault("malformed", `${what} cannot be parsed`, thrown);
  }
}
