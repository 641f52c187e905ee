/**
 * Encodes and decodes an ErrorDetail: the code, source and message of an OrcaError, and the time that an origin asked
 * to wait. With it a caller can distinguish an origin's 404 from an unreachable peer, and need not ask the origin
 * again.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ErrorDetail, ErrorDetailSchema } from "../../../gen/orca/v1/errors_pb.ts";
import { errorTable } from "../../base/error-table.ts";
import { type ErrorCode, errorSources, OrcaError } from "../../base/orca-error.ts";

/** Bytes of an error message. gRPC sends the message three times in headers, which have 16 KiB together. */
export const errorMessageBytesMax = 1024;

const retryAfterSecondsMax = 2 ** 32 - 1;

export function errorDetailOf(error: OrcaError): MessageInitShape<typeof ErrorDetailSchema> {
  const { code, source, retryAfterSeconds } = error;
  const message = textWithin(error.message, errorMessageBytesMax);
  if (retryAfterSeconds === undefined || !(retryAfterSeconds >= 0)) return { code, source, message };
  const wholeSeconds = Math.min(Math.ceil(retryAfterSeconds), retryAfterSecondsMax);
  return { code, source, message, retryAfterSeconds: wholeSeconds };
}

/** The sender's error, or undefined if only a newer replica knows its code. */
export function errorOfDetail(detail: ErrorDetail, cause?: unknown): OrcaError | undefined {
  const { code, source, message, retryAfterSeconds } = detail;
  if (!Object.hasOwn(errorTable, code)) return undefined;
  return new OrcaError(
    code as ErrorCode,
    errorSources.find((known) => known === source) ?? "mesh",
    textWithin(message, errorMessageBytesMax),
    { cause, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) },
  );
}

/** The longest prefix of `value` that fits into `bytesMax` bytes of UTF-8. It ends between two characters. */
export function textWithin(value: string, bytesMax: number): string {
  // One code unit of UTF-16 never needs more than three bytes of UTF-8.
  if (value.length * 3 <= bytesMax) return value.toWellFormed();
  const { read } = new TextEncoder().encodeInto(value, new Uint8Array(bytesMax));
  return value.slice(0, read).toWellFormed();
}
