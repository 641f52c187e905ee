/**
 * The bytes that a GET wants first, for the case that nothing is known of its object: one request to the origin then
 * brings metadata and bytes. They are whole blocks inside one chunk of the smallest size, because the size of the object,
 * and so that of its chunks, is not known yet. The last bytes of an object begin anywhere in a block for the same reason.
 */
import { KiB, MiB } from "../../base/units.ts";
import type { FirstBytes } from "../../origin/origin.ts";
import { parseRange } from "../range.ts";

/** A reader of the last few bytes wants more soon: the footer of a Parquet file, the directory of a zip file. */
const lastBytesMin = 64 * KiB;

interface GetHeaders {
  readonly range?: string | undefined;
  readonly "if-none-match"?: string | undefined;
  readonly "if-modified-since"?: string | undefined;
  readonly "if-range"?: string | string[] | undefined;
  readonly "x-amz-checksum-mode"?: string | string[] | undefined;
}

/**
 * Undefined where a HEAD is the better question: the client has a copy and may get a 304; it wants more of the end of the
 * object than a chunk of the smallest size can hold; or the range is malformed.
 */
export function firstBytesOf(headers: GetHeaders, chunkSizeBytes: number): FirstBytes | undefined {
  if (headers["if-none-match"] !== undefined || headers["if-modified-since"] !== undefined) return undefined;
  if (headers.range === undefined) {
    const withChecksums = headers["x-amz-checksum-mode"] === "ENABLED";
    return { offset: 0, lengthBytes: chunkSizeBytes, withChecksums };
  }
  // With an If-Range that does not match, all of the object is wanted and not the range.
  if (headers["if-range"] !== undefined) return undefined;
  const range = parseRange(headers.range, Number.MAX_SAFE_INTEGER);
  if (range.kind !== "range") return undefined;
  if (isSuffix(headers.range)) return lastBytesOf(range.end - range.start, chunkSizeBytes);
  const blockBytes = Math.min(MiB, chunkSizeBytes);
  const offset = range.start - (range.start % blockBytes);
  const chunkEnd = offset - (offset % chunkSizeBytes) + chunkSizeBytes;
  const end = Math.min(Math.ceil(range.end / blockBytes) * blockBytes, chunkEnd);
  return { offset, lengthBytes: end - offset, withChecksums: false };
}

/** With a block less one byte before them, the block in which they begin is whole wherever the object ends. */
function lastBytesOf(wantedBytes: number, chunkSizeBytes: number): FirstBytes | undefined {
  const lastBytes = Math.max(wantedBytes, lastBytesMin);
  const lengthBytes = lastBytes + MiB - 1;
  return lengthBytes <= chunkSizeBytes
    ? { offset: 0, lengthBytes, withChecksums: false, lastBytes }
    : undefined;
}

function isSuffix(header: string): boolean {
  return /^\s*bytes\s*=[\s,]*-/i.test(header);
}
