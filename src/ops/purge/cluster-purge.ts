/**
 * A purge, on the replica that leads it: all live replicas forget objects, and the leader says what each did, and which did
 * not answer. It runs in rounds:
 *
 *   1. all replicas forget metadata;
 *   2. all replicas forget metadata again and, unless only metadata shall go, chunks in memory and on disk;
 *   3. with a cachestore, the leader lists the objects at the origin, and deletes the chunks of their versions there. Its
 *      keys are hashes, so it cannot be searched. Chunks of the versions that a replica knows went in round 2.
 *
 * Why metadata goes twice: (a) replica A forgets an object; (b) a client asks A, which asks the coordinator B; (c) B has not
 * been purged yet, and answers with the old version. After round 1 no replica has an answer that is older than the purge,
 * except for those that it got so, and round 2 takes these.
 *
 * Bounds: one purge at once, {@link askedMax} replicas and {@link deletesMax} deletes at once, one page of a listing, and
 * {@link failuresMax} failed deletes.
 */
import { type Clock, sleep } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { type ChunkTier, chunkSizeFor } from "../../chunk/chunk-layout.ts";
import type { ObjectPrefix } from "../../chunk/object-prefix.ts";
import { ObjectVersion } from "../../chunk/object-version.ts";
import { TaskPool } from "../../fill/warming/task-pool.ts";
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import type { Bucket } from "../../object/bucket.ts";
import type {
  PurgeAnswers,
  PurgedReplica,
  PurgePeers,
  PurgeScope,
} from "../../object/freshness/purge-peers.ts";
import type { GuardedCachestore } from "../../store/cachestore/guarded-cachestore.ts";

export interface ClusterPurgeOptions {
  readonly replicaId: string;
  readonly local: PurgeAnswers;
  /** Undefined in a cluster of one. */
  readonly cluster: { readonly coordination: Coordination; readonly peers: PurgePeers } | undefined;
  readonly cachestore: Pick<GuardedCachestore, "tryDelete"> | undefined;
  readonly chunkTiers: readonly ChunkTier[];
  readonly clock: Clock;
}

export interface PurgePlan {
  readonly bucket: Bucket;
  /** As clients name it, below the bucket. */
  readonly keyPrefix: string;
  readonly match: "key" | "prefix";
  /** `pins`: ends pins, and forgets nothing. */
  readonly what: PurgeScope["what"];
  readonly cachestore: boolean;
}

/** A line for each replica, when it has answered or failed. Chunks are null where there is no such tier. */
export interface PurgedDocument {
  readonly replica_id: string;
  readonly self: boolean;
  readonly objects: number | null;
  readonly memory: { readonly chunks: number; readonly bytes: number } | null;
  readonly disk: { readonly chunks: number; readonly bytes: number } | null;
  readonly cachestore: { readonly chunks: number; readonly failed: number } | null;
  /** Why it did not do it; null where it did. */
  readonly reason: string | null;
}

/** A line while others are waited for, and, with another state, the last one. */
export interface PurgeDocument {
  readonly state: "purging" | "complete" | "incomplete";
  readonly replicas: number;
  /** Of these, those that have not answered, or not yet. */
  readonly unanswered: number;
  /** What the leader deleted of the objects that the origin lists; null without that. */
  readonly cachestore: { readonly objects: number; readonly chunks: number; readonly failed: number } | null;
  /** Why the cachestore was not purged; null where it was, or was not to be. */
  readonly reason: string | null;
}

const askedMax = 32;
const deletesMax = 8;
const failuresMax = 1000;
const pageKeysMax = 1000;
const progressIntervalMs = 1000;

export class ClusterPurge {
  readonly #options: ClusterPurgeOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: ClusterPurgeOptions) {
    this.#options = options;
  }

  /** Begins at once. @throws OrcaError `overloaded` while another purge runs; `invalid_argument` without a cachestore. */
  start(plan: PurgePlan, signal: AbortSignal): AsyncIterable<PurgedDocument | PurgeDocument> {
    const { cachestore, clock } = this.#options;
    if (this.#running) throw new OrcaError("overloaded", "client", "Cannot purge: another purge runs here");
    if (plan.cachestore && !cachestore) {
      const reason = "there is no cachestore (cachestore.driver)";
      throw new OrcaError("invalid_argument", "client", `Cannot purge: ${reason}`);
    }
    const run = new PurgeRun(plan, this.#options, AbortSignal.any([signal, this.#stopping.signal]));
    const ended = run.run().finally(() => {
      this.#running = undefined;
    });
    this.#running = ended;
    return following(run, ended, clock);
  }

  /** Ends a purge that runs. What was forgotten until then stays forgotten. */
  async stop(): Promise<void> {
    const reason = "Cannot go on: this replica stops";
    this.#stopping.abort(new OrcaError("shutting_down", "client", reason));
    await this.#running;
  }
}

async function* following(
  run: PurgeRun,
  ended: Promise<void>,
  clock: Clock,
): AsyncGenerator<PurgedDocument | PurgeDocument> {
  const waiting = new AbortController();
  void ended.then(() => waiting.abort());
  let shown = 0;
  while (!waiting.signal.aborted) {
    for (; shown < run.purged.length; shown += 1) yield run.purged[shown] as PurgedDocument;
    yield run.document;
    await sleep(clock, progressIntervalMs, waiting.signal).catch(() => undefined);
  }
  for (; shown < run.purged.length; shown += 1) yield run.purged[shown] as PurgedDocument;
  yield run.document;
}

class PurgeRun {
  readonly purged: PurgedDocument[] = [];
  readonly #plan: PurgePlan;
  readonly #options: ClusterPurgeOptions;
  readonly #signal: AbortSignal;
  readonly #members: readonly (Member | undefined)[];
  readonly #inStore = { objects: 0, chunks: 0, failed: 0 };
  #reason: string | null = null;
  #isOver = false;

  constructor(plan: PurgePlan, options: ClusterPurgeOptions, signal: AbortSignal) {
    this.#plan = plan;
    this.#options = options;
    this.#signal = signal;
    this.#members = options.cluster?.coordination.live ?? [undefined];
  }

  get document(): PurgeDocument {
    const unanswered = this.#members.length - this.purged.filter(({ reason }) => reason === null).length;
    const isComplete = unanswered === 0 && this.#reason === null && this.#inStore.failed === 0;
    const end = isComplete ? "complete" : "incomplete";
    return {
      state: this.#isOver ? end : "purging",
      replicas: this.#members.length,
      unanswered,
      cachestore: this.#plan.cachestore ? { ...this.#inStore } : null,
      reason: this.#reason,
    };
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const { what, cachestore } = this.#plan;
    // A replica that does not answer the first round may answer the second, so its result is that of the second.
    const known = new Map<Member | undefined, number>();
    const metadata = { what: "metadata", cachestore: false } as const;
    if (what !== "pins") {
      await this.#eachReplica(async (member) => {
        const result = await this.#ask(member, metadata);
        if (!(result instanceof OrcaError)) known.set(member, result.objects);
      });
    }
    const scope: PurgeScope = { what, cachestore };
    await this.#eachReplica(async (member) => {
      const result = await this.#ask(member, scope);
      this.purged.push(this.#purgedDocument(member, result, known.get(member) ?? 0));
    });
    if (cachestore) {
      await this.#purgeStore().catch((thrown: unknown) => {
        this.#reason = OrcaError.from(thrown, "internal", "client", "Cannot purge the cachestore").message;
      });
    }
    this.#isOver = true;
  }

  async #eachReplica(ask: (member: Member | undefined) => Promise<void>): Promise<void> {
    const pool = new TaskPool(() => askedMax);
    for (const member of this.#members) await pool.start(() => ask(member));
    await pool.ended();
  }

  async #ask(member: Member | undefined, scope: PurgeScope): Promise<PurgedReplica | OrcaError> {
    const { replicaId, local, cluster } = this.#options;
    try {
      this.#signal.throwIfAborted();
      return await (!cluster || !member || member.replicaId === replicaId
        ? local.purge(this.#prefix, scope, this.#signal)
        : cluster.peers.purge(member, this.#prefix, scope, this.#signal));
    } catch (thrown) {
      return OrcaError.from(thrown, "internal", "client", "Cannot purge a replica");
    }
  }

  get #prefix(): ObjectPrefix {
    const { bucket, keyPrefix, match } = this.#plan;
    const { bucket: originBucket, key } = bucket.locate(keyPrefix);
    return { originId: bucket.directory.originId, bucket: originBucket, keyPrefix: key, match };
  }

  #purgedDocument(
    member: Member | undefined,
    result: PurgedReplica | OrcaError,
    knownObjects: number,
  ): PurgedDocument {
    const { replicaId } = this.#options;
    const id = member?.replicaId ?? replicaId;
    const isDone = !(result instanceof OrcaError);
    return {
      replica_id: id,
      self: id === replicaId,
      objects: isDone ? Math.max(knownObjects, result.objects) : null,
      memory: isDone ? countsOf(result.memory) : null,
      disk: isDone && result.disk ? countsOf(result.disk) : null,
      cachestore:
        isDone && result.cachestore
          ? { chunks: result.cachestore.chunks, failed: result.cachestore.failed }
          : null,
      reason: isDone ? null : result.message,
    };
  }

  async #purgeStore(): Promise<void> {
    const { bucket, keyPrefix, match } = this.#plan;
    const deletes = new TaskPool(() => deletesMax);
    let continuationToken = "";
    do {
      this.#signal.throwIfAborted();
      const page = await bucket.list({
        prefix: keyPrefix,
        delimiter: "",
        maxKeys: pageKeysMax,
        continuationToken,
        startAfter: "",
      });
      for (const { key, etag, sizeBytes } of page.objects) {
        if (match === "key" && key !== keyPrefix) continue;
        this.#inStore.objects += 1;
        await this.#deleteVersion(this.#versionOf(key, etag, sizeBytes), deletes);
      }
      // Keys are listed in order, so a whole key comes before all others that begin with it.
      if (match === "key" && page.objects.length > 0) break;
      continuationToken = page.nextContinuationToken;
    } while (continuationToken !== "");
    await deletes.ended();
  }

  #versionOf(key: string, etag: string, sizeBytes: number): ObjectVersion {
    const { bucket } = this.#plan;
    const { bucket: originBucket, key: objectKey } = bucket.locate(key);
    const chunkSizeBytes = chunkSizeFor(sizeBytes, this.#options.chunkTiers);
    const { originId } = bucket.directory;
    return new ObjectVersion({ originId, bucket: originBucket, objectKey, etag, sizeBytes, chunkSizeBytes });
  }

  async #deleteVersion(version: ObjectVersion, deletes: TaskPool): Promise<void> {
    for (let index = 0; index < version.chunkCount; index += 1) {
      this.#signal.throwIfAborted();
      if (this.#inStore.failed >= failuresMax) {
        const reason = `it failed for ${failuresMax} chunks, see the log`;
        throw new OrcaError("store_unavailable", "cachestore", `Cannot purge the cachestore: ${reason}`);
      }
      await deletes.start(async () => {
        this.#inStore.chunks += 1;
        if (!(await this.#options.cachestore?.tryDelete({ version, index }))) this.#inStore.failed += 1;
      });
    }
  }
}

/** Without what a later version adds. */
function countsOf({ chunks, bytes }: PurgedReplica["memory"]): PurgedReplica["memory"] {
  return { chunks, bytes };
}
