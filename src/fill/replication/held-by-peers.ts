/**
 * What a coordinator's fill asks before it goes to the origin: the disks of the replicas that keep the chunk too, or kept
 * it until a member came. So a chunk that fell to this replica, or whose disk was lost, costs no origin GET. Asking
 * is cheap where the chunk is new: who does not hold it says so at once.
 *
 * A peer that falls silent is not waited for, since the origin has every byte as well. That is also how a circle of
 * memory ends: (1) fills of A hold its memory and wait for blocks that B reads from disk; (2) B has no memory for a block,
 * because its fills hold all of it and wait for A; (3) neither moves within the silence borne here, and both turn to
 * the origin.
 */
import type { ByteSink } from "../../base/byte-sink.ts";
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { ChunkPeers } from "../chunk-peers.ts";
import type { BroughtPart, HeldElsewhere } from "../filler.ts";
import type { Keepers } from "./keepers.ts";

export interface HeldByPeersOptions {
  readonly keepers: Keepers;
  readonly coordination: Coordination;
  readonly peers: ChunkPeers;
  readonly clock: Clock;
  /** How long a peer may let wait for a byte. */
  readonly silenceMaxMs?: number;
  /** How long one that was silent is not asked. */
  readonly quietMs?: number;
}

/** What is still owed of a part; `filled` moves on as bytes come. */
type Part = Parameters<HeldElsewhere["bring"]>[1];

export class HeldByPeers implements HeldElsewhere {
  readonly stats = {
    asked: 0,
    /** Stretches that came from peers in whole, and the bytes that came. */
    brought: 0,
    broughtBytes: 0,
    notHeld: 0,
    /** The peer was gone, broke off or said that it could not. */
    broken: 0,
    /** Given up because no byte came. */
    silent: 0,
  };
  readonly #options: HeldByPeersOptions;
  readonly #silenceMaxMs: number;
  readonly #quietMs: number;
  /** Until when those that were silent are not asked. */
  readonly #quiet = new Map<string, number>();

  constructor(options: HeldByPeersOptions) {
    this.#options = options;
    this.#silenceMaxMs = options.silenceMaxMs ?? 2000;
    this.#quietMs = options.quietMs ?? 10_000;
  }

  async bring(
    ref: ChunkKey,
    part: Part,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<BroughtPart | undefined> {
    const { keepers, coordination } = this.#options;
    for (const peer of keepers.holders(ref.version.chunkPath(ref.index))) {
      if (this.#isQuiet(peer.replicaId) || !coordination.mayAsk(peer.replicaId)) continue;
      const brought = await this.#bringFrom(peer, ref, part, sink, signal);
      if (brought) return brought;
    }
    return undefined;
  }

  async #bringFrom(
    peer: Member,
    ref: ChunkKey,
    part: Part,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<BroughtPart | undefined> {
    const { peers, coordination, clock } = this.#options;
    const silence = new AbortController();
    const timer = clock.timer(this.#silenceMaxMs, () => silence.abort());
    const heard: ByteSink = {
      space: () => sink.space(),
      advance: (lengthBytes) => {
        timer.refresh();
        this.stats.broughtBytes += lengthBytes;
        sink.advance(lengthBytes);
      },
    };
    this.stats.asked += 1;
    try {
      const { sha256 } = await peers.read(
        peer,
        { ref, offset: part.filled, lengthBytes: part.to - part.filled, passedOver: [], cachedOnly: true },
        heard,
        AbortSignal.any([signal, silence.signal]),
      );
      coordination.answered(peer.replicaId);
      this.stats.brought += 1;
      return { sha256 };
    } catch (thrown) {
      signal.throwIfAborted();
      this.#judge(peer.replicaId, thrown, silence.signal);
      // The last byte may have come before the fault did; then nothing is missing.
      return part.filled === part.to ? { sha256: undefined } : undefined;
    } finally {
      timer.cancel();
    }
  }

  #judge(replicaId: string, thrown: unknown, silence: AbortSignal): void {
    const { coordination } = this.#options;
    if (silence.aborted && thrown === silence.reason) {
      // It may be well and its disk slow, so it is not held against it elsewhere.
      coordination.answered(replicaId);
      this.stats.silent += 1;
      this.#beQuiet(replicaId);
      return;
    }
    const error = OrcaError.from(thrown, "internal", "mesh", `Cannot read from replica "${replicaId}"`);
    if (error.code === "not_held") this.stats.notHeld += 1;
    else this.stats.broken += 1;
    if (error.isPeerAbsence) coordination.failed(replicaId);
    else coordination.answered(replicaId);
  }

  /** Those whose time is over go first: a member that never comes back is asked for by nobody, and would stay for ever. */
  #beQuiet(replicaId: string): void {
    const nowMs = this.#options.clock.monotonic();
    for (const [other, untilMs] of this.#quiet) if (untilMs <= nowMs) this.#quiet.delete(other);
    this.#quiet.set(replicaId, nowMs + this.#quietMs);
  }

  #isQuiet(replicaId: string): boolean {
    const untilMs = this.#quiet.get(replicaId);
    if (untilMs === undefined) return false;
    if (this.#options.clock.monotonic() < untilMs) return true;
    this.#quiet.delete(replicaId);
    return false;
  }
}
