/**
 * Lists a container as S3 pages. Azure has no start-after, so the names before it are read and skipped. The work of one
 * call is bounded: a page may be empty and carry a token from which the next call continues. The order is Azure's, which
 * differs from UTF-8 order between characters beyond U+FFFF and those from U+E000 on.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { WholeAnswer } from "../http-client/whole-answers.ts";
import { errorOfStatus, OriginAnswer } from "./error-of-status.ts";
import { strongEtag, wholeSeconds } from "./http-object.ts";
import { compareKeys, endOf, isAfter } from "./key-order.ts";
import { answerDetail, checkedToken, type ListedEntry, listedSize, scanListing } from "./list-answer.ts";
import type { ListedObject, ListPage, ListRequest } from "./origin.ts";
import type { XmlElement } from "./xml-scanner.ts";

/** Sends one request about the container of a listing, with this query. */
export type AskContainer = (query: Readonly<Record<string, string>>) => Promise<WholeAnswer>;

/** Azure's own pages that one call reads at most before it reaches `startAfter`. */
const pagesSkippedMax = 20;
/** Azure's largest page, used while skipping. */
const pageSizeMax = 5000;

/** The position in a listing: Azure's marker, and the start-after that still applies after it. */
interface Position {
  readonly marker: string;
  readonly startAfter: string;
}

type KeysOfPage = Pick<ListRequest, "prefix" | "delimiter" | "maxKeys">;
type AskSegment = (keys: KeysOfPage, position: Position) => Promise<Segment>;

/** @see Origin.list */
export async function listAzure(
  ask: AskContainer,
  request: ListRequest,
  action: string,
  clock: Clock,
): Promise<ListPage> {
  let position = request.continuationToken
    ? decodePosition(request.continuationToken, action)
    : { marker: "", startAfter: request.startAfter };
  const asked: AskSegment = async (keys, place) => {
    const answer = await ask(queryOf(keys, place));
    if (answer.status !== 200) throw errorOfAnswer(answer, request, action, clock.now());
    return parseSegment(answer.body, keys.delimiter, action);
  };
  for (let pages = 1; ; pages += 1) {
    const segment = await asked(request, position);
    const { nextMarker } = segment;
    const { startAfter } = position;
    const entries = await entriesAfter(segment, startAfter, (prefix) =>
      hasKeyAfter(prefix, startAfter, asked),
    );
    if (entries.length > request.maxKeys) {
      const page = entries.toSorted((a, b) => compareKeys(a.name, b.name)).slice(0, request.maxKeys);
      // Azure has no marker inside a page: the next call reads this page again and skips the names already returned.
      const rest = { marker: position.marker, startAfter: page.at(-1)?.name ?? "" };
      return pageOf(page, checkedToken(encodePosition(rest), action));
    }
    // Names are in ascending order, so every name after one beyond `startAfter` is beyond it, too.
    position = { marker: nextMarker, startAfter: entries.length > 0 ? "" : position.startAfter };
    if (entries.length > 0 || nextMarker === "" || pages >= pagesSkippedMax) {
      return pageOf(entries, nextMarker && checkedToken(encodePosition(position), action));
    }
  }
}

function queryOf(request: KeysOfPage, { marker, startAfter }: Position): Readonly<Record<string, string>> {
  const { prefix, delimiter, maxKeys } = request;
  return {
    restype: "container",
    comp: "list",
    maxresults: String(startAfter === "" ? maxKeys : pageSizeMax),
    ...(prefix !== "" && { prefix }),
    ...(delimiter !== "" && { delimiter }),
    ...(marker !== "" && { marker }),
  };
}

/** The tier whose bytes cannot be read, and the class of S3 that clients know for that. */
export const archiveTier = "Archive";
export const archiveClass = "GLACIER";

/** A blob, or a common prefix if `object` is absent. */
interface Entry {
  readonly name: string;
  readonly object?: ListedObject;
}

/** A page of Azure's own: blobs, then common prefixes. */
interface Segment {
  readonly entries: readonly Entry[];
  readonly nextMarker: string;
}

/** Blobs of another type than block blobs are not objects here. */
async function parseSegment(body: Buffer, delimiter: string, action: string): Promise<Segment> {
  const blobs: Entry[] = [];
  const prefixes: Entry[] = [];
  let nextMarker = "";
  let blob = newBlob();
  await scanListing(body, "EnumerationResults", action, (element) => {
    const { name, parent } = element;
    if (parent === "Properties") readProperty(blob, element);
    else if (name === "Name") {
      if (parent === "Blob" || parent === "BlobPrefix") blob.key = nameOf(element);
    } else if (name === "NextMarker") nextMarker = element.text();
    else if (name === "Blob" || name === "BlobPrefix") {
      const { type, ...object } = blob;
      if (name === "BlobPrefix") prefixes.push({ name: wholePrefix(object.key, delimiter) });
      else if (type === "BlockBlob") blobs.push({ name: object.key, object });
      blob = newBlob();
      return true;
    }
    return false;
  });
  return { entries: [...blobs, ...prefixes], nextMarker };
}

function newBlob(): ListedEntry & { type: string } {
  return { key: "", sizeBytes: 0, etag: "", lastModifiedMs: undefined, type: "BlockBlob" };
}

function readProperty(blob: ListedEntry & { type: string }, element: XmlElement): void {
  switch (element.name) {
    case "Last-Modified":
      blob.lastModifiedMs = wholeSeconds(element.text());
      return;
    case "Etag":
      blob.etag = strongEtag(element.text()) ?? "";
      return;
    case "Content-Length":
      blob.sizeBytes = listedSize(element.text());
      return;
    case "BlobType":
      blob.type = element.text();
      return;
    case "AccessTier":
      if (element.text() === archiveTier) blob.storageClass = archiveClass;
  }
}

/** Azure encodes the names that XML cannot carry, and marks them. */
function nameOf(element: XmlElement): string {
  const name = element.text();
  return /\bEncoded="true"/i.test(element.attributes()) ? decodeURIComponent(name) : name;
}

/** Azurite cuts a common prefix after the first character of the delimiter. */
function wholePrefix(name: string, delimiter: string): string {
  return name.endsWith(delimiter) ? name : name + delimiter.slice(1);
}

/**
 * The entries of a segment after `startAfter`. A common prefix in which `startAfter` lies stands for keys on both sides of
 * it: it is kept if one is after.
 */
async function entriesAfter(
  { entries }: Segment,
  startAfter: string,
  hasKeyAfterStart: (prefix: string) => Promise<boolean>,
): Promise<readonly Entry[]> {
  if (startAfter === "") return entries;
  const kept: Entry[] = [];
  for (const entry of entries) {
    const { name, object } = entry;
    const holdsStart = !object && startAfter.startsWith(name) && startAfter !== name;
    if (holdsStart ? await hasKeyAfterStart(name) : isAfter(name, startAfter)) kept.push(entry);
  }
  return kept;
}

/** Whether a blob with this prefix is after `startAfter`. True where that takes too many of Azure's pages to tell. */
async function hasKeyAfter(prefix: string, startAfter: string, ask: AskSegment): Promise<boolean> {
  if (!isAfter(endOf(prefix), startAfter)) return false;
  let marker = "";
  for (let pages = 1; pages <= pagesSkippedMax; pages += 1) {
    const segment = await ask({ prefix, delimiter: "", maxKeys: pageSizeMax }, { marker, startAfter });
    if (segment.entries.some(({ name }) => isAfter(name, startAfter))) return true;
    if (segment.nextMarker === "") return false;
    marker = segment.nextMarker;
  }
  return true;
}

function pageOf(entries: readonly Entry[], nextContinuationToken: string): ListPage {
  return {
    objects: entries.flatMap((entry) => entry.object ?? []),
    commonPrefixes: entries.filter((entry) => !entry.object).map((entry) => entry.name),
    nextContinuationToken,
  };
}

function encodePosition({ marker, startAfter }: Position): string {
  return Buffer.from(JSON.stringify([marker, startAfter]), "utf8").toString("base64url");
}

function decodePosition(token: string, action: string): Position {
  try {
    const [marker, startAfter] = JSON.parse(Buffer.from(token, "base64url").toString("utf8")) as unknown[];
    if (typeof marker === "string" && typeof startAfter === "string") return { marker, startAfter };
  } catch {
    // Not one of our tokens; the error below says so.
  }
  throw new OrcaError("invalid_argument", "client", `${action}: the continuation token is not valid`);
}

function errorOfAnswer(answer: WholeAnswer, request: ListRequest, action: string, nowMs: number): OrcaError {
  const { status } = answer;
  const detail = answerDetail(answer);
  if (status === 404)
    return new OriginAnswer("no_such_bucket", `${action}: the origin has no such container`, status, detail);
  if (status === 400 && request.continuationToken !== "") {
    return new OrcaError("invalid_argument", "client", `${action}: the continuation token is not valid`);
  }
  return errorOfStatus(status, (name) => answer.header(name), action, nowMs, detail);
}
