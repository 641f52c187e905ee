/**
 * The cache of where parts lie, for one origin: a table for each version (part-table.ts), under its ETag. In a cluster each
 * replica has two, as with metadata: the one in front of clients asks the object's coordinator, whose authority asks the
 * origin. So the origin answers one HEAD for each part and TTL.
 *
 * Invariants:
 * 1. No place is used longer than `ttlMs` after its question was sent. A table ends with the oldest answer in it.
 * 2. Answers are about the version that the question pins by its ETag. A table is not invalidated, because a new version
 *    has a new name. After a clear, no answer to an earlier question is kept, and no caller joins one.
 * 3. One question for a part is in flight. Callers that want the same part wait for it. Each is a client's request or a
 *    peer's, so their number is bounded.
 * 4. Tables are bounded in number and, with those of all directories, in bytes. Errors are not kept.
 */
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import { isBelow, type ObjectPrefix } from "../../chunk/object-prefix.ts";
import type { ObjectPart, PartRequest } from "../../origin/origin.ts";
import type { Asker } from "../../trace/trace.ts";
import { Sweep, type Swept } from "../freshness/sweep.ts";
import type { HeapShare } from "../heap-share.ts";
import { ownText } from "../heap-text.ts";
import type { PartLookups } from "../object-lookups.ts";
import type { PeerPartAnswer } from "../object-peers.ts";
import { onlyPart, PartTable, partWithoutQuestion } from "./part-table.ts";

export interface PartAnswer {
  /** `absent` always has a count. */
  readonly part: ObjectPart;
  /** The remaining TTL. 0: the answer serves only callers that wait. Undefined: the origin itself answered. */
  readonly remainingMs: number | undefined;
}

/** An origin (origin-parts.ts), or the cluster, which asks the origin once for all replicas (cluster-parts.ts). */
export interface PartSource {
  /** Whether objects may have parts at all. Else each is its only part. */
  readonly hasParts: boolean;
  /** @throws OrcaError as `Origin.part`. */
  part(request: PartRequest, asker?: Asker): Promise<PartAnswer>;
}

export interface PartTablesOptions {
  readonly originId: string;
  readonly source: PartSource;
  readonly clock: Clock;
  /** 0: every request asks the source. */
  readonly ttlMs: number;
  readonly entriesMax: number;
  /** Bounds the bytes of all caches of metadata together. */
  readonly heap?: HeapShare | undefined;
}

export class PartTables implements PartLookups, Swept {
  readonly stats = { hits: 0, misses: 0, joins: 0 };
  readonly #options: PartTablesOptions;
  readonly #tables: LruMap<string, PartTable>;
  readonly #questions = new Map<string, Promise<ObjectPart>>();
  readonly #sweep: Sweep;
  #clears = 0;

  constructor(options: PartTablesOptions) {
    this.#options = options;
    const { clock, ttlMs, entriesMax, heap } = options;
    this.#tables = new LruMap({ entriesMax, shared: heap });
    this.#sweep = new Sweep(clock, ttlMs, [this]);
  }

  get size(): number {
    return this.#tables.size;
  }

  /** What the tables take on the heap. */
  get bytes(): number {
    return this.#tables.weight;
  }

  /** Ends the sweeps. */
  close(): void {
    this.#sweep.close();
  }

  /** The part, if it is known. Does not ask the source. */
  peek(request: PartRequest): ObjectPart | undefined {
    if (!this.#options.source.hasParts) return onlyPart(request.partNumber);
    const part = partWithoutQuestion(request) ?? this.#fresh(tableName(request))?.part(request.partNumber);
    if (part) this.stats.hits += 1;
    return part;
  }

  /** The part. @throws OrcaError if the source fails. */
  async find(request: PartRequest, asker?: Asker): Promise<ObjectPart> {
    const known = this.peek(request);
    if (known) return known;
    const name = `${tableName(request)}\0${request.partNumber}`;
    const running = this.#questions.get(name);
    if (running) {
      this.stats.joins += 1;
      return running;
    }
    this.stats.misses += 1;
    const question = this.#ask(request, asker).finally(() => {
      if (this.#questions.get(name) === question) this.#questions.delete(name);
    });
    this.#questions.set(name, question);
    return question;
  }

  /** Like {@link find}, for another replica. */
  async answer(request: PartRequest, asker?: Asker): Promise<PeerPartAnswer> {
    const part = await this.find(request, asker);
    const table = this.#tables.peek(tableName(request));
    const remainingMs = table
      ? Math.max(0, Math.floor(table.expiresMs - this.#options.clock.monotonic()))
      : 0;
    return { part, remainingMs };
  }

  /** Deletes the tables of the objects below `prefix`, or all. Returns how many they were. */
  clear(prefix?: ObjectPrefix): number {
    this.#clears += 1;
    this.#questions.clear();
    const { originId } = this.#options;
    const names = [...this.#tables.anyKeys()].filter((name) =>
      isBelow(prefix, { originId, ...objectOf(name) }),
    );
    for (const name of names) this.#tables.delete(name);
    return names.length;
  }

  /** For a sweep. */
  sweptNames(): IterableIterator<string> {
    return this.#tables.anyKeys();
  }

  /** Deletes the table if it is stale by now. */
  dropIfStale(name: string): void {
    const table = this.#tables.peek(name);
    if (table && table.expiresMs <= this.#options.clock.monotonic()) this.#tables.delete(name);
  }

  async #ask(request: PartRequest, asker: Asker | undefined): Promise<ObjectPart> {
    const { source, clock, ttlMs } = this.#options;
    const sentMs = clock.monotonic();
    const clears = this.#clears;
    const { part, remainingMs = ttlMs } = await source.part(request, asker);
    const expiresMs = sentMs + Math.min(ttlMs, remainingMs);
    if (expiresMs > clock.monotonic() && clears === this.#clears) this.#keep(request, part, expiresMs);
    // Some servers ignore the number, and answer any of them with the whole object.
    return part.kind === "whole" ? onlyPart(request.partNumber) : part;
  }

  #keep(request: PartRequest, part: ObjectPart, expiresMs: number): void {
    const name = tableName(request);
    const known = this.#fresh(name);
    if (known?.fits(part)) {
      known.add(request.partNumber, part);
      known.expiresMs = Math.min(known.expiresMs, expiresMs);
      return;
    }
    const table = new PartTable(part, expiresMs);
    table.add(request.partNumber, part);
    const own = ownText(name);
    this.#tables.set(own, table, table.bytesUnder(own));
    this.#sweep.later();
  }

  #fresh(name: string): PartTable | undefined {
    this.dropIfStale(name);
    return this.#tables.get(name);
  }
}

/** Neither buckets nor ETags contain NUL. */
function tableName({ bucket, key, etag }: PartRequest): string {
  return `${bucket}\0${etag}\0${key}`;
}

/** Keys may contain NUL. */
function objectOf(name: string): { readonly bucket: string; readonly objectKey: string } {
  const bucketEnd = name.indexOf("\0");
  const keyStart = name.indexOf("\0", bucketEnd + 1) + 1;
  return { bucket: name.slice(0, bucketEnd), objectKey: name.slice(keyStart) };
}
