/**
 * The coordinator of each name, as this replica sees it: rendezvous hashing over the live members, without those that
 * this replica failed to reach a moment ago. It serves chunks, objects and listings alike. It always returns a replica,
 * if necessary this one: a wrong coordinator costs only a duplicate fetch, so no request waits for the right one.
 *
 * Invariants:
 * 1. This replica is always a candidate, so there is always an answer.
 * 2. A member that failed is avoided for a time that doubles with each failure in a row. After that time one caller tries
 *    it, and the others keep avoiding it until it answers. So a peer that accepts requests and never answers costs one
 *    stall per period, and not one per request.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type ChunkPlacement, type PlacedChunk, placedWithObject } from "../placement/placement-name.ts";
import { Rendezvous } from "../placement/rendezvous.ts";
import type { Member } from "./member.ts";

/** The part of Membership that coordination uses. */
export interface MembershipView {
  readonly self: Member;
  /** The same array until a live member changes. */
  readonly live: readonly Member[];
  members(): Member[];
  learn(members: readonly Member[]): void;
  probeNext(replicaId: string): void;
}

export interface CoordinationOptions {
  readonly membership: MembershipView;
  readonly clock: Clock;
  readonly avoidInitialMs?: number;
  readonly avoidMaxMs?: number;
  /** {@link placedWithObject} by default. */
  readonly chunkPlacement?: ChunkPlacement | undefined;
}

/** A member that was unreachable: until when it is avoided, and whether a caller is trying it now. */
interface Avoided {
  untilMs: number;
  failures: number;
  trying: boolean;
}

const none: readonly string[] = [];

export class Coordination {
  readonly stats = { failures: 0, avoided: 0, disagreements: 0 };
  readonly #membership: MembershipView;
  readonly #clock: Clock;
  readonly #avoidInitialMs: number;
  readonly #avoidMaxMs: number;
  readonly #chunkPlacement: ChunkPlacement;
  readonly #avoided = new Map<string, Avoided>();
  #live: readonly Member[] | undefined;
  #rendezvous = new Rendezvous<Member>([]);

  constructor(options: CoordinationOptions) {
    this.#membership = options.membership;
    this.#clock = options.clock;
    this.#avoidInitialMs = options.avoidInitialMs ?? 10_000;
    this.#avoidMaxMs = options.avoidMaxMs ?? 120_000;
    this.#chunkPlacement = options.chunkPlacement ?? placedWithObject;
  }

  get selfId(): string {
    return this.#membership.self.replicaId;
  }

  /** The live members, with this replica. The same array until one of them changes. */
  get live(): readonly Member[] {
    return this.#membership.live;
  }

  /** The name of a chunk, as all others that this part takes. */
  chunkName(chunk: PlacedChunk): string {
    return this.#chunkPlacement(chunk);
  }

  /** The whole view, for a peer that asked the wrong replica. */
  members(): Member[] {
    return this.#membership.members();
  }

  /**
   * The replica that coordinates `name` if those in `skipped` are unreachable. It depends on the view alone: recent
   * failures do not count.
   */
  coordinator(name: string, skipped: readonly string[] = none): Member {
    return this.#current().owner(name, skipped) ?? this.#membership.self;
  }

  isMine(name: string, skipped: readonly string[] = none): boolean {
    return this.coordinator(name, skipped).replicaId === this.selfId;
  }

  /**
   * The next replica to ask about `name`. Adds to `skipped` the members before it that are avoided. A caller that gets
   * another replica than this one must call {@link answered} or {@link failed} with its id.
   */
  next(name: string, skipped: string[]): Member {
    for (;;) {
      const candidate = this.coordinator(name, skipped);
      if (candidate.replicaId === this.selfId || !this.#isAvoided(candidate.replicaId)) return candidate;
      this.stats.avoided += 1;
      skipped.push(candidate.replicaId);
    }
  }

  /** Like {@link next}, for a person who asks: it changes nothing, and counts nothing. Names the members that it skips. */
  peekNext(name: string): { readonly member: Member; readonly avoided: readonly string[] } {
    const avoided: string[] = [];
    const nowMs = this.#clock.monotonic();
    for (;;) {
      const member = this.coordinator(name, avoided);
      const untilMs = this.#avoided.get(member.replicaId)?.untilMs ?? -Infinity;
      if (member.replicaId === this.selfId || nowMs >= untilMs) return { member, avoided };
      avoided.push(member.replicaId);
    }
  }

  /** The live members for `name`, best first, with this replica. It depends on the view alone, as {@link coordinator}. */
  ranked(name: string, count?: number): readonly Member[] {
    return this.#current().rank(name, count);
  }

  /** Whether to ask a member that {@link next} did not return. A caller that asks it must call `answered` or `failed`. */
  mayAsk(replicaId: string): boolean {
    if (!this.#isAvoided(replicaId)) return true;
    this.stats.avoided += 1;
    return false;
  }

  /** The member answered, even if with an error of its own. */
  answered(replicaId: string): void {
    if (this.#avoided.size > 0) this.#avoided.delete(replicaId);
  }

  /**
   * The member was unreachable, broke off or fell silent. The failure detector probes it next, and this replica avoids
   * it. One fault may end many requests. A request that fails while the member is avoided, and no caller tries it, was
   * sent before. It does not extend the time.
   */
  failed(replicaId: string): void {
    this.stats.failures += 1;
    const nowMs = this.#clock.monotonic();
    const known = this.#avoided.get(replicaId);
    if (known && !known.trying && nowMs < known.untilMs) return;
    const failures = (known?.failures ?? 0) + 1;
    const avoidMs = Math.min(this.#avoidMaxMs, this.#avoidInitialMs * 2 ** (failures - 1));
    this.#avoided.set(replicaId, { untilMs: nowMs + avoidMs, failures, trying: false });
    this.#membership.probeNext(replicaId);
  }

  /** Merges the view of a replica that answered "not coordinator". */
  learn(members: readonly Member[]): void {
    this.stats.disagreements += 1;
    try {
      this.#membership.learn(members);
    } catch (thrown) {
      // A malformed view is the peer's fault, and is counted where it is rejected. The caller's request must not fail.
      if (!(thrown instanceof OrcaError)) throw thrown;
    }
  }

  /** Whether a member must be skipped. After its time, one call returns false and starts a new time for the others. */
  #isAvoided(replicaId: string): boolean {
    if (this.#avoided.size === 0) return false;
    const avoided = this.#avoided.get(replicaId);
    if (!avoided) return false;
    const nowMs = this.#clock.monotonic();
    if (nowMs < avoided.untilMs) return true;
    avoided.untilMs = nowMs + this.#avoidInitialMs;
    avoided.trying = true;
    return false;
  }

  #current(): Rendezvous<Member> {
    const { live } = this.#membership;
    if (live === this.#live) return this.#rendezvous;
    this.#live = live;
    this.#rendezvous = new Rendezvous(live);
    // A member that is no longer live is not asked, so its failures are forgotten.
    for (const replicaId of this.#avoided.keys()) {
      if (!live.some((member) => member.replicaId === replicaId)) this.#avoided.delete(replicaId);
    }
    return this.#rendezvous;
  }
}
