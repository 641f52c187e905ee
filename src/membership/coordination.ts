/**
 * Who coordinates what, as this replica sees it: rendezvous hashing over the live members, less those that it could not
 * reach itself a moment ago. It is asked for chunks, objects and listings alike, and answers always, if need be with
 * this replica: a wrong answer costs a duplicate fetch, so nobody ever waits for a right one.
 *
 * Invariants:
 * 1. This replica is always among the candidates, so there is always an answer.
 * 2. A member that failed is avoided for a time that doubles with each failure in a row. When that time is over, one
 *    caller tries it and the others go on avoiding it until that one has an answer: a peer that swallows what it is
 *    sent costs one stall per such time and not one per request.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { Rendezvous } from "../placement/rendezvous.ts";
import type { Member } from "./member.ts";

/** What is asked of the membership. */
export interface MembershipView {
  readonly self: Member;
  /** The same array until one of them changes. */
  readonly live: readonly Member[];
  members(): Member[];
  learn(members: readonly Member[]): void;
  staleMarker(replicaId: string): void;
}

export interface CoordinationOptions {
  readonly membership: MembershipView;
  readonly clock: Clock;
  readonly avoidInitialMs?: number;
  readonly avoidMaxMs?: number;
}

/** A member that could not be reached, when somebody may try again, and whether somebody does. */
interface Avoided {
  untilMs: number;
  failures: number;
  trying: boolean;
}

const nobody: readonly string[] = [];

export class Coordination {
  readonly stats = { failures: 0, avoided: 0, disagreements: 0 };
  readonly #membership: MembershipView;
  readonly #clock: Clock;
  readonly #avoidInitialMs: number;
  readonly #avoidMaxMs: number;
  readonly #avoided = new Map<string, Avoided>();
  #live: readonly Member[] | undefined;
  #rendezvous = new Rendezvous<Member>([]);

  constructor({ membership, clock, avoidInitialMs = 10_000, avoidMaxMs = 120_000 }: CoordinationOptions) {
    this.#membership = membership;
    this.#clock = clock;
    this.#avoidInitialMs = avoidInitialMs;
    this.#avoidMaxMs = avoidMaxMs;
  }

  get selfId(): string {
    return this.#membership.self.replicaId;
  }

  /** This replica among them: the same array until one of them changes. */
  get live(): readonly Member[] {
    return this.#membership.live;
  }

  /** The whole view, for whoever asked the wrong replica. */
  members(): Member[] {
    return this.#membership.members();
  }

  /**
   * The replica that coordinates `name` when those in `passedOver` are out of reach, by the view alone: what the
   * caller's and this replica's own experience is does not count.
   */
  coordinator(name: string, passedOver: readonly string[] = nobody): Member {
    const rendezvous = this.#current();
    const owner = rendezvous.owner(name);
    if (!owner || passedOver.length === 0 || !passedOver.includes(owner.replicaId)) {
      return owner ?? this.#membership.self;
    }
    return (
      rendezvous.rank(name).find(({ replicaId }) => !passedOver.includes(replicaId)) ?? this.#membership.self
    );
  }

  isMine(name: string, passedOver: readonly string[] = nobody): boolean {
    return this.coordinator(name, passedOver).replicaId === this.selfId;
  }

  /**
   * The next replica to ask about `name`, and `passedOver` grown by those that come before it and are avoided. Whoever
   * gets another replica than this one calls {@link answered} or {@link failed} with it.
   */
  next(name: string, passedOver: string[]): Member {
    for (;;) {
      const candidate = this.coordinator(name, passedOver);
      if (candidate.replicaId === this.selfId || !this.#isAvoided(candidate.replicaId)) return candidate;
      this.stats.avoided += 1;
      passedOver.push(candidate.replicaId);
    }
  }

  /** The live members for `name`, best first, this replica among them: by the view alone, as {@link coordinator}. */
  ranked(name: string, count?: number): readonly Member[] {
    return this.#current().rank(name, count);
  }

  /** Whether a member may be asked that was not got by {@link next}. Whoever then asks it calls `answered` or `failed`. */
  mayAsk(replicaId: string): boolean {
    if (!this.#isAvoided(replicaId)) return true;
    this.stats.avoided += 1;
    return false;
  }

  /** It answered, be it with an error of its own. */
  answered(replicaId: string): void {
    if (this.#avoided.size > 0) this.#avoided.delete(replicaId);
  }

  /**
   * It could not be reached, broke off or fell silent. The membership looks at it next; this replica goes around it. One
   * fault may end many requests: what fails while it is avoided already, and nobody tries it, was under way before.
   */
  failed(replicaId: string): void {
    this.stats.failures += 1;
    const nowMs = this.#clock.monotonic();
    const known = this.#avoided.get(replicaId);
    if (known && !known.trying && nowMs < known.untilMs) return;
    const failures = (known?.failures ?? 0) + 1;
    const avoidMs = Math.min(this.#avoidMaxMs, this.#avoidInitialMs * 2 ** (failures - 1));
    this.#avoided.set(replicaId, { untilMs: nowMs + avoidMs, failures, trying: false });
    this.#membership.staleMarker(replicaId);
  }

  /** What a replica that does not think itself the coordinator believes. */
  learn(members: readonly Member[]): void {
    this.stats.disagreements += 1;
    try {
      this.#membership.learn(members);
    } catch (thrown) {
      // A malformed view is the peer's fault, counted where it was refused, and none of whoever asks for bytes.
      if (!(thrown instanceof OrcaError)) throw thrown;
    }
  }

  /** True while it is to be gone around. The first to ask when its time is over gets false, and a new time begins. */
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
    // Who is no longer live will not be asked, and must not be remembered for ever.
    for (const replicaId of this.#avoided.keys()) {
      if (!live.some((member) => member.replicaId === replicaId)) this.#avoided.delete(replicaId);
    }
    return this.#rendezvous;
  }
}
