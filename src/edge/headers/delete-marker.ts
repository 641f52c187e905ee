/** What S3 tells a client of a version that cannot be read, in the headers and the body of the error. */
import type { Absence } from "../../object/versions/absence.ts";
import type { ErrorElement } from "../errors/explained-error.ts";
import { formatHttpDate } from "../http-date.ts";

/** Flat `[name, value, …]`. */
export function deleteMarkerHeaders({ code, marker }: Absence): readonly string[] {
  if (!marker) return [];
  const headers = ["x-amz-delete-marker", "true"];
  if (marker.versionId !== undefined) headers.push("x-amz-version-id", marker.versionId);
  if (code !== "delete_marker") return headers;
  headers.push("Allow", "DELETE");
  const lastModified = formatHttpDate(marker.lastModifiedMs);
  if (lastModified !== undefined) headers.push("Last-Modified", lastModified);
  return headers;
}

/** The body of an answer to a GET: a HEAD has none. */
export function versionElements({ code, versionId }: Absence): readonly ErrorElement[] {
  if (versionId === undefined) return [];
  return code === "no_such_version"
    ? [["VersionId", versionId]]
    : [
        ["Method", "GET"],
        ["ResourceType", "DeleteMarker"],
      ];
}
