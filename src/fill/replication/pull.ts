/**
 * One chunk on its way from its holders to this replica's disk. Holders are asked in rank order for stretch after stretch.
 * What breaks off goes on at its byte, with the same holder or the next, and the hash goes on with it; behind the last
 * byte the sender's SHA-256 must be that of what was written. If it is not, what was written is deleted, and the chunk
 * is pulled anew with those who sent it asked last. What goes wrong here says nothing to those who read for clients: a
 * holder that is too busy for copies may well have time for them.
 */
import { type Clock, sleep } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { MemoryBudget, Reservation } from "../../base/memory-budget.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { MiB } from "../../base/units.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { StagedChunk, StagingStore } from "../../store/disk/staged-chunk.ts";
import type { ChunkPeers } from "../chunk-peers.ts";
import type { Keepers } from "./keepers.ts";
import { PullStretch } from "./pull-stretch.ts";

/**
 * `moot`: it is here, or for others to keep. `missing`: nobody who was asked holds it. `refused`: the disk does not take
 * it. `failed`: it could not be had in all attempts.
 */
export type PullEnd = "pulled" | "moot" | "missing" | "refused" | "failed";

export interface PullStats {
  pulledBytes: number;
  /** Times a chunk went on at the byte where it had broken off. */
  resumed: number;
  /** Attempts behind the first. */
  retries: number;
  /** Chunks whose SHA-256 was not the sender's. */
  mismatches: number;
  /** Chunks kept whose sender knew no SHA-256. */
  unverified: number;
  /** Times a pull stood back because there was no memory to spare. */
  yields: number;
}

export interface PullSettings {
  /** Asked for at a time: the memory that a pull holds. */
  readonly stretchBytes: number;
  readonly attemptsMax: number;
  /** Before the second attempt; twice as long before each further one. */
  readonly backoffInitialMs: number;
  /** Between two looks for memory. */
  readonly yieldMs: number;
}

export const pullDefaults: PullSettings = {
  stretchBytes: 4 * MiB,
  attemptsMax: 3,
  backoffInitialMs: 500,
  yieldMs: 100,
};

export interface PullOptions {
  readonly ref: ChunkKey;
  /** Who is known to hold it. */
  readonly holder: Member | undefined;
  readonly store: StagingStore;
  readonly keepers: Keepers;
  readonly peers: ChunkPeers;
  readonly budget: MemoryBudget;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: PullSettings;
  readonly stats: PullStats;
}

/** What came of asking one holder: all bytes and what it says their SHA-256 is, or why not. */
type Asked = { readonly sha256: Uint8Array | undefined } | "not_held" | "broken" | "refused";

export class Pull {
  readonly #options: PullOptions;
  readonly #path: string;
  readonly #lengthBytes: number;
  #stage: StagedChunk | undefined;
  /** Who sent what is staged. */
  readonly #senders = new Set<string>();
  /** Who had a part in bytes that did not match. */
  readonly #suspects = new Set<string>();
  #brokeOff = false;

  constructor(options: PullOptions) {
    this.#options = options;
    const { version, index } = options.ref;
    this.#path = version.chunkPath(index);
    this.#lengthBytes = version.chunkLength(index);
  }

  /** Rejects with the signal's reason alone. */
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
    const { store, ref, keepers } = this.#options;
    if (store.presence(ref) === "held" || !keepers.isKeptHere(this.#path)) return "moot";
    this.#stage ??= store.stage(ref);
    if (!this.#stage) return "refused";
    let broken = false;
    for (const peer of this.#candidates()) {
      const asked = await this.#ask(peer, this.#stage, signal);
      if (asked === "refused") return "refused";
      if (asked === "broken") broken = true;
      else if (asked !== "not_held") return this.#commit(this.#stage, asked.sha256);
    }
    return broken ? "again" : "missing";
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

  /** Everything that is owed, from `peer`. */
  async #ask(peer: Member, stage: StagedChunk, signal: AbortSignal): Promise<Asked> {
    const { settings } = this.#options;
    for (;;) {
      const owedBytes = this.#lengthBytes - stage.stagedBytes;
      // A stream that broke behind the last byte owes the SHA-256, which another byte brings.
      const offset = owedBytes > 0 ? stage.stagedBytes : this.#lengthBytes - 1;
      const stretch = new PullStretch(
        await this.#reserve(Math.min(settings.stretchBytes, this.#lengthBytes - offset), signal),
      );
      try {
        const answered = await this.#readStretch(peer, offset, stretch, signal);
        if (owedBytes > 0 && !(await this.#write(peer, stage, stretch))) return "refused";
        if (typeof answered === "string") {
          this.#brokeOff = stage.stagedBytes > 0;
          return answered;
        }
        if (stage.stagedBytes === this.#lengthBytes) return answered;
      } finally {
        stretch.release();
      }
    }
  }

  async #readStretch(
    peer: Member,
    offset: number,
    stretch: PullStretch,
    signal: AbortSignal,
  ): Promise<{ readonly sha256: Uint8Array | undefined } | "not_held" | "broken"> {
    const { peers, ref, stats } = this.#options;
    const lengthBytes = stretch.lengthBytes;
    try {
      return await peers.read(
        peer,
        { ref, offset, lengthBytes, passedOver: [], cachedOnly: true },
        stretch,
        signal,
      );
    } catch (thrown) {
      signal.throwIfAborted();
      const action = `Cannot pull from replica "${peer.replicaId}"`;
      return OrcaError.from(thrown, "internal", "mesh", action).code === "not_held" ? "not_held" : "broken";
    } finally {
      if (this.#brokeOff && stretch.filledBytes > 0) {
        this.#brokeOff = false;
        stats.resumed += 1;
      }
    }
  }

  async #write(peer: Member, stage: StagedChunk, stretch: PullStretch): Promise<boolean> {
    if (stretch.filledBytes === 0) return true;
    this.#senders.add(peer.replicaId);
    this.#options.stats.pulledBytes += stretch.filledBytes;
    for (const slice of stretch.slices()) {
      if (!(await stage.append(slice))) return false;
    }
    return true;
  }

  async #commit(stage: StagedChunk, sha256: Uint8Array | undefined): Promise<PullEnd | "again"> {
    const { stats, logger } = this.#options;
    const result = await stage.commit(sha256 && Buffer.from(sha256).toString("hex"));
    this.#stage = undefined;
    if (result === "mismatch") {
      const senders = [...this.#senders];
      stats.mismatches += 1;
      logger.warn(
        { chunk: this.#path, senders },
        "A copy of a chunk has not the SHA-256 that its sender says it has; it is deleted and pulled anew",
      );
      for (const sender of senders) this.#suspects.add(sender);
      this.#senders.clear();
      return "again";
    }
    if (result === "refused") return "refused";
    if (result === "present") return "moot";
    if (!sha256) stats.unverified += 1;
    return "pulled";
  }

  /** Memory that nobody else asks for: as soon as somebody waits for any, a pull stands back. */
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
