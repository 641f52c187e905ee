/**
 * What S3 answers to a GET or HEAD of an object that exists: conditions first, then the range
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, RFC 9110 §13.2.2). An unquoted `If-Match`
 * matches nothing here: AWS forgives it, other stores do not, and Orca must send it quoted.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Fault } from "./s3-fault.ts";
import type { S3Object } from "./s3-object.ts";

export interface ObjectAnswer {
  readonly status: 200 | 206 | 304 | 400 | 412 | 416;
  readonly headers: Record<string, string>;
  readonly offset: number;
  readonly lengthBytes: number;
}

/** `partNumber` is undefined where none is asked for, or where the server ignores it. */
export function answerObject(
  object: S3Object,
  asked: IncomingHttpHeaders,
  fault: Fault,
  partNumber?: number,
): ObjectAnswer {
  const headers: Record<string, string> = {
    "content-type": "binary/octet-stream",
    "accept-ranges": "bytes",
    etag: `"${object.etag}"`,
    "last-modified": new Date(object.lastModifiedMs).toUTCString(),
    ...object.headers,
  };
  const refused = fault.ignoreConditions ? undefined : failedCondition(object, asked);
  if (refused) return { status: refused, headers, offset: 0, lengthBytes: 0 };
  if (partNumber !== undefined) return answerPart(object, headers, partNumber);
  const range = fault.ignoreRange ? undefined : parseRange(asked.range, object.sizeBytes);
  if (!range) return { status: 200, headers, offset: 0, lengthBytes: object.sizeBytes };
  const { offset, lengthBytes } = range;
  if (lengthBytes <= 0) {
    headers["content-range"] = `bytes */${object.sizeBytes}`;
    return { status: 416, headers, offset: 0, lengthBytes: 0 };
  }
  headers["content-range"] = `bytes ${offset}-${offset + lengthBytes - 1}/${object.sizeBytes}`;
  return { status: 206, headers, offset, lengthBytes };
}

/** As AWS: an object from a single PUT has one part and no count of parts. */
function answerPart(object: S3Object, headers: Record<string, string>, partNumber: number): ObjectAnswer {
  const sizes = object.partSizesBytes ?? [object.sizeBytes];
  if (!Number.isInteger(partNumber) || partNumber < 1)
    return { status: 400, headers: {}, offset: 0, lengthBytes: 0 };
  const lengthBytes = sizes[partNumber - 1];
  if (lengthBytes === undefined) return { status: 416, headers: {}, offset: 0, lengthBytes: 0 };
  if (object.partSizesBytes) headers["x-amz-mp-parts-count"] = String(sizes.length);
  const offset = sizes.slice(0, partNumber - 1).reduce((total, size) => total + size, 0);
  if (lengthBytes === 0) return { status: 200, headers, offset, lengthBytes };
  headers["content-range"] = `bytes ${offset}-${offset + lengthBytes - 1}/${object.sizeBytes}`;
  return { status: 206, headers, offset, lengthBytes };
}

function failedCondition(object: S3Object, asked: IncomingHttpHeaders): 304 | 412 | undefined {
  const modifiedMs = Math.floor(object.lastModifiedMs / 1000) * 1000;
  if (asked["if-match"] !== undefined) {
    if (!matchesEtag(asked["if-match"], object.etag)) return 412;
  } else if (modifiedMs > since(asked["if-unmodified-since"])) {
    return 412;
  }
  if (asked["if-none-match"] !== undefined) {
    if (matchesEtag(asked["if-none-match"].replaceAll("W/", ""), object.etag)) return 304;
  } else if (modifiedMs <= since(asked["if-modified-since"])) {
    return 304;
  }
  return undefined;
}

function matchesEtag(list: string, etag: string): boolean {
  return list.split(",").some((entry) => entry.trim() === "*" || entry.trim() === `"${etag}"`);
}

/** undefined: no range, or one that S3 ignores. A length of zero or less cannot be satisfied. */
function parseRange(
  header: string | undefined,
  sizeBytes: number,
): { readonly offset: number; readonly lengthBytes: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  const [, first = "", last = ""] = match ?? [];
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const lengthBytes = Math.min(Number(last), sizeBytes);
    return { offset: sizeBytes - lengthBytes, lengthBytes };
  }
  if (last !== "" && Number(last) < Number(first)) return undefined;
  const end = last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  return { offset: Number(first), lengthBytes: end - Number(first) };
}

/** Milliseconds of an HTTP date; NaN, which compares false with everything, where there is none. */
function since(header: string | undefined): number {
  return header === undefined ? Number.NaN : Date.parse(header);
}
