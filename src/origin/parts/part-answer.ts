/**
 * Where a part of an object lies, as an S3 origin tells it in its answer to a HEAD with `partNumber`. S3 tells the range of
 * the part and the number of parts. Some stores tell less, or ignore the parameter and answer about the whole object. Such
 * an answer is never taken for a part.
 */
import { OrcaError } from "../../base/orca-error.ts";
import type { ResponseHead } from "../../http-client/response-head.ts";
import { checkEtag } from "../http-object.ts";
import { type ObjectPart, type PartRequest, partsMax } from "../origin.ts";

/** The ETag of an object from a multipart upload ends in the number of its parts, at AWS and its clones. */
const multipartEtag = /-\d+$/;

const contentRangeShape = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/;

/**
 * The part in a 200 or 206.
 * @throws OrcaError origin_etag_changed, origin_missing_etag; origin_unavailable if the answer contradicts itself or the
 *   object's metadata.
 */
export function objectPartOf(head: ResponseHead, request: PartRequest, action: string): ObjectPart {
  checkEtag(head, request.etag, action);
  const count = partsCountOf(head.headers.get("x-amz-mp-parts-count"), action);
  const contentRange = head.headers.get("content-range");
  if (contentRange === undefined) {
    if (count > 0) return partWithoutRange(head, request, count);
    return multipartEtag.test(request.etag) ? { kind: "untold", count } : { kind: "whole" };
  }
  const { objectSizeBytes, partNumber } = request;
  const [, first, last, size] = contentRangeShape.exec(contentRange) ?? [];
  const [start, end] = [Number(first), Number(last) + 1];
  const isInside = start < end && end <= objectSizeBytes && Number(size) === objectSizeBytes;
  if (!isInside || head.contentLength !== end - start) {
    const reason = `Content-Range "${contentRange}" and Content-Length ${head.contentLength}`;
    throw contradiction(action, `${reason} are not those of a part of ${objectSizeBytes} bytes`);
  }
  if (count === 0) {
    const isWhole = partNumber === 1 && end - start === objectSizeBytes;
    return isWhole ? { kind: "whole" } : { kind: "untold", count };
  }
  if (partNumber > count || (partNumber > 1 && start === 0)) {
    throw contradiction(action, `part ${partNumber} of ${count} begins at byte ${start}`);
  }
  return { kind: "range", start, end, count };
}

/** For a status that is no error: AWS has 416 beyond the last part, and some stores have 400. Each object has a first part. */
export function partOfRefusal(status: number, partNumber: number): ObjectPart | undefined {
  if (status === 501) return { kind: "untold", count: 0 };
  if (status !== 400 && status !== 416) return undefined;
  return { kind: partNumber === 1 ? "untold" : "absent", count: 0 };
}

/** Some versions of Ceph RGW tell the length of a part and no range. The first and the last part follow from it. */
function partWithoutRange(head: ResponseHead, request: PartRequest, count: number): ObjectPart {
  const { objectSizeBytes, partNumber } = request;
  const { contentLength = 0 } = head;
  const isPart = contentLength > 0 && contentLength <= objectSizeBytes && partNumber <= count;
  if (isPart && partNumber === 1) return { kind: "range", start: 0, end: contentLength, count };
  if (isPart && partNumber === count)
    return { kind: "range", start: objectSizeBytes - contentLength, end: objectSizeBytes, count };
  return { kind: "untold", count };
}

/** 0 if there is none. */
function partsCountOf(text: string | undefined, action: string): number {
  if (text === undefined) return 0;
  const count = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= partsMax) return count;
  throw contradiction(action, "x-amz-mp-parts-count is not a number from 1 to 10000");
}

function contradiction(action: string, reason: string): OrcaError {
  return new OrcaError("origin_unavailable", "origin", `${action}: ${reason}`);
}
