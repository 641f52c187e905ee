/**
 * The fields of a received message, checked one by one as they are taken out of it. Protobuf lets through what no part
 * of Orca can hold: numbers of 64 bits, texts of any length, nothing where something must be. What does not pass is
 * `invalid_argument`, whoever sent it; a caller that gets such an answer makes `peer_unavailable` of it.
 */
import { OrcaError } from "../../base/orca-error.ts";

/** @throws OrcaError `invalid_argument` above `max`. It is compared as it came: as a number it could be another one. */
export function wholeNumber(value: bigint, field: string, max: number = Number.MAX_SAFE_INTEGER): number {
  if (value < 0n || value > BigInt(max)) throw malformed(`${field} is ${value}, expected 0 to ${max}`);
  return Number(value);
}

/** @throws OrcaError `invalid_argument` when it is empty, or has more bytes of UTF-8 than `bytesMax`. */
export function name(value: string, field: string, bytesMax: number): string {
  if (value === "") throw malformed(`${field} is empty`);
  return text(value, field, bytesMax);
}

/** As {@link name}, but it may be empty. */
export function text(value: string, field: string, bytesMax: number): string {
  const bytes = Buffer.byteLength(value);
  if (bytes > bytesMax) throw malformed(`${field} has ${bytes} bytes, at most ${bytesMax} are taken`);
  return value;
}

/** @throws OrcaError `invalid_argument` when the field was not sent. */
export function present<Value>(value: Value | undefined, field: string): Value {
  if (value === undefined) throw malformed(`${field} is missing`);
  return value;
}

export function malformed(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "mesh", `Cannot take in a message of a peer: ${reason}`);
}

/** As much of `value` as fits into `bytesMax` bytes of UTF-8, cut between two characters. */
export function textWithin(value: string, bytesMax: number): string {
  // No character of UTF-16 takes more than three bytes of UTF-8 by itself.
  if (value.length * 3 <= bytesMax) return value.toWellFormed();
  const { read } = new TextEncoder().encodeInto(value, new Uint8Array(bytesMax));
  return value.slice(0, read).toWellFormed();
}
