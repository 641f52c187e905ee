/** Renders ListObjectVersions as S3's XML. */
import { percentEncode } from "../../base/percent-encoding.ts";
import type { ListedObject, ListPage } from "../../origin/origin.ts";
import { formatIsoDate } from "../http-date.ts";
import type { ListObjectsRequest } from "../list-request.ts";
import { ownerXml } from "../list-response.ts";
import { element, escapeXmlExactly, s3Document } from "../xml.ts";

/** `ListVersionsResult`. Versions and delete markers stay in one sequence, as the origin has them. */
export function listVersionsXml(request: ListObjectsRequest, page: ListPage): string {
  const text = request.encodesKeys ? percentEncode : escapeXmlExactly;
  const { nextVersion } = page;
  const next =
    nextVersion === undefined
      ? ""
      : element("NextKeyMarker", text(nextVersion.startAfter)) +
        (nextVersion.versionIdMarker === ""
          ? ""
          : element("NextVersionIdMarker", escapeXmlExactly(nextVersion.versionIdMarker)));
  const head =
    element("Name", escapeXmlExactly(request.bucket)) +
    element("Prefix", text(request.prefix)) +
    element("KeyMarker", text(request.after)) +
    element("VersionIdMarker", escapeXmlExactly(request.versionIdMarker ?? "")) +
    next +
    element("MaxKeys", String(request.maxKeys)) +
    (request.delimiter === "" ? "" : element("Delimiter", text(request.delimiter))) +
    (request.encodesKeys ? element("EncodingType", "url") : "") +
    element("IsTruncated", String(nextVersion !== undefined));
  let contents = "";
  for (const object of page.objects) contents += versionXml(object, text);
  for (const prefix of page.commonPrefixes)
    contents += element("CommonPrefixes", element("Prefix", text(prefix)));
  return s3Document("ListVersionsResult", head + contents);
}

function versionXml(object: ListedObject, text: (key: string) => string): string {
  const { id = "null", isLatest = true, isDeleteMarker = false } = object.version ?? {};
  const lastModified = formatIsoDate(object.lastModifiedMs);
  const named =
    element("Key", text(object.key)) +
    element("VersionId", escapeXmlExactly(id)) +
    element("IsLatest", String(isLatest)) +
    (lastModified === undefined ? "" : element("LastModified", lastModified));
  if (isDeleteMarker) return element("DeleteMarker", named + ownerXml);
  return element(
    "Version",
    named +
      element("ETag", escapeXmlExactly(`"${object.etag}"`)) +
      element("Size", String(object.sizeBytes)) +
      element("StorageClass", escapeXmlExactly(object.storageClass ?? "STANDARD")) +
      ownerXml,
  );
}
