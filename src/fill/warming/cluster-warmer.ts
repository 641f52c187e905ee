/**
 * Warms a chunk where it should be held, wherever that is: the coordinator of the chunk or, with replicated disks, all
 * keepers. The coordinator comes first, and the other keepers then copy the chunk from it, so the origin is asked once.
 */
import { type Clock, sleep } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { WarmAnswers, WarmPeers, WarmResult } from "./warm-peers.ts";

export interface WarmedCluster {
  readonly coordination: Coordination;
  readonly peers: WarmPeers;
  /** `cluster.replication` where disks are replicated, else 1. */
  readonly copies: number;
}

export interface ClusterWarmerOptions {
  readonly replicaId: string;
  readonly local: WarmAnswers;
  /** Undefined in a cluster of one. */
  readonly cluster: WarmedCluster | undefined;
  readonly clock: Clock;
}

/** What became of a chunk. `reason` says where it is missing, or held and not pinned. */
export interface WarmedChunk {
  readonly result: Exclude<WarmResult, "busy">;
  readonly reason: string | undefined;
  /** The object has another version now. */
  readonly isOutdated: boolean;
}

const alone: readonly unknown[] = [undefined];
/** Before a busy replica is asked again. */
const busyPauseMs = 100;
/** A replica that does not answer may be dead, and then another one should hold the chunk as soon as that is known. */
const triesMax = 5;
const retryPauseMs = 2000;

export class ClusterWarmer {
  readonly #options: ClusterWarmerOptions;

  constructor(options: ClusterWarmerOptions) {
    this.#options = options;
  }

  /** Over which chunks are spread: the same array until one of them changes. */
  get members(): readonly unknown[] {
    return this.#options.cluster?.coordination.live ?? alone;
  }

  /** Only looks. Never rejects, unless `signal` aborts: then with its reason. */
  look(key: ChunkKey, signal: AbortSignal, pinUntilMs = 0): Promise<WarmedChunk> {
    return this.#retried(() => this.#ask(key, false, undefined, signal, pinUntilMs), signal);
  }

  /** Fills what is missing; calls `pace` before the origin is asked. Rejects as {@link look}. */
  fill(
    key: ChunkKey,
    pace: (() => Promise<void>) | undefined,
    signal: AbortSignal,
    pinUntilMs = 0,
  ): Promise<WarmedChunk> {
    return this.#retried(() => this.#ask(key, true, pace, signal, pinUntilMs), signal);
  }

  /** The members may change while the chunk is warmed: each try asks those that should hold it now. */
  async #retried(ask: () => Promise<WarmedChunk>, signal: AbortSignal): Promise<WarmedChunk> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await ask();
      } catch (thrown) {
        signal.throwIfAborted();
        const error = OrcaError.from(thrown, "internal", "fill", "Cannot warm a chunk");
        const isFinal = error.code !== "peer_unavailable" || tries === triesMax;
        const isOutdated = error.code === "origin_etag_changed";
        if (isFinal) return { result: "missing", reason: error.message, isOutdated };
        await sleep(this.#options.clock, retryPauseMs, signal);
      }
    }
  }

  async #ask(
    key: ChunkKey,
    fills: boolean,
    pace: (() => Promise<void>) | undefined,
    signal: AbortSignal,
    pinUntilMs: number,
  ): Promise<WarmedChunk> {
    const { replicaId, cluster } = this.#options;
    // By the view alone: a replica that does not answer and still counts as alive should hold its chunks.
    const places = cluster?.coordination.ranked(cluster.coordination.chunkName(key), cluster.copies);
    let result: WarmedChunk["result"] = "held";
    let unpinned: string | undefined;
    for (const [position, place] of (places ?? [undefined]).entries()) {
      let at: WarmResult = "missing";
      if (!fills || (pace && position === 0)) at = await this.#at(place, key, false, signal, pinUntilMs);
      if (fills && at === "missing") {
        if (position === 0) await pace?.();
        at = await this.#at(place, key, true, signal, pinUntilMs);
      }
      const name = place?.replicaId ?? replicaId;
      const reason = `replica "${name}" does not hold it`;
      if (at === "missing") return { result: at, reason, isOutdated: false };
      if (at === "filled") result = at;
      if (at === "unpinned")
        unpinned ??= `replica "${name}" has no disk, or no room for its pin (disk.pin_share)`;
    }
    if (unpinned !== undefined && !fills) return { result: "unpinned", reason: unpinned, isOutdated: false };
    return { result, reason: undefined, isOutdated: false };
  }

  async #at(
    place: Member | undefined,
    key: ChunkKey,
    fills: boolean,
    signal: AbortSignal,
    pinUntilMs: number,
  ): Promise<WarmedChunk["result"]> {
    const { replicaId, local, cluster, clock } = this.#options;
    const isLocal = !cluster || !place || place.replicaId === replicaId;
    for (;;) {
      const result = await (isLocal
        ? local.warm(key, fills, signal, pinUntilMs)
        : askPeer(place, key, fills, cluster, signal, pinUntilMs));
      if (result !== "busy") return result;
      await sleep(clock, busyPauseMs, signal);
    }
  }
}

async function askPeer(
  peer: Member,
  key: ChunkKey,
  fills: boolean,
  { coordination, peers }: WarmedCluster,
  signal: AbortSignal,
  pinUntilMs: number,
): Promise<WarmResult> {
  try {
    const result = await peers.warm(peer, key, fills, signal, pinUntilMs);
    coordination.answered(peer.replicaId);
    return result;
  } catch (thrown) {
    const isUnreachable = thrown instanceof OrcaError && thrown.code === "peer_unavailable";
    if (isUnreachable && !signal.aborted) coordination.failed(peer.replicaId);
    throw thrown;
  }
}
