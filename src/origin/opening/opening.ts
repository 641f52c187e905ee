/**
 * The first request for an object of which nothing is known: a GET of a range that pins no version. Its response head
 * tells what a HEAD would tell, and its body is what a client waits for. So a cold object costs one round trip to the
 * origin, and a small one costs one request.
 */
import { OrcaError } from "../../base/orca-error.ts";
import type { ResponseHead } from "../../http-client/response-head.ts";
import { type ObjectDialect, objectHeadOf } from "../http-object.ts";
import type { FirstBytes, Opening } from "../origin.ts";

export function openHeaders(request: FirstBytes): Record<string, string> {
  const { offset, lengthBytes, withChecksums, lastBytes } = request;
  if (lastBytes !== undefined) return { range: `bytes=-${lengthBytes}` };
  return withChecksums ? {} : { range: `bytes=${offset}-${offset + lengthBytes - 1}` };
}

/**
 * What a 200 or 206 to an opening says.
 * @throws OrcaError as {@link objectHeadOf}; origin_unsupported where the origin ignores ranges; origin_unavailable for
 *   any other inconsistency.
 */
export function openingOf(
  head: ResponseHead,
  request: FirstBytes,
  dialect: ObjectDialect,
  action: string,
): Opening {
  const { lengthBytes, withChecksums, lastBytes } = request;
  if (head.status === 200) {
    const sizeBytes = head.contentLength ?? 0;
    if (request.offset > 0 || (!withChecksums && sizeBytes > lengthBytes)) {
      throw new OrcaError("origin_unsupported", "origin", `${action}: the origin answered 200 to a range`);
    }
    const bytes = { offset: 0, lengthBytes: Math.min(sizeBytes, lengthBytes) };
    return { head: objectHeadOf(head, dialect, action), ...bytes };
  }
  const contentRange = head.headers.get("content-range") ?? "";
  const [, first, last, size] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(contentRange) ?? [];
  const sizeBytes = Number(size);
  const offset = lastBytes === undefined ? request.offset : Math.max(0, sizeBytes - lengthBytes);
  const end = Math.min(offset + lengthBytes, sizeBytes);
  const isExpected = Number(first) === offset && Number(last) === end - 1 && end > offset;
  if (head.status !== 206 || !isExpected || head.contentLength !== end - offset) {
    const asked = openHeaders(request)["range"] ?? "the whole object";
    const received = `status ${head.status}, Content-Range "${contentRange}" and ${head.contentLength} bytes`;
    throw new OrcaError(
      "origin_unavailable",
      "origin",
      `${action}: asked for ${asked}, received ${received}`,
    );
  }
  return { head: objectHeadOf(head, dialect, action, sizeBytes), offset, lengthBytes: end - offset };
}
