/**
 * Checks the fields of a received message one by one. Protobuf accepts values that no part of Orca can hold: numbers of
 * 64 bits, texts of any length, a missing field that is required. Such a message is `invalid_argument`. If it is an
 * answer, the caller turns that into `peer_unavailable`.
 */
import { OrcaError } from "../../base/orca-error.ts";

/** @throws OrcaError `invalid_argument` above `max`. The bigint is compared, because a number may lose digits. */
export function numberField(value: bigint, field: string, max: number = Number.MAX_SAFE_INTEGER): number {
  if (value < 0n || value > BigInt(max)) throw malformedMessage(`${field} is ${value}, expected 0 to ${max}`);
  return Number(value);
}

/** @throws OrcaError `invalid_argument` if it is empty, or has more bytes of UTF-8 than `bytesMax`. */
export function nameField(value: string, field: string, bytesMax: number): string {
  if (value === "") throw malformedMessage(`${field} is empty`);
  return textField(value, field, bytesMax);
}

/** @throws OrcaError `invalid_argument` if it has more bytes of UTF-8 than `bytesMax`. It may be empty. */
export function textField(value: string, field: string, bytesMax: number): string {
  const bytes = Buffer.byteLength(value);
  if (bytes > bytesMax)
    throw malformedMessage(`${field} has ${bytes} bytes, at most ${bytesMax} are accepted`);
  return value;
}

/** @throws OrcaError `invalid_argument` if the field is missing. */
export function presentField<Value>(value: Value | undefined, field: string): Value {
  if (value === undefined) throw malformedMessage(`${field} is missing`);
  return value;
}

export function malformedMessage(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "mesh", `Cannot decode a message from a peer: ${reason}`);
}
