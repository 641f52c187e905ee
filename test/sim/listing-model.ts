/** Pages of listings by the book: what the simulated origin answers, and what a page is compared with. */
import type { ListPage, ListRequest } from "../../src/origin/origin.ts";
import type { ObjectHistory } from "./object-history.ts";

/** A page of the objects as they were at a moment. The continuation token is the last key or common prefix of the page before. */
export function pageAt(objects: Iterable<ObjectHistory>, request: ListRequest, atMs: number): ListPage {
  const { prefix, delimiter, maxKeys, continuationToken } = request;
  const found = [...objects]
    .filter(({ key }) => key.startsWith(prefix))
    .sort((left, right) => (left.key < right.key ? -1 : 1));
  const page = { objects: [] as ListPage["objects"][number][], commonPrefixes: [] as string[] };
  let last = continuationToken;
  for (const object of found) {
    const version = object.at(atMs);
    if (!version) continue;
    const at = delimiter === "" ? -1 : object.key.indexOf(delimiter, prefix.length);
    const entry = at < 0 ? object.key : object.key.slice(0, at + delimiter.length);
    // What a common prefix stands for is on the page of that prefix.
    if (entry <= last && last !== "") continue;
    if (page.objects.length + page.commonPrefixes.length === maxKeys) {
      return { ...page, nextContinuationToken: last };
    }
    if (at >= 0) page.commonPrefixes.push(entry);
    else {
      const { sizeBytes, etag } = version;
      page.objects.push({ key: entry, sizeBytes, etag, lastModifiedMs: 0 });
    }
    last = entry;
  }
  return { ...page, nextContinuationToken: "" };
}

/** Whether a page was true at any moment from `sinceMs` to `untilMs`. */
export function wasTrue(
  page: ListPage,
  objects: readonly ObjectHistory[],
  request: ListRequest,
  sinceMs: number,
  untilMs: number,
): boolean {
  const changes = objects.flatMap((object) => object.changesAfter(sinceMs)).filter((atMs) => atMs <= untilMs);
  const answered = JSON.stringify(page);
  return [sinceMs, ...changes].some((atMs) => JSON.stringify(pageAt(objects, request, atMs)) === answered);
}
