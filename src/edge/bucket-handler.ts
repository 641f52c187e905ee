/**
 * Answers requests about a bucket: HeadBucket, GetBucketLocation, ListObjects, ListObjectVersions and ListBuckets. Listings come from the
 * origin page by page, as the client asks for them.
 *
 * Invariants:
 * 1. At most {@link listsMax} listings are in progress, from the question to the last byte, and at most {@link waitingMax}
 *    requests wait for that, in all threads together. A page with its XML takes about 1 MiB, and many clients may wait for
 *    one page.
 * 2. One page is rendered in a turn of the event loop. All who wait for a page get it in the same turn.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type Permit, Semaphore } from "../base/semaphore.ts";
import type { Bucket } from "../object/bucket.ts";
import { ListingTurns } from "../object/listing-turns.ts";
import type { ListedBucket, ListPage } from "../origin/origin.ts";
import type { Exchange } from "./exchange.ts";
import type { ListObjectsRequest } from "./list-request.ts";
import { bucketLocationXml, emptyListPage, listBucketsXml, listObjectsXml } from "./list-response.ts";
import { listVersionsXml } from "./listing/version-list-response.ts";
import type { BucketRequest, ListBucketsRequest } from "./s3-request.ts";
import type { ProcessLimits } from "./threads/process-limits.ts";

export interface BucketHandlerOptions {
  /** For buckets whose origin has no region: sent as their location, and in `x-amz-bucket-region`. */
  readonly region: string;
  readonly clock: Clock;
  /** Of several threads that serve clients. */
  readonly processLimits?: ProcessLimits | undefined;
}

const listsMax = 128;
const waitingMax = 1000;
/** How long a request waits until fewer listings are in progress. After that its client gets 503 SlowDown. */
const queueTimeoutMs = 5000;

/**
 * Empty pages that are skipped in a row. Origins may send some (Azure does under load), and ListObjects V1 cannot
 * continue from one. An origin that sends them for ever must not hold a client for ever.
 */
const emptyPagesMax = 100;

export class BucketHandler {
  readonly #region: string;
  readonly #permits: Pick<Semaphore, "acquire">;
  readonly #turns = new ListingTurns();

  constructor({ region, clock, processLimits }: BucketHandlerOptions) {
    this.#region = region;
    const name = "a listing";
    this.#permits =
      processLimits?.semaphore("listings", name, listsMax, clock, waitingMax) ??
      new Semaphore(name, listsMax, clock, waitingMax, "edge");
  }

  handle(exchange: Exchange, request: BucketRequest | ListObjectsRequest, bucket: Bucket): void {
    const region = bucket.region ?? this.#region;
    switch (request.kind) {
      case "head-bucket":
        exchange.operation = "head_bucket";
        exchange.send(200, [...exchange.idHeaders(), "x-amz-bucket-region", region], "");
        return;
      case "get-bucket-location":
        exchange.operation = "bucket_location";
        exchange.sendXml(bucketLocationXml(region));
        return;
      case "list-objects-v1":
      case "list-objects-v2":
      case "list-object-versions":
        exchange.operation = "list_objects";
        void this.#list(exchange, request, bucket);
        return;
    }
  }

  /** `sorted` by name. `regionOf` tells a region as {@link Bucket.region} does. */
  listBuckets(
    exchange: Exchange,
    { page }: ListBucketsRequest,
    sorted: readonly ListedBucket[],
    regionOf: (name: string) => string | undefined,
  ): void {
    exchange.operation = "list_buckets";
    exchange.sendXml(listBucketsXml(sorted, page, (name) => regionOf(name) ?? this.#region));
  }

  async #list(exchange: Exchange, request: ListObjectsRequest, bucket: Bucket): Promise<void> {
    const waits = exchange.begin("metadata");
    try {
      releaseAtEnd(await this.#permits.acquire(queueTimeoutMs), exchange);
      if (exchange.isOver) return;
      const page = request.maxKeys === 0 ? emptyListPage : await nextPage(request, bucket);
      waits.end();
      await this.#turns.next();
      if (exchange.isOver) return;
      const isOfVersions = request.kind === "list-object-versions";
      exchange.sendXml(isOfVersions ? listVersionsXml(request, page) : listObjectsXml(request, page));
    } catch (thrown) {
      exchange.sendError(OrcaError.from(thrown, "internal", "edge", "Cannot list objects"));
    }
  }
}

/** The response of a client that left while it waited is closed already, or will be. */
export function releaseAtEnd(permit: Permit, { response }: Exchange): void {
  if (response.closed) permit.release();
  else response.once("close", () => permit.release());
}

async function nextPage(request: ListObjectsRequest, bucket: Bucket): Promise<ListPage> {
  const { prefix, delimiter, maxKeys, startAfter, versionIdMarker } = request;
  let continuationToken = request.originToken;
  // S3 names where the next page of versions begins, also after an empty page.
  if (versionIdMarker !== undefined)
    return bucket.list({ prefix, delimiter, maxKeys, startAfter, continuationToken, versionIdMarker });
  for (let page = 0; page < emptyPagesMax; page += 1) {
    const found = await bucket.list({ prefix, delimiter, maxKeys, startAfter, continuationToken });
    const isLast = found.nextContinuationToken === "";
    if (isLast || found.objects.length > 0 || found.commonPrefixes.length > 0) return found;
    continuationToken = found.nextContinuationToken;
  }
  throw new OrcaError(
    "origin_unavailable",
    "edge",
    `Cannot list "${prefix}": the origin sent ${emptyPagesMax} empty pages`,
  );
}
