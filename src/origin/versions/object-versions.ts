/** What the answers of origins say of versions, and what there is to say where an origin has none. */
import { OrcaError } from "../../base/orca-error.ts";
import { usableDateMs } from "../../chunk/object-date.ts";
import { isVersionId, nullVersionId } from "../../chunk/version-id.ts";
import type { ResponseHead } from "../../http-client/response-head.ts";
import type { DeleteMarker, ListPage, ObjectHead } from "../origin.ts";

/** In an S3 answer of 404 (the current version is a delete marker) or 405 (the version asked for is one). */
export function deleteMarkerOf({ headers }: ResponseHead): DeleteMarker | null {
  if (headers.get("x-amz-delete-marker") !== "true") return null;
  const id = headers.get("x-amz-version-id");
  const versionId = id !== undefined && isVersionId(id) ? id : undefined;
  const lastModifiedMs = usableDateMs(Date.parse(headers.get("last-modified") ?? ""));
  return { kind: "delete-marker", versionId, lastModifiedMs };
}

/**
 * `head` where it is that of the version asked for. Null where it is not: a server without versions ignores the question,
 * and answers about the object that it has. That object is the `null` version, and no other.
 */
export function ofVersion(head: ObjectHead, asked: string | undefined): ObjectHead | null {
  return asked === undefined || asked === (head.versionId ?? nullVersionId) ? head : null;
}

export function invalidVersionId(action: string, versionId: string): OrcaError {
  const message = `${action}: the origin does not take "${versionId}" for the id of a version`;
  return new OrcaError("invalid_version_id", "origin", message);
}

/**
 * A page of an origin without versions, as S3 lists a bucket that never had any. `nameOf` tells the key or the common prefix
 * on which a page with that token ended.
 */
export function asNullVersions(page: ListPage, nameOf: (token: string) => string): ListPage {
  const version = { id: nullVersionId, isLatest: true, isDeleteMarker: false };
  const { commonPrefixes, nextContinuationToken } = page;
  const objects = page.objects.map((object) => ({ ...object, version }));
  const versions = { objects, commonPrefixes, nextContinuationToken: "" };
  if (nextContinuationToken === "") return versions;
  const startAfter = nameOf(nextContinuationToken);
  const versionIdMarker = objects.at(-1)?.key === startAfter ? nullVersionId : "";
  return { ...versions, nextVersion: { startAfter, versionIdMarker } };
}
