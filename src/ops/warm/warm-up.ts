/**
 * One warm-up, on the replica that leads it. It reads its source three times:
 *
 *   1. list: counts objects and bytes, so that progress has an end.
 *   2. fill: asks the replicas that should hold a chunk to fill it, where they do not hold it yet.
 *   3. verify: asks all of them again, and fills nothing, unless the members have changed. A chunk that was evicted
 *      meanwhile is found here, and the warm-up ends as incomplete: to fetch it again would evict another one.
 *
 * An object that is overwritten during the second pass is looked up again at its end. One that is overwritten later is
 * found missing by the third, as soon as clients would read its new version.
 *
 * A dry run leaves out the second pass. Each pass looks an object up as a client's HEAD would, so the versions that it
 * warms are those that clients will read.
 *
 * Bounds: one page of a listing, {@link objectsMax} objects and {@link chunksPerReplica} chunks a replica at once (at most
 * {@link chunksMax}), {@link openMax} objects since the mark, {@link namedMax} missing chunks by name, {@link reasonsMax}
 * reasons, {@link outdatedMax} objects to look up again.
 *
 * Invariant: all objects up to the mark are done, whatever comes after it.
 */
import { BytePace } from "../../base/byte-pace.ts";
import { type Clock, sleep } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { ClusterWarmer, WarmedChunk } from "../../fill/warming/cluster-warmer.ts";
import { TaskPool } from "../../fill/warming/task-pool.ts";
import type { Bucket } from "../../object/bucket.ts";
import { warmId } from "./warm-id.ts";
import type { WarmObject, WarmSource } from "./warm-source.ts";

/** The permits of an origin, as GuardedOrigin counts them. */
export interface PermitCounts {
  readonly requestsInFlight: number;
  readonly requestsWaiting: number;
  readonly requestsInFlightMax: number;
}

export interface WarmUpParts {
  readonly warmer: ClusterWarmer;
  readonly origins: ReadonlyMap<string, PermitCounts>;
  readonly clock: Clock;
}

export interface WarmPlan {
  readonly source: WarmSource;
  /** The mark after which the second pass begins. */
  readonly after: string;
  readonly isDryRun: boolean;
  /** For bytes from the origin. Undefined for no limit. */
  readonly bytesPerSecond: number | undefined;
  /** From the start of the warm-up; 0 for no pins. */
  readonly pinMs: number;
}

interface Count {
  chunks: number;
  bytes: number;
}

export interface MissingDocument {
  readonly url: string;
  /** Null where the whole object is. */
  readonly chunk: number | null;
  readonly reason: string;
}

/** A line of the answer to `POST /cache/warm`, and an item of `GET /cache/warm`. Fields stay, new ones may come. */
export interface WarmDocument {
  /** With it the warm-up is resumed from here. */
  readonly id: string;
  readonly source: string;
  readonly dry_run: boolean;
  /** The last three end it. `complete`: all that was found is held, or it was a dry run. */
  readonly state: "listing" | "filling" | "verifying" | "complete" | "incomplete" | "failed";
  /** What the source has, as far as it was listed. */
  readonly objects: number;
  readonly bytes: number;
  /** Bytes that the present pass is done with, and those that it will have been done with. */
  readonly pass_bytes: number;
  readonly pass_total_bytes: number;
  /** Before the warm-up. */
  readonly held: Readonly<Count>;
  readonly filled: Readonly<Count>;
  readonly verified: Readonly<Count>;
  /** Objects that could not be looked up count as one chunk. */
  readonly missing: Readonly<Count>;
  /** Verified, but not pinned, where pins were asked for. */
  readonly unpinned: Readonly<Count>;
  /** The first that are missing or unpinned. */
  readonly missing_chunks: readonly MissingDocument[];
  /** Why it failed; null unless it did. */
  readonly reason: string | null;
}

const objectsMax = 16;
const chunksPerReplica = 4;
const chunksMax = 64;
const namedMax = 20;
const reasonsMax = 1000;
const outdatedMax = 1000;
/** Objects since the mark: those that are done wait for the ones before them. */
const openMax = 10_000;
const pauseMs = 20;

/** What is done with each chunk in a pass. */
type ChunkWork = (object: WarmObject, version: ObjectVersion, index: number) => Promise<void>;

export class WarmUp {
  readonly #parts: WarmUpParts;
  readonly #plan: WarmPlan;
  readonly #pace: BytePace | undefined;
  /** Why chunks could not be filled, by URL and index. */
  readonly #reasons = new Map<string, string>();
  /** Objects that were overwritten during the second pass. */
  readonly #outdated = new Set<WarmObject>();
  readonly #named: MissingDocument[] = [];
  readonly #held: Count = { chunks: 0, bytes: 0 };
  readonly #filled: Count = { chunks: 0, bytes: 0 };
  readonly #verified: Count = { chunks: 0, bytes: 0 };
  readonly #missing: Count = { chunks: 0, bytes: 0 };
  readonly #unpinned: Count = { chunks: 0, bytes: 0 };
  /** Two a pass. Their tasks end before the warm-up does. */
  readonly #pools: TaskPool[] = [];
  /** 0 for no pins. */
  readonly #pinUntilMs: number;
  /** The members over which the second pass has spread chunks. */
  #filledFor: readonly unknown[] | undefined;
  #state: WarmDocument["state"] = "listing";
  #reason: string | null = null;
  #after: string;
  #objects = 0;
  #bytes = 0;
  /** Of objects that an earlier part of a resumed warm-up was done with. */
  #skippedBytes = 0;
  #passBytes = 0;

  constructor(plan: WarmPlan, parts: WarmUpParts) {
    this.#parts = parts;
    this.#plan = plan;
    this.#after = plan.after;
    this.#pinUntilMs = plan.pinMs > 0 && !plan.isDryRun ? parts.clock.now() + plan.pinMs : 0;
    if (plan.bytesPerSecond !== undefined) this.#pace = new BytePace(parts.clock, plan.bytesPerSecond);
  }

  get document(): WarmDocument {
    const { source, isDryRun } = this.#plan;
    return {
      id: warmId({ source: source.name, after: this.#after }),
      source: source.title,
      dry_run: isDryRun,
      state: this.#state,
      objects: this.#objects,
      bytes: this.#bytes,
      pass_bytes: this.#passBytes,
      pass_total_bytes: this.#state === "filling" ? this.#bytes - this.#skippedBytes : this.#bytes,
      held: { ...this.#held },
      filled: { ...this.#filled },
      verified: { ...this.#verified },
      missing: { ...this.#missing },
      unpinned: { ...this.#unpinned },
      missing_chunks: [...this.#named],
      reason: this.#reason,
    };
  }

  /** Resolves when nothing of it runs any more. Never rejects: how it ended is in the document. */
  async run(caller: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const signal = AbortSignal.any([caller, stop.signal]);
    try {
      await this.#list(signal);
      if (!this.#plan.isDryRun) await this.#fill(signal);
      await this.#verify(signal);
      const isComplete = this.#plan.isDryRun || this.#missing.chunks + this.#unpinned.chunks === 0;
      this.#state = isComplete ? "complete" : "incomplete";
    } catch (thrown) {
      this.#reason = OrcaError.from(thrown, "internal", "client", "Cannot warm").message;
      this.#state = "failed";
      stop.abort();
      for (const pool of this.#pools) await pool.idle();
    }
  }

  #poolOf(runningMax: () => number): TaskPool {
    const pool = new TaskPool(runningMax);
    this.#pools.push(pool);
    return pool;
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { source, after } = this.#plan;
    const pool = this.#poolOf(() => objectsMax);
    for await (const object of this.#objectsAfter("", signal)) {
      this.#objects += 1;
      const found = (sizeBytes: number): void => {
        this.#bytes += sizeBytes;
        if (after !== "" && source.isUpTo(object, after)) this.#skippedBytes += sizeBytes;
      };
      if (object.sizeBytes !== undefined) found(object.sizeBytes);
      else {
        await pool.start(async () => {
          const version = await this.#lookUp(object, signal);
          if (!(version instanceof OrcaError)) found(version.sizeBytes);
        });
      }
    }
    await pool.ended();
  }

  async #fill(signal: AbortSignal): Promise<void> {
    this.#state = "filling";
    this.#filledFor = this.#parts.warmer.members;
    await this.#pass(this.#objectsAfter(this.#plan.after, signal), signal, async (object, version, index) => {
      const { result, reason, isOutdated } = await this.#fillChunk(version, index, signal);
      if (result === "held") add(this.#held, version.chunkLength(index));
      if (isOutdated) this.#foundOutdated(object, version);
      else if (reason !== undefined && this.#reasons.size < reasonsMax)
        this.#reasons.set(nameOf(object, index), reason);
    });
    const outdated = [...this.#outdated];
    this.#outdated.clear();
    await this.#pass(outdated, signal, async (_object, version, index) => {
      await this.#fillChunk(version, index, signal);
    });
  }

  async #verify(signal: AbortSignal): Promise<void> {
    const { warmer } = this.#parts;
    this.#state = "verifying";
    await this.#pass(this.#objectsAfter("", signal), signal, async (object, version, index) => {
      const bytes = version.chunkLength(index);
      const isDryRun = this.#plan.isDryRun;
      const look = (): Promise<WarmedChunk> => warmer.look({ version, index }, signal, this.#pinUntilMs);
      let { result, reason } = await look();
      // Another replica should hold it now than the one that filled it.
      if (result === "missing" && !isDryRun && warmer.members !== this.#filledFor) {
        ({ result, reason } = await this.#fillChunk(version, index, signal));
        if (result !== "missing" && this.#pinUntilMs > 0) ({ result, reason } = await look());
      }
      const why = this.#reasons.get(nameOf(object, index)) ?? reason ?? "it is not held";
      const named = { url: urlOf(object), chunk: index, reason: why };
      if (result === "unpinned") this.#name(this.#unpinned, bytes, named);
      if (result === "missing") this.#name(this.#missing, bytes, named);
      else add(isDryRun ? this.#held : this.#verified, bytes);
    });
  }

  async #fillChunk(version: ObjectVersion, index: number, signal: AbortSignal): Promise<WarmedChunk> {
    const bytes = version.chunkLength(index);
    const pace = this.#pace && ((): Promise<void> => this.#spend(bytes, signal));
    const warmed = await this.#parts.warmer.fill({ version, index }, pace, signal, this.#pinUntilMs);
    if (warmed.result === "filled") add(this.#filled, bytes);
    return warmed;
  }

  /** Its next look-up asks the origin, and its chunks are filled once more at the end of the pass. */
  #foundOutdated(object: WarmObject, { etag }: ObjectVersion): void {
    object.bucket.directory.forget(object.bucket.locate(object.key), etag);
    if (this.#outdated.size < outdatedMax) this.#outdated.add(object);
  }

  /** Looks up each object of `source`, and does `work` with each of its chunks. */
  async #pass(
    source: AsyncIterable<WarmObject> | readonly WarmObject[],
    signal: AbortSignal,
    work: ChunkWork,
  ): Promise<void> {
    const { warmer } = this.#parts;
    const isMain = this.#state === "filling" && !Array.isArray(source);
    if (!Array.isArray(source)) this.#passBytes = 0;
    const objects = this.#poolOf(() => objectsMax);
    const chunks = this.#poolOf(() => Math.min(chunksMax, chunksPerReplica * warmer.members.length));
    const open: { readonly mark: string; isDone: boolean }[] = [];
    for await (const object of source) {
      const entry = { mark: object.mark, isDone: object.sizeBytes === 0 };
      open.push(entry);
      const done = (): void => {
        entry.isDone = true;
        while (open[0]?.isDone) {
          const { mark } = open.shift() as { mark: string };
          if (isMain) this.#after = mark;
        }
      };
      while (open.length >= openMax) await sleep(this.#parts.clock, pauseMs, signal);
      if (!entry.isDone) await objects.start(() => this.#eachChunk(object, chunks, work, done, signal));
      else done();
    }
    await objects.ended();
    await chunks.ended();
  }

  async #eachChunk(
    object: WarmObject,
    chunks: TaskPool,
    work: ChunkWork,
    done: () => void,
    signal: AbortSignal,
  ): Promise<void> {
    const version = await this.#lookUp(object, signal);
    if (version instanceof OrcaError) {
      const { sizeBytes = 0 } = object;
      const missing = { url: urlOf(object), chunk: null, reason: version.message };
      if (this.#state === "verifying") this.#name(this.#missing, sizeBytes, missing);
      this.#passBytes += sizeBytes;
      return done();
    }
    let open = version.chunkCount;
    if (open === 0) done();
    for (let index = 0; index < version.chunkCount; index += 1) {
      await chunks.start(async () => {
        signal.throwIfAborted();
        await work(object, version, index);
        this.#passBytes += version.chunkLength(index);
        open -= 1;
        if (open === 0) done();
      });
    }
  }

  async *#objectsAfter(after: string, signal: AbortSignal): AsyncGenerator<WarmObject> {
    const mayAsk = (bucket: Bucket): Promise<void> => this.#mayAsk(bucket, signal);
    for await (const object of this.#plan.source.objects(after, mayAsk)) {
      signal.throwIfAborted();
      yield object;
    }
  }

  /** The version that clients read now, or why there is none. Rejects only with the signal's reason. */
  async #lookUp({ bucket, key }: WarmObject, signal: AbortSignal): Promise<ObjectVersion | OrcaError> {
    const fault = bucket.faultOf(key);
    if (fault) return fault;
    await this.#mayAsk(bucket, signal);
    try {
      const found = await bucket.directory.lookup(bucket.locate(key));
      return found.kind === "error" ? found.error : found.record.version;
    } catch (thrown) {
      return OrcaError.from(thrown, "internal", "client", "Cannot look up an object");
    } finally {
      signal.throwIfAborted();
    }
  }

  /** Resolves when no request of this replica waits for the origin, and half of its permits are free. */
  async #mayAsk({ directory }: Bucket, signal: AbortSignal): Promise<void> {
    const { origins, clock } = this.#parts;
    for (;;) {
      signal.throwIfAborted();
      const counts = origins.get(directory.originId);
      if (!counts) return;
      if (counts.requestsWaiting === 0 && counts.requestsInFlight < counts.requestsInFlightMax / 2) return;
      await sleep(clock, pauseMs, signal);
    }
  }

  /** The bytes are paid for before they are asked for. */
  async #spend(bytes: number, signal: AbortSignal): Promise<void> {
    await this.#pace?.spend(bytes, signal);
  }

  #name(count: Count, bytes: number, missing: MissingDocument): void {
    add(count, bytes);
    if (this.#named.length < namedMax) this.#named.push(missing);
  }
}

function urlOf({ bucket, key }: WarmObject): string {
  return `s3://${bucket.name}/${key}`;
}

function nameOf(object: WarmObject, index: number): string {
  return `${urlOf(object)}#${index}`;
}

function add(count: Count, bytes: number): void {
  count.chunks += 1;
  count.bytes += bytes;
}
