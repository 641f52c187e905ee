/**
 * The cache of object metadata for one origin: size, ETag and the headers a client must get back. It decides which
 * version a request reads, so its TTLs are the whole of Orca's staleness.
 *
 * Invariants:
 * 1. An entry expires `ttlMs` after the HEAD that brought it was *sent*: whatever the origin held after that moment is
 *    seen at the latest one TTL later.
 * 2. At most one HEAD per object is in flight and may be joined. Where the object was forgotten under it, or a TTL has
 *    passed since it was sent, its answer may be from before a change that the next request must see: it is given to
 *    those who wait and to nobody else.
 * 3. Errors are never kept. Kept as negative entries are facts about the object: absent, no ETag, not supported.
 */
import type { Clock } from "../base/clock.ts";
import { type ErrorCode, OrcaError } from "../base/orca-error.ts";
import { type ChunkTier, chunkSizeFor } from "../chunk/layout.ts";
import { ObjectVersion } from "../chunk/object-version.ts";
import type { ObjectHead, ObjectLocation } from "../origin/origin.ts";

/** An object as it was when the origin was last asked. */
export interface ObjectRecord {
  readonly version: ObjectVersion;
  readonly head: ObjectHead;
}

/** A refused look-up is a value too, because it can be kept. */
export type LookupResult =
  | { readonly kind: "found"; readonly record: ObjectRecord }
  | { readonly kind: "refused"; readonly error: OrcaError };

/** The one question the directory asks an origin. */
export interface HeadSource {
  readonly id: string;
  head(location: ObjectLocation): Promise<ObjectHead | null>;
}

export interface DirectoryOptions {
  readonly origin: HeadSource;
  readonly clock: Clock;
  readonly chunkTiers: readonly ChunkTier[];
  /** 0 asks the origin for every request. */
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  readonly entriesMax: number;
}

interface Entry {
  readonly result: LookupResult;
  readonly expiresMs: number;
}

/** A HEAD in flight and those who wait for it. */
interface Lookup extends PromiseWithResolvers<LookupResult> {
  readonly sentMs: number;
}

/** Faults that say something lasting about the object, not about the moment. */
const negativeCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "origin_missing_etag",
  "origin_unsupported",
]);

export class Directory {
  readonly stats = { hits: 0, misses: 0, joins: 0, negativeHits: 0, forgotten: 0 };
  readonly #options: DirectoryOptions;
  /** In order of use, the least recently used first. */
  readonly #entries = new Map<string, Entry>();
  readonly #lookups = new Map<string, Lookup>();

  constructor(options: DirectoryOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What is known and fresh, without asking anybody. */
  peek(location: ObjectLocation): LookupResult | undefined {
    const name = entryName(location);
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    this.#entries.delete(name);
    if (entry.expiresMs <= this.#options.clock.monotonic()) return undefined;
    this.#entries.set(name, entry);
    if (entry.result.kind === "found") this.stats.hits += 1;
    else this.stats.negativeHits += 1;
    return entry.result;
  }

  /** What is known, else what the origin says. @throws OrcaError when the origin could not be asked. */
  async lookup(location: ObjectLocation): Promise<LookupResult> {
    const known = this.peek(location);
    if (known) return known;
    const name = entryName(location);
    const nowMs = this.#options.clock.monotonic();
    const running = this.#lookups.get(name);
    // With a TTL of 0 nobody joins: who asks after an overwrite must not get an answer from before it.
    if (running && nowMs - running.sentMs < this.#options.ttlMs) {
      this.stats.joins += 1;
      return running.promise;
    }
    this.stats.misses += 1;
    const lookup: Lookup = { ...Promise.withResolvers<LookupResult>(), sentMs: nowMs };
    this.#lookups.set(name, lookup);
    void this.#ask(location, name, lookup);
    return lookup.promise;
  }

  /**
   * Drops what is believed of an object because `etag` turned out not to be its ETag any more. An entry that already
   * tells of another version stays: whoever looked again before us was right.
   */
  forget(location: ObjectLocation, etag: string): void {
    const name = entryName(location);
    const entry = this.#entries.get(name);
    if (entry?.result.kind === "found" && entry.result.record.version.etag !== etag) return;
    this.#entries.delete(name);
    this.#lookups.delete(name);
    this.stats.forgotten += 1;
  }

  async #ask(location: ObjectLocation, name: string, lookup: Lookup): Promise<void> {
    const { origin, ttlMs, negativeTtlMs } = this.#options;
    const isCurrent = (): boolean => this.#lookups.get(name) === lookup;
    try {
      const result = await this.#askOrigin(origin, location);
      const keepMs = result.kind === "found" ? ttlMs : negativeTtlMs;
      if (keepMs > 0 && isCurrent()) this.#keep(name, { result, expiresMs: lookup.sentMs + keepMs });
      lookup.resolve(result);
    } catch (thrown) {
      lookup.reject(thrown);
    } finally {
      if (isCurrent()) this.#lookups.delete(name);
    }
  }

  async #askOrigin(origin: HeadSource, location: ObjectLocation): Promise<LookupResult> {
    try {
      const head = await origin.head(location);
      if (head === null) {
        const message = `Cannot find "${location.key}": the origin has no such key`;
        return { kind: "refused", error: new OrcaError("no_such_key", "object", message) };
      }
      return { kind: "found", record: { version: this.#versionOf(origin.id, location, head), head } };
    } catch (thrown) {
      if (thrown instanceof OrcaError && negativeCodes.has(thrown.code)) {
        return { kind: "refused", error: thrown };
      }
      throw thrown;
    }
  }

  #versionOf(originId: string, location: ObjectLocation, head: ObjectHead): ObjectVersion {
    return new ObjectVersion({
      originId,
      bucket: location.bucket,
      objectKey: location.key,
      etag: head.etag,
      sizeBytes: head.sizeBytes,
      chunkSizeBytes: chunkSizeFor(head.sizeBytes, this.#options.chunkTiers),
    });
  }

  #keep(name: string, entry: Entry): void {
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    if (this.#entries.size <= this.#options.entriesMax) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }
}

/** Bucket names hold no NUL, so no two locations share a name. */
function entryName(location: ObjectLocation): string {
  return `${location.bucket}\0${location.key}`;
}
