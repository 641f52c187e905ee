/**
 * What is wrong with a FillChunk stream as seen by who reads it: the peer broke off or does not keep to the protocol.
 * It is apart from what a peer *says* went wrong, because the remedy is another: the bytes that came before are
 * right, and the rest can be had elsewhere.
 */
import { OrcaError } from "../../base/orca-error.ts";

/**
 * - `truncated`: the stream ended before its end was said.
 * - `wrong_length`: its header promises another number of bytes than was asked for.
 * - `too_few`, `too_many`: the bytes of data are not as many as its header said.
 * - `oversize`: a message passes its limit.
 * - `compressed`: a message is compressed. It was not inflated: nobody knows how large it would have become.
 * - `disorder`: the pieces do not come as header, data, trailer.
 * - `malformed`: it is not protobuf, not JSON, not an envelope.
 * - `stalled`: it says that bytes will come, and none have for too long.
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

  constructor(kind: FillStreamFaultKind, reason: string, cause?: unknown) {
    super("peer_unavailable", "mesh", `Cannot read a FillChunk stream: ${reason}`, { cause });
    this.kind = kind;
  }
}

/** What `parse` answers; whatever it throws becomes a fault. */
export function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (thrown) {
    throw new FillStreamFault("malformed", `${what} cannot be parsed`, thrown);
  }
}
