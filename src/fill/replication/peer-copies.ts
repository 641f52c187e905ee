/**
 * The copies that a coordinator's fill asks before it asks the origin: those on the disks of the replicas that keep the
 * chunk too, or kept it until a member joined. So a chunk that has moved to this replica, or whose disk was lost, costs
 * no origin GET. For a new chunk this is cheap: a peer that does not hold it says so at once.
 *
 * A fill does not wait for a silent peer, since the origin has every byte as well. That also ends a circle of memory:
 * (1) fills of A hold its memory and wait for blocks that B reads from disk; (2) B has no memory for a block, because
 * its fills hold all of it and wait for A; (3) neither sends a byte within `silenceMaxMs`, and both turn to the origin.
 */
import type { PlacedSink } from "../../base/byte-sink.ts";
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { FetchTrace } from "../../trace/fetch-trace.ts";
import type { ChunkPeers } from "../chunk-peers.ts";
import type { MissingBytes } from "../flight.ts";
import type { CopySource, FetchedBytes } from "../flight-sources.ts";
import { tracedRead } from "../traced-read.ts";
import type { Keepers } from "./keepers.ts";

export interface PeerCopiesOptions {
  readonly keepers: Keepers;
  readonly coordination: Coordination;
  readonly peers: ChunkPeers;
  readonly clock: Clock;
  /** How long a fill waits for the next byte of a peer. */
  readonly silenceMaxMs?: number;
  /** How long a peer that was silent is not asked. */
  readonly quietMs?: number;
}

interface Wanted {
  readonly key: ChunkKey;
  readonly missing: MissingBytes;
  readonly trace: FetchTrace | undefined;
}

export class PeerCopies implements CopySource {
  readonly stats = {
    asked: 0,
    /** Runs that peers sent in whole, and the bytes that peers sent. */
    fetched: 0,
    fetchedBytes: 0,
    notHeld: 0,
    /** The peer was unreachable, broke off or sent an error. */
    broken: 0,
    /** Given up because no byte came. */
    silent: 0,
  };
  readonly #options: PeerCopiesOptions;
  readonly #silenceMaxMs: number;
  readonly #quietMs: number;
  /** Until when each peer that was silent is not asked. */
  readonly #quiet = new Map<string, number>();

  constructor(options: PeerCopiesOptions) {
    this.#options = options;
    this.#silenceMaxMs = options.silenceMaxMs ?? 2000;
    this.#quietMs = options.quietMs ?? 10_000;
  }

  async fetch(
    key: ChunkKey,
    missing: MissingBytes,
    sink: PlacedSink,
    signal: AbortSignal,
    trace?: FetchTrace,
  ): Promise<FetchedBytes | undefined> {
    const { keepers, coordination } = this.#options;
    for (const peer of keepers.holders(key.version.chunkPath(key.index))) {
      if (this.#isQuiet(peer.replicaId) || !coordination.mayAsk(peer.replicaId)) continue;
      const fetched = await this.#fetchFrom(peer, { key, missing, trace }, sink, signal);
      if (fetched) return fetched;
    }
    return undefined;
  }

  async #fetchFrom(
    peer: Member,
    { key, missing, trace }: Wanted,
    sink: PlacedSink,
    signal: AbortSignal,
  ): Promise<FetchedBytes | undefined> {
    const { peers, coordination, clock } = this.#options;
    const silence = new AbortController();
    const timer = clock.timer(this.#silenceMaxMs, () => silence.abort());
    const timedSink: PlacedSink = {
      space: () => sink.space(),
      spaceAhead: (aheadBytes) => sink.spaceAhead(aheadBytes),
      advance: (lengthBytes) => {
        timer.refresh();
        this.stats.fetchedBytes += lengthBytes;
        sink.advance(lengthBytes);
      },
    };
    this.stats.asked += 1;
    try {
      const lengthBytes = missing.to - missing.filled;
      const request = { key, offset: missing.filled, lengthBytes, passedOver: [], cachedOnly: true };
      const { sha256 } = await tracedRead(
        { peers, peer, request, trace },
        timedSink,
        AbortSignal.any([signal, silence.signal]),
      );
      coordination.answered(peer.replicaId);
      this.stats.fetched += 1;
      return { sha256 };
    } catch (thrown) {
      signal.throwIfAborted();
      this.#noteFailure(peer.replicaId, thrown, silence.signal);
      // The last byte may have come before the fault. Then nothing is missing.
      return missing.filled === missing.to ? { sha256: undefined } : undefined;
    } finally {
      timer.cancel();
    }
  }

  #noteFailure(replicaId: string, thrown: unknown, silence: AbortSignal): void {
    const { coordination } = this.#options;
    if (silence.aborted && thrown === silence.reason) {
      // The replica may be well and only its disk slow. So it counts as reachable for everything else.
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

  /** Expired entries are deleted first: the entry of a member that never returns would otherwise stay for ever. */
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
