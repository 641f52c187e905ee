/**
 * Copies one chunk from its holders to this replica's disk. It asks the holders in order, for range after range. After
 * a break it continues at the byte where it stopped, with the same holder or the next, and the hash continues with it.
 * A peer that refuses that byte as out of range has a chunk of another length than the partial copy, so the copy is
 * deleted, and the same peer is asked from 0. After the last byte, the sender's SHA-256 must match what was written. If
 * it does not, the written bytes are deleted, and the chunk is pulled again, with the replicas that sent it asked last.
 *
 * A failed pull does not make the peer one to avoid: a holder that is too busy for copies may well have time for
 * clients.
 */

import { type Clock, sleep } from "../../base/clock.ts";
import type { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import type { MemoryBudget, Reservation } from "../../base/memory-budget.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { pages } from "../../base/pages.ts";
import { MiB } from "../../base/units.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { StagedChunk, StagingStore } from "../../store/disk/staged-chunk.ts";
import { type StallWatch, type Waiting, watched } from "../../trace/stalls/stall-watch.ts";
import { chunkFields } from "../../trace/trace.ts";
import type { ChunkPeers } from "../chunk-peers.ts";
import type { Keepers } from "./keepers.ts";
import { PullRange } from "./pull-range.ts";

/**
 * `moot`: it is on this disk already, or other replicas keep it. `missing`: no replica that was asked holds it.
 * `not_stored`: the disk did not keep it. `failed`: all attempts failed.
 */
export type PullEnd = "pulled" | "moot" | "missing" | "not_stored" | "failed";

export interface PullStats {
  pulledBytes: number;
  /** Times a pull continued at the byte where it had broken off. */
  resumed: number;
  /** Partial copies that were deleted because a peer refused their offset as out of range. */
  restarts: number;
  /** Attempts after the first. */
  retries: number;
  /** Chunks that did not match the SHA-256 that the sender sent. */
  mismatches: number;
  /** Chunks stored although the sender knew no SHA-256. */
  unverified: number;
  /** Times a pull waited because there was no free memory. */
  yields: number;
}

export interface PullSettings {
  /** Asked for at a time: the memory that a pull holds. */
  readonly rangeBytes: number;
  readonly attemptsMax: number;
  /** Before the second attempt; doubles before each further one. */
  readonly backoffInitialMs: number;
  /** Between two looks for memory. */
  readonly yieldMs: number;
}

export const pullDefaults: PullSettings = {
  rangeBytes: 4 * MiB,
  attemptsMax: 3,
  backoffInitialMs: 500,
  yieldMs: 100,
};

export interface PullOptions {
  readonly key: ChunkKey;
  /** A replica that is known to hold the chunk. */
  readonly holder: Member | undefined;
  readonly store: StagingStore;
  readonly keepers: Keepers;
  readonly peers: ChunkPeers;
  readonly budget: MemoryBudget;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of what is logged about damaged copies. */
  readonly pace: LogPace;
  readonly stalls?: StallWatch | undefined;
  readonly settings: PullSettings;
  readonly stats: PullStats;
}

/** All bytes came, with the SHA-256 that the sender says they have. */
interface Sent {
  readonly sha256: Uint8Array | undefined;
}

export class Pull {
  readonly #options: PullOptions;
  readonly #path: string;
  readonly #lengthBytes: number;
  #stage: StagedChunk | undefined;
  /** The replicas that sent the staged bytes. */
  readonly #senders = new Set<string>();
  /** The replicas that sent some of the bytes that did not match. */
  readonly #suspects = new Set<string>();
  #brokeOff = false;

  constructor(options: PullOptions) {
    this.#options = options;
    const { version, index } = options.key;
    this.#path = version.chunkPath(index);
    this.#lengthBytes = version.chunkLength(index);
  }

  /** Rejects only with the signal's reason. */
  async run(signal: AbortSignal): Promise<PullEnd> {
    const { clock, settings, stats } = this.#options;
    try {
      for (let attempt = 1; ; attempt += 1) {
        const end = await this.#attempt(signal);
        if (end !== "again") return end;
        if (attempt === settings.attemptsMax) return "failed";
        await sleep(clock, settings.backoffInitialMs * 2 ** (attempt - 1), signal);
        stats.retries += 1;
      }
    } finally {
      await this.#stage?.discard();
    }
  }

  async #attempt(signal: AbortSignal): Promise<PullEnd | "again"> {
    const { store, key, keepers } = this.#options;
    if (store.presence(key) === "held" || !keepers.isKeptHere(this.#path)) return "moot";
    this.#stage ??= store.stage(key);
    if (!this.#stage) return "not_stored";
    let isBroken = false;
    for (const peer of this.#candidates()) {
      let outcome = await this.#pullFrom(peer, this.#stage, signal);
      if (outcome === "refused") {
        this.#stage = await this.#restart();
        if (!this.#stage) return "not_stored";
        outcome = await this.#pullFrom(peer, this.#stage, signal);
      }
      if (outcome === "not_stored") return "not_stored";
      // A peer that refuses an offset again, or refuses 0, is asked no more in this attempt.
      if (outcome === "broken" || outcome === "refused") isBroken = true;
      else if (outcome !== "not_held") return this.#commit(this.#stage, outcome.sha256);
    }
    return isBroken ? "again" : "missing";
  }

  /** Deletes the partial copy and begins another. Undefined where the disk does not take it. */
  async #restart(): Promise<StagedChunk | undefined> {
    const { store, key, stats } = this.#options;
    stats.restarts += 1;
    this.#senders.clear();
    this.#brokeOff = false;
    await this.#stage?.discard();
    return store.stage(key);
  }

  /** The known holder first, or last where its copy is an extra one: reading that would remove its mark there. */
  #candidates(): Member[] {
    const { keepers, holder } = this.#options;
    const ranked = keepers.holders(this.#path);
    const others = ranked.filter(({ replicaId }) => replicaId !== holder?.replicaId);
    const isKeeper = holder !== undefined && keepers.isKeptBy(this.#path, holder.replicaId);
    const all = isKeeper ? [holder, ...others] : holder ? [...others, holder] : [...others];
    const isSuspect = ({ replicaId }: Member): boolean => this.#suspects.has(replicaId);
    return [...all.filter((each) => !isSuspect(each)), ...all.filter(isSuspect)];
  }

  /** Pulls all bytes that are still missing from `peer`. */
  async #pullFrom(
    peer: Member,
    stage: StagedChunk,
    signal: AbortSignal,
  ): Promise<Sent | "not_held" | "broken" | "refused" | "not_stored"> {
    const { settings } = this.#options;
    for (;;) {
      const missingBytes = this.#lengthBytes - stage.stagedBytes;
      // Where only the SHA-256 is missing, because a stream broke after the last byte, one byte is read again for it.
      const offset = missingBytes > 0 ? stage.stagedBytes : this.#lengthBytes - 1;
      const range = new PullRange(
        await this.#reserve(Math.min(settings.rangeBytes, this.#lengthBytes - offset), signal),
      );
      try {
        const outcome = await this.#readRange(peer, offset, range, signal);
        if (missingBytes > 0 && !(await this.#write(peer, stage, range))) return "not_stored";
        if (typeof outcome === "string") {
          this.#brokeOff = stage.stagedBytes > 0;
          return outcome === "refused" && stage.stagedBytes === 0 ? "broken" : outcome;
        }
        if (stage.stagedBytes === this.#lengthBytes) return outcome;
      } finally {
        range.release();
      }
    }
  }

  async #readRange(
    peer: Member,
    offset: number,
    range: PullRange,
    signal: AbortSignal,
  ): Promise<Sent | "not_held" | "broken" | "refused"> {
    const { peers, key, stats } = this.#options;
    const lengthBytes = range.lengthBytes;
    try {
      const about = { ...chunkFields(key), peer: peer.replicaId, offset, lengthBytes };
      const request = { key, offset, lengthBytes, passedOver: [], cachedOnly: true };
      return await watched(this.#waiting, "peer", "pull", about, () =>
        peers.read(peer, request, range, signal),
      );
    } catch (thrown) {
      signal.throwIfAborted();
      const action = `Cannot pull from replica "${peer.replicaId}"`;
      const { code } = OrcaError.from(thrown, "internal", "mesh", action);
      if (code === "invalid_range") return "refused";
      return code === "not_held" ? "not_held" : "broken";
    } finally {
      if (this.#brokeOff && range.filledBytes > 0) {
        this.#brokeOff = false;
        stats.resumed += 1;
      }
    }
  }

  /** A range as what a call to a peer holds up. */
  get #waiting(): Waiting | undefined {
    const { stalls, key } = this.#options;
    const { bucket, objectKey } = key.version;
    const name = `chunk ${key.index} of ${bucket}/${objectKey}`;
    return stalls && { stalls, waiting: () => [`the pull of ${name} to this replica's disk waits for it`] };
  }

  async #write(peer: Member, stage: StagedChunk, range: PullRange): Promise<boolean> {
    if (range.filledBytes === 0) return true;
    this.#senders.add(peer.replicaId);
    this.#options.stats.pulledBytes += range.filledBytes;
    for (const { bytes, segment } of range.slices()) {
      if (!(await stage.append(bytes, segment))) return false;
    }
    return true;
  }

  async #commit(stage: StagedChunk, sha256: Uint8Array | undefined): Promise<PullEnd | "again"> {
    const { stats, logger, pace } = this.#options;
    const result = await stage.commit(sha256 && Buffer.from(sha256).toString("hex"));
    this.#stage = undefined;
    if (result === "mismatch") {
      const senders = [...this.#senders];
      stats.mismatches += 1;
      const suppressed = pace.take("mismatch");
      logger[suppressed ? "warn" : "debug"](
        { chunk: this.#path, senders, see: pages.disk, ...suppressed },
        "A chunk copied from a peer does not match the SHA-256 that the peer sent; it is deleted and pulled again",
      );
      for (const sender of senders) this.#suspects.add(sender);
      this.#senders.clear();
      return "again";
    }
    if (result === "not_stored") return "not_stored";
    if (result === "present") return "moot";
    if (!sha256) stats.unverified += 1;
    return "pulled";
  }

  /** Takes only memory that nothing else waits for. */
  async #reserve(bytes: number, signal: AbortSignal): Promise<Reservation> {
    const { budget, clock, settings, stats } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      const reservation = budget.tryReserve(bytes);
      if (reservation) return reservation;
      stats.yields += 1;
      await sleep(clock, settings.yieldMs, signal);
    }
  }
}
