/**
 * Lists a container as S3 pages. Azure has no start-after, so the names before it are read and skipped. The work of one
 * call is bounded: a page may be empty and carry a token from which the next call continues. The order is Azure's, which
 * differs from UTF-8 order between characters beyond U+FFFF and those from U+E000 on.
 */
import type { TokenCredential } from "@azure/identity";
import type {
  ContainerClient,
  ContainerListBlobFlatSegmentResponse,
  ContainerListBlobHierarchySegmentResponse,
} from "@azure/storage-blob";
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { AzureAccountKey } from "./azure-shared-key.ts";
import { errorOfStatus } from "./error-of-status.ts";
import { strongEtag, wholeSeconds } from "./http-object.ts";
import { compareKeys, isAfter } from "./key-order.ts";
import type { ListedObject, ListPage, ListRequest } from "./origin.ts";

/** Azure's own pages that one call reads at most before it reaches `startAfter`. */
const pagesSkippedMax = 20;
/** Azure's largest page, used while skipping. */
const pageSizeMax = 5000;

/** The position in a listing: Azure's marker, and the start-after that still applies after it. */
interface Position {
  readonly marker: string;
  readonly startAfter: string;
}

/** The fields of the SDK's errors if the origin has answered. */
interface SdkFailure {
  readonly statusCode?: number;
  readonly response?: { readonly headers: { get(name: string): string | undefined } };
}

/** A client for the container at `url` that tries once and speaks `apiVersion`. */
export async function azureContainer(
  url: string,
  apiVersion: string,
  accountKey: AzureAccountKey | undefined,
  defaultCredential: () => Promise<TokenCredential>,
): Promise<ContainerClient> {
  const { ContainerClient, newPipeline, StorageSharedKeyCredential } = await import("@azure/storage-blob");
  const credential = accountKey
    ? new StorageSharedKeyCredential(accountKey.account, accountKey.key)
    : await defaultCredential();
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } });
  pipeline.factories.push({
    create: (next) => ({
      sendRequest(request) {
        request.headers.set("x-ms-version", apiVersion);
        return next.sendRequest(request);
      },
    }),
  });
  return new ContainerClient(url, pipeline);
}

/** @see Origin.list */
export async function listAzure(
  container: ContainerClient,
  request: ListRequest,
  action: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<ListPage> {
  let position = request.continuationToken
    ? decodePosition(request.continuationToken, action)
    : { marker: "", startAfter: request.startAfter };
  for (let pages = 1; ; pages += 1) {
    const segment = await fetchSegment(container, request, position, signal).catch((thrown: SdkFailure) => {
      throw errorOfFailure(thrown, request, action, clock.now());
    });
    const entries = entriesAfter(segment, position.startAfter);
    const nextMarker = segment.continuationToken ?? "";
    if (entries.length > request.maxKeys) {
      const page = entries.toSorted((a, b) => compareKeys(a.name, b.name)).slice(0, request.maxKeys);
      // Azure has no marker inside a page: the next call reads this page again and skips the names already returned.
      return pageOf(page, encodePosition({ marker: position.marker, startAfter: page.at(-1)?.name ?? "" }));
    }
    // Names are in ascending order, so every name after one beyond `startAfter` is beyond it, too.
    position = { marker: nextMarker, startAfter: entries.length > 0 ? "" : position.startAfter };
    if (entries.length > 0 || nextMarker === "" || pages >= pagesSkippedMax) {
      return pageOf(entries, nextMarker && encodePosition(position));
    }
  }
}

async function fetchSegment(
  container: ContainerClient,
  request: ListRequest,
  position: Position,
  signal: AbortSignal,
): Promise<ContainerListBlobFlatSegmentResponse | ContainerListBlobHierarchySegmentResponse> {
  const options = { prefix: request.prefix, abortSignal: signal };
  const paging = {
    maxPageSize: position.startAfter ? pageSizeMax : request.maxKeys,
    ...(position.marker && { continuationToken: position.marker }),
  };
  const pages = request.delimiter
    ? container.listBlobsByHierarchy(request.delimiter, options).byPage(paging)
    : container.listBlobsFlat(options).byPage(paging);
  const { value } = await pages.next();
  return value;
}

/** A blob, or a common prefix if `object` is absent. */
interface Entry {
  readonly name: string;
  readonly object?: ListedObject;
}

/**
 * The entries of a segment after `startAfter`. A common prefix that contains `startAfter` stands for keys on both sides
 * of it and is kept. Blobs of another type than block blobs are not objects here.
 */
function entriesAfter(
  { segment }: ContainerListBlobFlatSegmentResponse | ContainerListBlobHierarchySegmentResponse,
  startAfter: string,
): readonly Entry[] {
  const entries: Entry[] = [];
  for (const { name, properties } of segment.blobItems) {
    if ((properties.blobType ?? "BlockBlob") !== "BlockBlob" || !isAfter(name, startAfter)) continue;
    const object = {
      key: name,
      sizeBytes: properties.contentLength ?? 0,
      etag: strongEtag(properties.etag) ?? "",
      lastModifiedMs: wholeSeconds(properties.lastModified),
    };
    entries.push({ name, object });
  }
  for (const { name } of "blobPrefixes" in segment ? (segment.blobPrefixes ?? []) : []) {
    const holdsStart = startAfter.startsWith(name) && startAfter !== name;
    if (holdsStart || isAfter(name, startAfter)) entries.push({ name });
  }
  return entries;
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

function errorOfFailure(failure: SdkFailure, request: ListRequest, action: string, nowMs: number): OrcaError {
  const status = failure.statusCode;
  if (status === undefined || status < 300)
    return OrcaError.from(failure, "origin_unavailable", "origin", action);
  if (status === 404) {
    return new OrcaError("no_such_bucket", "origin", `${action}: the origin has no such container`, {
      cause: failure,
    });
  }
  if (status === 400 && request.continuationToken !== "") {
    return new OrcaError("invalid_argument", "client", `${action}: the continuation token is not valid`, {
      cause: failure,
    });
  }
  return errorOfStatus(status, (name) => failure.response?.headers.get(name), action, nowMs);
}
