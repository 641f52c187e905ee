/**
 * Looks at every chunk on this replica's disk, and sums up what peers compare: for each other member, digests of the
 * chunks that both keep, and of the extra copies here that the member keeps. On the way it marks the extra copies, those
 * of chunks that other replicas keep, as the first to be evicted (docs/decisions/0031).
 *
 * A survey reads no file. A round of anti-entropy takes a new one. Peers that compare their disks share the last one for
 * some minutes: a chunk that was stored since makes a digest differ, and then its shelf is listed.
 *
 * Invariants:
 * 1. One walk runs at a time, in turns of the event loop of bounded length.
 * 2. A survey of other members than the live ones answers no peer.
 */
import { type Clock, nextTurn } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import type { ListedStore } from "../../store/listed-store.ts";
import type { Keepers } from "./keepers.ts";
import { ShelfDigests, shelfCount, shelfOf } from "./shelf.ts";

/** Paths in one turn of the event loop: a few milliseconds. */
const pathsPerTurn = 512;
/** How long peers are answered from one survey. */
const ageMaxMs = 5 * 60_000;

/** What a peer compares. At most one for each member, of 4 KiB. */
interface PeerDigests {
  readonly common: ShelfDigests;
  readonly extra: ShelfDigests;
}

const nothing: PeerDigests = { common: new ShelfDigests(), extra: new ShelfDigests() };

/** The chunks on this disk, at one time. */
export class Survey {
  /** The live members at that time. */
  readonly live: readonly Member[];
  readonly takenMs: number;
  /** Chunks in each shelf. */
  readonly counts = new Uint32Array(shelfCount);
  extraCopies = 0;
  readonly #digests = new Map<string, PeerDigests>();

  constructor(live: readonly Member[], takenMs: number) {
    this.live = live;
    this.takenMs = takenMs;
  }

  digestsFor(replicaId: string): PeerDigests {
    return this.#digests.get(replicaId) ?? nothing;
  }

  /** Returns whether the chunk is an extra copy here. */
  add(path: string, keepers: readonly Member[], selfId: string): boolean {
    const shelf = shelfOf(path);
    this.counts[shelf] = (this.counts[shelf] as number) + 1;
    const isExtra = !keepers.some(({ replicaId }) => replicaId === selfId);
    if (isExtra) this.extraCopies += 1;
    for (const { replicaId } of keepers) {
      if (replicaId === selfId) continue;
      const digests = this.#digests.get(replicaId) ?? this.#begin(replicaId);
      (isExtra ? digests.extra : digests.common).toggle(path);
    }
    return isExtra;
  }

  #begin(replicaId: string): PeerDigests {
    const digests = { common: new ShelfDigests(), extra: new ShelfDigests() };
    this.#digests.set(replicaId, digests);
    return digests;
  }
}

export interface ChunkSurveyOptions {
  readonly store: ListedStore;
  readonly keepers: Keepers;
  readonly coordination: Pick<Coordination, "live" | "selfId">;
  readonly clock: Clock;
}

export class ChunkSurvey {
  readonly stats = { surveys: 0, paths: 0 };
  readonly #options: ChunkSurveyOptions;
  #last: Survey | undefined;
  #running: Promise<Survey> | undefined;
  #isStopped = false;

  constructor(options: ChunkSurveyOptions) {
    this.#options = options;
  }

  /** A survey that ends after this call. @throws OrcaError `shutting_down` after {@link stop}. */
  take(): Promise<Survey> {
    this.#running ??= this.#walk().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** The last survey if it is recent and of the live members, else a new one. Throws as {@link take} does. */
  async recent(): Promise<Survey> {
    const { clock, coordination } = this.#options;
    const last = this.#last;
    const isRecent = last?.live === coordination.live && clock.monotonic() - last.takenMs <= ageMaxMs;
    return last && isRecent ? last : this.take();
  }

  /** Ends a walk at its next turn. */
  stop(): void {
    this.#isStopped = true;
  }

  async #walk(): Promise<Survey> {
    const { store, keepers, coordination, clock } = this.#options;
    const { selfId } = coordination;
    const survey = new Survey(coordination.live, clock.monotonic());
    this.stats.surveys += 1;
    for (let after: string | undefined = ""; after !== undefined; ) {
      const paths: readonly string[] = this.#isStopped ? [] : store.pathsAfter(after, pathsPerTurn);
      for (const path of paths) store.evictFirst(path, survey.add(path, keepers.of(path), selfId));
      this.stats.paths += paths.length;
      after = paths.at(-1);
      await nextTurn();
    }
    if (this.#isStopped) {
      throw new OrcaError("shutting_down", "fill", "Cannot survey the chunks on disk: Orca is stopping");
    }
    this.#last = survey;
    return survey;
  }
}
