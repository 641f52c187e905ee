/**
 * An OrcaError as it travels: its code, source, message and the time an origin asked to wait. It is what lets a caller
 * tell an origin's 404 from a peer that is gone, without trying the origin again to find out.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ErrorDetail, ErrorDetailSchema } from "../../../gen/orca/v1/errors_pb.ts";
import { errorTable } from "../../base/error-table.ts";
import { type ErrorCode, errorSources, OrcaError } from "../../base/orca-error.ts";
import { textWithin } from "./message-field.ts";

/** Of a message. Over gRPC it travels three times in headers, and those have 16 KiB in all. */
export const errorMessageBytesMax = 1024;

const retryAfterSecondsMax = 2 ** 32 - 1;

export function errorDetailOf(error: OrcaError): MessageInitShape<typeof ErrorDetailSchema> {
  const { code, source, retryAfterSeconds } = error;
  const message = textWithin(error.message, errorMessageBytesMax);
  if (retryAfterSeconds === undefined || !(retryAfterSeconds >= 0)) return { code, source, message };
  const wholeSeconds = Math.min(Math.ceil(retryAfterSeconds), retryAfterSecondsMax);
  return { code, source, message, retryAfterSeconds: wholeSeconds };
}

/** The error as it was at the sender, or undefined when its code is one that only a newer replica knows. */
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
