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
 * Another replica can go on (warm-ups.ts): a warm-up that is paused begins no more chunks, and ends when those in flight have
 * ended. What the replica that stops has filled may be held nowhere then, also of objects that are done, so a warm-up that
 * begins after a mark fills again, in its third pass, what is missing.
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
import { type Clock, sleep, type Timer, unlessAborted } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { ClusterWarmer, WarmedChunk } from "../../fill/warming/cluster-warmer.ts";
import type { HandedWarmUp } from "../../fill/warming/handed-warm-up.ts";
import { TaskPool } from "../../fill/warming/task-pool.ts";
import type { Bucket } from "../../object/bucket.ts";
import type { Count, MissingDocument, WarmDocument } from "./warm-document.ts";
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
  /** Wall-clock time; 0 for no pins. */
  readonly pinUntilMs: number;
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
/** For chunks in flight when this replica stops. */
const finishMs = 3000;

/** What is done with each chunk in a pass. */
type ChunkWork = (object: WarmObject, version: ObjectVersion, index: number) => Promise<void>;

export class WarmUp {
  readonly #parts: WarmUpParts;
  readonly #plan: WarmPlan;
  readonly #runId: string;
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
  readonly #pausing = new AbortController();
  readonly #stop = new AbortController();
  #lateTimer: Timer | undefined;
  /** Ends chunks in flight, which a pause does not. */
  #inFlight: AbortSignal = AbortSignal.abort();
  /** The members over which the second pass has spread all chunks. Unknown where it began after a mark. */
  #filledFor: readonly unknown[] | undefined;
  #state: WarmDocument["state"] = "listing";
  #reason: string | null = null;
  #continued: WarmDocument["continued"] = null;
  #after: string;
  #objects = 0;
  #bytes = 0;
  /** Of objects that an earlier part of a resumed warm-up was done with. */
  #skippedBytes = 0;
  #passBytes = 0;

  constructor(plan: WarmPlan, parts: WarmUpParts, runId: string) {
    this.#parts = parts;
    this.#plan = plan;
    this.#runId = runId;
    this.#after = plan.after;
    if (plan.bytesPerSecond !== undefined) this.#pace = new BytePace(parts.clock, plan.bytesPerSecond);
  }

  get document(): WarmDocument {
    const { source, isDryRun } = this.#plan;
    return {
      id: warmId({ source: source.name, after: this.#after }),
      run_id: this.#runId,
      source: source.title,
      dry_run: isDryRun,
      state: this.#state,
      objects: this.#objects,
      bytes: this.#bytes,
      pass_bytes: this.#passBytes,
      // Objects that were overwritten with larger ones are counted as they are now.
      pass_total_bytes: Math.max(
        this.#passBytes,
        this.#bytes - (this.#state === "filling" ? this.#skippedBytes : 0),
      ),
      held: { ...this.#held },
      filled: { ...this.#filled },
      verified: { ...this.#verified },
      missing: { ...this.#missing },
      unpinned: { ...this.#unpinned },
      missing_chunks: [...this.#named],
      reason: this.#reason,
      continued: this.#continued,
    };
  }

  /** For the replica that goes on. Undefined for one that has ended otherwise than by a pause, and for a dry run. */
  get handed(): HandedWarmUp | undefined {
    const { source, isDryRun, bytesPerSecond, pinUntilMs } = this.#plan;
    const isPaused = this.#state === "failed" && this.#pausing.signal.aborted;
    if (!isPaused || isDryRun) return undefined;
    return { runId: this.#runId, source: source.handed, after: this.#after, bytesPerSecond, pinUntilMs };
  }

  /** Begins no more chunks. It ends when those in flight have ended, or after {@link finishMs}, as failed for `reason`. */
  pause(reason: OrcaError): void {
    if (this.#state === "complete" || this.#state === "incomplete" || this.#state === "failed") return;
    this.#lateTimer ??= this.#parts.clock.timer(finishMs, () => this.#stop.abort(reason));
    this.#pausing.abort(reason);
  }

  /** It was paused, and goes on elsewhere. */
  goesOnAt(continued: NonNullable<WarmDocument["continued"]>): void {
    this.#state = "handed_on";
    this.#reason = null;
    this.#continued = continued;
  }

  /** Resolves when it begins nothing more and its chunks have ended. Never rejects: how it ended is in the document. */
  async run(caller: AbortSignal): Promise<void> {
    this.#inFlight = AbortSignal.any([caller, this.#stop.signal]);
    const signal = AbortSignal.any([this.#inFlight, this.#pausing.signal]);
    try {
      await this.#list(signal);
      if (!this.#plan.isDryRun) await this.#fill(signal);
      await this.#verify(signal);
      const isComplete = this.#plan.isDryRun || this.#missing.chunks + this.#unpinned.chunks === 0;
      this.#state = isComplete ? "complete" : "incomplete";
    } catch (thrown) {
      if (this.#pausing.signal.aborted) await this.#idle();
      this.#reason = OrcaError.from(thrown, "internal", "client", "Cannot warm").message;
      this.#state = "failed";
      this.#stop.abort();
      await this.#idle();
    } finally {
      this.#lateTimer?.cancel();
    }
  }

  async #idle(): Promise<void> {
    for (const pool of this.#pools) await pool.idle();
  }

  get #pinUntilMs(): number {
    return this.#plan.isDryRun ? 0 : this.#plan.pinUntilMs;
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
    if (this.#plan.after === "") this.#filledFor = this.#parts.warmer.members;
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
      const look = (): Promise<WarmedChunk> =>
        warmer.look({ version, index }, this.#inFlight, this.#pinUntilMs);
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
    const warmed = await this.#parts.warmer.fill({ version, index }, pace, this.#inFlight, this.#pinUntilMs);
    // The wait for the pace may have ended because of a pause. Nothing was fetched then.
    if (warmed.result === "missing") signal.throwIfAborted();
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
    const objects = this.#plan.source.objects(after, mayAsk);
    // An origin that does not answer must not hold up the end.
    for (;;) {
      const next = await unlessAborted(objects.next(), signal);
      if (next.done) return;
      yield next.value;
    }
  }

  /** The version that clients read now, or why there is none. Rejects only with the signal's reason. */
  async #lookUp({ bucket, key }: WarmObject, signal: AbortSignal): Promise<ObjectVersion | OrcaError> {
    const fault = bucket.faultOf(key);
    if (fault) return fault;
    await this.#mayAsk(bucket, signal);
    try {
      const found = await unlessAborted(bucket.directory.lookup(bucket.locate(key)), signal);
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
