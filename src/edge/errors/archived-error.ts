/**
 * The answer about an object whose bytes the origin has archived: 403 InvalidObjectState with its class, as S3 has it. S3
 * denies such bytes with the status of any denial, and its code is in a body that is not read. So the metadata decides.
 */
import { errorTable } from "../../base/error-table.ts";
import type { OrcaError } from "../../base/orca-error.ts";
import type { ObjectHead } from "../../origin/origin.ts";
import { type ErrorElement, ExplainedError } from "./explained-error.ts";

/**
 * S3 denies the bytes of objects of these classes, and of INTELLIGENT_TIERING with an archive status, until they are
 * restored. It tells their metadata.
 */
const archiveClasses: ReadonlySet<string | undefined> = new Set(["GLACIER", "DEEP_ARCHIVE"]);

/** Undefined where the metadata does not explain why the origin denies the bytes. Azure has a code for it. */
export function archivedErrorOf({ code }: OrcaError, head: ObjectHead): ExplainedError | undefined {
  const { storageClass, archiveStatus } = head;
  const isArchived = archiveStatus !== undefined || archiveClasses.has(storageClass);
  if (code !== "invalid_object_state" && !(code === "origin_denied" && isArchived)) return undefined;
  const elements: ErrorElement[] = [["StorageClass", storageClass ?? "GLACIER"]];
  if (archiveStatus !== undefined) elements.push(["AccessTier", archiveStatus]);
  const what =
    archiveStatus === undefined
      ? errorTable.invalid_object_state.clientMessage
      : "The operation is not valid for the object's access tier";
  return new ExplainedError("invalid_object_state", what, elements);
}
