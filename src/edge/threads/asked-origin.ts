/** What a thread of the edge always asks the engine, because it is rare: parts, listings, sub-resources, rights, buckets. */
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { Bucket, SubResources } from "../../object/bucket.ts";
import type { OtherLookups } from "../../object/buckets.ts";
import type { ConfiguredBuckets } from "../../object/configured-buckets.ts";
import type { Listings } from "../../object/listing-cache.ts";
import type { PartLookups } from "../../object/object-lookups.ts";
import type { FoundBucket } from "../../object/open-buckets.ts";
import type {
  ListedBucket,
  ListPage,
  ListRequest,
  ObjectPart,
  OriginKey,
  PartRequest,
  RightQuestion,
  SubResourceAnswer,
  SubResourceQuestion,
} from "../../origin/origin.ts";
import type { Asker } from "../../trace/trace.ts";
import type { LeasedRight, OriginRights } from "../auth/origin-verdicts.ts";
import type { WarmRequests } from "../headers/warm-header.ts";
import type { SentSubResource } from "./engine-desk.ts";
import type { EngineLink } from "./engine-link.ts";
import { sentVersion } from "./question.ts";
import { receivedError, type SentError } from "./sent-error.ts";

/** One origin, by questions. */
export class AskedOrigin implements Listings, OriginRights, PartLookups, SubResources {
  readonly id: string;
  readonly #link: EngineLink;

  constructor(id: string, link: EngineLink) {
    this.id = id;
    this.#link = link;
  }

  peek(): undefined {
    return undefined;
  }

  find(request: PartRequest, asker?: Asker): Promise<ObjectPart> {
    return this.#link.ask({ what: "part", originId: this.id, request }, asker);
  }

  list(request: ListRequest): Promise<ListPage> {
    return this.#link.ask({ what: "list", originId: this.id, request });
  }

  rightOf(question: RightQuestion, name: string): Promise<LeasedRight> {
    return this.#link.ask({ what: "right", originId: this.id, name, question });
  }

  async subResource(question: SubResourceQuestion): Promise<SubResourceAnswer> {
    const asked = { what: "subResource", originId: this.id, question } as const;
    const { status, headers, body } = await this.#link.ask<SentSubResource>(asked);
    return { status, header: (name) => headers[name], body: Buffer.from(body) };
  }
}

/** The engine's queue of objects to warm. */
export class AskedWarming implements WarmRequests {
  readonly #link: EngineLink;

  constructor(link: EngineLink) {
    this.#link = link;
  }

  add(version: ObjectVersion): Promise<"queued" | "full"> {
    return this.#link.ask({ what: "warm", version: sentVersion(version) });
  }
}

/** Whether the origins have the configured buckets. */
export class AskedConfigured implements Pick<ConfiguredBuckets, "faultOf"> {
  readonly #link: EngineLink;

  constructor(link: EngineLink) {
    this.#link = link;
  }

  async faultOf(name: string): Promise<OrcaError | undefined> {
    const asked = await askBucket(this.#link, name);
    if (asked instanceof OrcaError) return asked;
    return asked.error && receivedError(asked.error);
  }
}

interface SentFoundBucket {
  readonly fault?: SentError;
  readonly error?: SentError;
  /** With an error: the engine found the bucket before, and goes on serving what it holds of it. */
  readonly isKnown?: boolean;
}

/** Never rejects, as {@link OtherLookups} promise. */
async function askBucket(link: EngineLink, name: string): Promise<SentFoundBucket | OrcaError> {
  try {
    return await link.ask<SentFoundBucket>({ what: "findBucket", name });
  } catch (thrown) {
    return OrcaError.from(thrown, "internal", "edge", `Cannot look at bucket "${name}"`);
  }
}

interface Known {
  readonly found: FoundBucket;
  readonly endsMs: number;
}

/** The engine keeps buckets for their TTL. A thread asks again after this, so that it learns of the engine's change. */
const copyMsMax = 1000;
const copiesMax = 20_000;

export interface AskedBucketsOptions {
  readonly link: EngineLink;
  readonly clock: Clock;
  /** For how long the engine keeps a bucket. */
  readonly ttlMs: number;
  /** @see Bucket.region */
  readonly region: string | undefined;
  readonly bucketOf: (name: string) => Bucket;
}

/** The buckets of the origin with `"*"`, of which the engine knows whether they are there. */
export class AskedBuckets implements OtherLookups {
  readonly region: string | undefined;
  readonly open: OtherLookups["open"];
  readonly lists: OtherLookups["lists"];
  readonly #link: EngineLink;
  readonly #clock: Clock;
  readonly #copyMs: number;
  readonly #bucketOf: (name: string) => Bucket;
  readonly #known = new LruMap<string, Known>({ entriesMax: copiesMax });
  readonly #asking = new Map<string, Promise<FoundBucket | OrcaError>>();

  constructor({ link, clock, ttlMs, region, bucketOf }: AskedBucketsOptions) {
    this.region = region;
    this.#copyMs = Math.min(copyMsMax, ttlMs);
    this.#link = link;
    this.#clock = clock;
    this.#bucketOf = bucketOf;
    this.open = {
      get: (name) => this.#get(name),
      find: (name) => this.#find(name),
      named: bucketOf,
      isName: () => true,
    };
    // The engine has the lists, and clears them when keys change.
    this.lists = { list: (as) => this.#list(as), clear: () => {} };
  }

  #get(name: string): Bucket | undefined {
    const known = this.#known.get(name);
    if (known === undefined) return undefined;
    if (known.endsMs <= this.#clock.monotonic()) void this.#ask(name);
    return known.found.bucket;
  }

  async #find(name: string): Promise<FoundBucket | OrcaError> {
    const known = this.#known.get(name);
    return known && known.endsMs > this.#clock.monotonic() ? known.found : this.#ask(name);
  }

  #list(as: OriginKey | undefined): Promise<readonly ListedBucket[]> {
    return this.#link.ask({ what: "listOthers", as });
  }

  #ask(name: string): Promise<FoundBucket | OrcaError> {
    const running = this.#asking.get(name);
    if (running) return running;
    const asked = this.#run(name).finally(() => this.#asking.delete(name));
    this.#asking.set(name, asked);
    return asked;
  }

  async #run(name: string): Promise<FoundBucket | OrcaError> {
    const asked = await askBucket(this.#link, name);
    // One that could not be asked about stays known.
    if (asked instanceof OrcaError) return asked;
    const { error, fault = error, isKnown } = asked;
    if (error && !isKnown) {
      this.#known.delete(name);
      return receivedError(error);
    }
    const bucket = this.#known.peek(name)?.found.bucket ?? this.#bucketOf(name);
    const found: FoundBucket = { bucket, fault: fault && receivedError(fault) };
    if (this.#copyMs > 0) this.#known.set(name, { found, endsMs: this.#clock.monotonic() + this.#copyMs });
    return found;
  }
}
