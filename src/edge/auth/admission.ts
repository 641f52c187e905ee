/**
 * The way from a parsed request to its handler: who sends it, whether that client may read, and whether there is such a
 * bucket. The right comes first, so that a denied request costs no origin and learns nothing. A request for a bucket that
 * is known runs through without a promise.
 *
 * A bucket may have to be asked for first: of `origin.buckets: {"*"}` (open-buckets.ts), and any bucket where the request
 * is about the bucket itself (configured-buckets.ts). With `authorize: origin` the
 * verdict of the origin, which is about a key in a bucket, comes after that.
 */

import { OrcaError } from "../../base/orca-error.ts";
import type { Bucket } from "../../object/bucket.ts";
import { type Buckets, notConfigured, type OtherLookups } from "../../object/buckets.ts";
import type { FoundBucket } from "../../object/open-buckets.ts";
import type { ListedBucket } from "../../origin/origin.ts";
import type { BucketHandler } from "../bucket-handler.ts";
import type { Exchange } from "../exchange.ts";
import { faultOfAmzHeaders } from "../headers/amz-headers.ts";
import { faultOfOverrides } from "../headers/response-overrides.ts";
import type { EdgeRequest } from "../lane/edge-request.ts";
import type { ObjectHandler } from "../object-handler.ts";
import type { AcceptedRequest, BucketedRequest, ListBucketsRequest } from "../s3-request.ts";
import type { SubResourceHandler } from "../sub-resources/sub-resource-handler.ts";
import { accessDenied, type Denial } from "./auth-error.ts";
import type { ClientAccess } from "./client-access.ts";
import type { Identity } from "./identity.ts";

export interface AdmissionOptions {
  readonly buckets: Buckets<OtherLookups>;
  /** Undefined where clients do not authenticate: everybody who connects reads everything. */
  readonly access?: ClientAccess | undefined;
  readonly objectHandler: ObjectHandler;
  readonly bucketHandler: BucketHandler;
  readonly subResourceHandler: SubResourceHandler;
}

export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** May throw for a bug. What it leaves to a promise ends in the exchange. */
  admit(exchange: Exchange, request: AcceptedRequest, message: EdgeRequest): void {
    const { access } = this.#options;
    if (request.kind !== "list-buckets") {
      exchange.bucket = request.bucket;
      if ("key" in request) exchange.key = request.key;
    }
    const identity = access?.identify(message);
    if (identity instanceof OrcaError) {
      this.#deny(exchange, identity);
      return;
    }
    exchange.client = identity;
    const refused = faultOfOverrides(request, message, identity);
    if (refused) {
      this.#deny(exchange, refused);
      return;
    }
    if (request.kind === "list-buckets") void this.#listBuckets(exchange, request, identity);
    else this.#admitTo(exchange, request, identity);
  }

  #admitTo(exchange: Exchange, request: BucketedRequest, identity: Identity | undefined): void {
    const { buckets } = this.#options;
    const bucket = buckets.get(request.bucket);
    const denial = this.#denialOf(request, bucket, identity);
    if (denial instanceof OrcaError) this.#deny(exchange, denial);
    else if (bucket !== undefined && denial === undefined && !this.#asksFirst(request))
      this.#handle(exchange, request, bucket);
    else if (bucket === undefined && buckets.others === undefined)
      exchange.sendError(notConfigured(request.bucket));
    else void this.#handleLater(exchange, request, bucket, denial, identity);
  }

  #denialOf(
    request: BucketedRequest,
    bucket: Bucket | undefined,
    identity: Identity | undefined,
  ): Denial | Promise<Denial> {
    return identity && this.#options.access?.authorize(identity, request, bucket);
  }

  /** Whether the bucket itself is what the request is about, and the origin has not been asked with the client's key. */
  #asksFirst(request: BucketedRequest): boolean {
    return isAboutBucket(request) && !this.#options.access?.originDecides;
  }

  async #handleLater(
    exchange: Exchange,
    request: BucketedRequest,
    known: Bucket | undefined,
    asked: Denial | Promise<Denial>,
    identity: Identity | undefined,
  ): Promise<void> {
    try {
      const denial = await asked;
      if (denial) {
        this.#deny(exchange, denial);
        return;
      }
      const bucket = known && !this.#asksFirst(request) ? known : await this.#find(exchange, request);
      if (bucket === undefined) return;
      const verdict = known ? undefined : await this.#denialOf(request, bucket, identity);
      if (verdict) this.#deny(exchange, verdict);
      else if (!exchange.isOver) this.#handle(exchange, request, bucket);
    } catch (thrown) {
      exchange.fail(thrown);
    }
  }

  /** Undefined where the exchange has got an error instead. */
  async #find(exchange: Exchange, request: BucketedRequest): Promise<Bucket | undefined> {
    const waits = exchange.begin("metadata");
    const found = await this.#options.buckets.find(request.bucket);
    waits.end();
    const fault = found instanceof OrcaError ? found : this.#faultOf(found, request);
    if (fault) exchange.sendError(fault);
    return fault || found instanceof OrcaError ? undefined : found.bucket;
  }

  /** Why a request about the bucket itself cannot be answered. */
  #faultOf({ fault }: FoundBucket, request: BucketedRequest): OrcaError | undefined {
    if (fault === undefined || !this.#asksFirst(request)) return undefined;
    return fault.code === "origin_denied" ? accessDenied() : fault;
  }

  async #listBuckets(
    exchange: Exchange,
    request: ListBucketsRequest,
    identity: Identity | undefined,
  ): Promise<void> {
    const { bucketHandler, buckets } = this.#options;
    try {
      const listed = await this.#bucketsFor(exchange, identity);
      if (exchange.isOver) return;
      if (listed instanceof OrcaError) this.#deny(exchange, listed);
      else bucketHandler.listBuckets(exchange, request, listed, (name) => buckets.regionOf(name));
    } catch (thrown) {
      exchange.fail(thrown);
    }
  }

  async #bucketsFor(
    exchange: Exchange,
    identity: Identity | undefined,
  ): Promise<readonly ListedBucket[] | OrcaError> {
    const { buckets, access } = this.#options;
    const names =
      access && identity
        ? await access.bucketsFor(identity, buckets.configured)
        : [...buckets.configured.keys()];
    if (names instanceof OrcaError) return names;
    const configured = names.map((name) => ({ name, createdMs: undefined }));
    if (buckets.others === undefined) return configured.toSorted(byName);
    const waits = exchange.begin("metadata");
    const others = await this.#othersFor(identity);
    waits.end();
    if (others instanceof OrcaError) return others;
    return [...configured, ...others].toSorted(byName);
  }

  /** With `authorize: origin`, those that the origin tells the client's own key. A client without one knows none. */
  async #othersFor(identity: Identity | undefined): Promise<readonly ListedBucket[] | OrcaError> {
    const { buckets, access } = this.#options;
    const key = access?.originDecides ? identity?.originKey : undefined;
    if (access?.originDecides && key === undefined) return [];
    try {
      const others = await buckets.listOthers(key);
      return access && identity ? others.filter(({ name }) => access.mayKnow(identity, name)) : others;
    } catch (thrown) {
      if (thrown instanceof OrcaError && thrown.code === "origin_denied") return accessDenied();
      throw thrown;
    }
  }

  #handle(exchange: Exchange, request: BucketedRequest, bucket: Bucket): void {
    const { objectHandler, bucketHandler, subResourceHandler } = this.#options;
    const fault = faultOfAmzHeaders(exchange.request.headers, bucket.owner);
    if (fault) {
      exchange.sendError(fault);
      return;
    }
    if (request.kind === "get-sub-resource") subResourceHandler.handle(exchange, request, bucket);
    else if ("key" in request) objectHandler.handle(exchange, request, bucket);
    else bucketHandler.handle(exchange, request, bucket);
  }

  #deny(exchange: Exchange, denial: OrcaError): void {
    this.#options.access?.countDenial(denial);
    exchange.sendError(denial);
  }
}

function byName(a: ListedBucket, b: ListedBucket): number {
  return a.name < b.name ? -1 : 1;
}

/** A question about an object, or for a page of a listing, finds a bucket that is gone just as well. */
function isAboutBucket(request: BucketedRequest): boolean {
  switch (request.kind) {
    case "head-bucket":
    case "get-bucket-location":
      return true;
    case "get-sub-resource":
      return request.key === "";
    case "list-objects-v1":
    case "list-objects-v2":
    case "list-object-versions":
      return request.maxKeys === 0;
    default:
      return false;
  }
}
