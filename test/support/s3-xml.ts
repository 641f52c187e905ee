/**
 * The XML that S3 answers with. Keys may hold any character, so a list is written the way AWS writes it: URL-encoded
 * throughout when the client asked for `encoding-type=url`, with a space as `+`, and as escaped text otherwise.
 */
import type { ListedEntry } from "./s3-listing.ts";

const header = '<?xml version="1.0" encoding="UTF-8"?>\n';

const errorCodes: Readonly<Record<number, string>> = {
  400: "InvalidRequest",
  403: "AccessDenied",
  404: "NoSuchKey",
  412: "PreconditionFailed",
  416: "InvalidRange",
  429: "TooManyRequests",
  500: "InternalError",
  501: "NotImplemented",
  503: "SlowDown",
};

export function errorXml(
  status: number,
  code: string | undefined,
  resource: string,
  requestId: string,
): string {
  const s3Code = code ?? errorCodes[status] ?? "InternalError";
  return `${header}<Error>${element("Code", s3Code)}${element("Message", `${s3Code}.`)}${element("Resource", resource)}${element("RequestId", requestId)}</Error>`;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html: empty where there never was any. */
export function versioningXml(status: string | undefined): string {
  const inside = status === undefined ? "" : element("Status", status);
  return `${header}<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inside}</VersioningConfiguration>`;
}

export function bucketsXml(names: readonly string[], createdMs: number, token: string): string {
  const created = element("CreationDate", new Date(createdMs).toISOString());
  const buckets = names.map((name) => `<Bucket>${element("Name", name)}${created}</Bucket>`);
  const next = token === "" ? "" : element("ContinuationToken", token);
  return `${header}<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner>${element("ID", "owner")}</Owner><Buckets>${buckets.join("")}</Buckets>${next}</ListAllMyBucketsResult>`;
}

export interface ListXmlFields {
  readonly bucket: string;
  readonly prefix: string;
  readonly delimiter: string;
  readonly startAfter: string;
  readonly continuationToken: string;
  readonly maxKeys: number;
  readonly urlEncoded: boolean;
  readonly entries: readonly ListedEntry[];
  /** Empty on the last page. */
  readonly nextContinuationToken: string;
}

export function listXml(list: ListXmlFields): string {
  const key = list.urlEncoded ? urlEncode : (text: string) => text;
  const parts = [
    element("Name", list.bucket),
    element("Prefix", key(list.prefix)),
    optional("Delimiter", key(list.delimiter)),
    optional("StartAfter", key(list.startAfter)),
    optional("ContinuationToken", list.continuationToken),
    element("KeyCount", String(list.entries.length)),
    element("MaxKeys", String(list.maxKeys)),
    optional("EncodingType", list.urlEncoded ? "url" : ""),
    element("IsTruncated", String(list.nextContinuationToken !== "")),
    optional("NextContinuationToken", list.nextContinuationToken),
  ];
  for (const { key: name, object } of list.entries) {
    if (!object) continue;
    const modified = new Date(object.lastModifiedMs).toISOString();
    parts.push(
      `<Contents>${element("Key", key(name))}${element("LastModified", modified)}${element("ETag", `"${object.etag}"`)}${element("Size", String(object.sizeBytes))}${element("StorageClass", object.headers["x-amz-storage-class"] ?? "STANDARD")}</Contents>`,
    );
  }
  for (const { key: name, object } of list.entries) {
    if (!object) parts.push(`<CommonPrefixes>${element("Prefix", key(name))}</CommonPrefixes>`);
  }
  const namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
  return `${header}<ListBucketResult xmlns="${namespace}">${parts.join("")}</ListBucketResult>`;
}

function element(name: string, text: string): string {
  return `<${name}>${text.replace(/[&<>"\r]/g, (character) => `&#${character.charCodeAt(0)};`)}</${name}>`;
}

function optional(name: string, text: string): string {
  return text === "" ? "" : element(name, text);
}

function urlEncode(text: string): string {
  return encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%20", "+");
}
