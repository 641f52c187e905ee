/**
 * One replica's view: what it believes of every member, itself included, and the suspicions that run. All statements
 * come through here, whether they were heard, synced or made by this replica, so that one place decides what counts
 * and what becomes news.
 *
 * Invariants:
 * 1. The entry of this replica is alive, or left once it has said so. Only this replica raises its incarnation, and a
 *    statement that it is anything else is answered with a higher one.
 * 2. An entry only ever changes to a statement of higher precedence (merge.ts), until it is forgotten. Dead and left
 *    ones are forgotten after deadRetentionMs, and what is not known is not learnt as dead: else those who forgot would
 *    learn it from those who have not, in turn and for ever.
 * 3. A suspicion runs exactly for the members in state suspect, and ends in another state or in death.
 * 4. `live` is alive and suspect members by id, and the same array until one of them changes.
 */
import { assert } from "../base/assert.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { incarnationMax, isLive, type Member, type StateChange } from "./member.ts";
import { merge, precedence } from "./merge.ts";
import type { StallWatch } from "./stall-watch.ts";
import { confirmationsExpected, suspicionTimeoutMs } from "./suspicion.ts";
import type { SwimSettings } from "./swim-settings.ts";

interface Suspicion {
  /** Who suspects by own experience. Hearsay of a sync has no reporter and is nobody's. */
  readonly accusers: Set<string>;
  readonly expected: number;
  readonly startedMs: number;
  timer: Timer;
}

interface Entry {
  member: Member;
  sinceMs: number;
  suspicion: Suspicion | undefined;
}

export type MemberListener = (member: Member, previous: Member | undefined) => void;

export interface MemberTableOptions {
  readonly self: Member;
  readonly settings: SwimSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stallWatch: StallWatch;
  /** A statement that others have to hear. */
  readonly onNews: (change: StateChange) => void;
  /** This replica had to say that it is alive: it looks unwell to others. */
  readonly onRefute: () => void;
}

export class MemberTable {
  readonly stats = {
    joins: 0,
    suspicions: 0,
    deaths: 0,
    leaves: 0,
    revivals: 0,
    refutations: 0,
    stale: 0,
    refusedForeign: 0,
    refusedFull: 0,
    idConflicts: 0,
  };
  readonly #options: MemberTableOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<MemberListener>();
  #self: Member;
  #live: readonly Member[] | undefined;
  #conflictAddress = "";

  constructor(options: MemberTableOptions) {
    this.#options = options;
    this.#self = options.self;
    this.#entries.set(options.self.replicaId, {
      member: options.self,
      sinceMs: options.clock.monotonic(),
      suspicion: undefined,
    });
  }

  get self(): Member {
    return this.#self;
  }

  get size(): number {
    return this.#entries.size;
  }

  get live(): readonly Member[] {
    this.#live ??= this.members()
      .filter(isLive)
      .sort((left, right) => (left.replicaId < right.replicaId ? -1 : 1));
    return this.#live;
  }

  /** The live ones without this replica. */
  others(): Member[] {
    return this.live.filter((member) => member.replicaId !== this.#self.replicaId);
  }

  members(): Member[] {
    return [...this.#entries.values()].map(({ member }) => member);
  }

  get(replicaId: string): Member | undefined {
    return this.#entries.get(replicaId)?.member;
  }

  subscribe(listener: MemberListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** What another replica says of itself or of a third one. */
  hear(change: StateChange): void {
    const { member: claimed, reporterId } = change;
    if (!this.#isOfThisCluster(claimed)) {
      this.stats.refusedForeign += 1;
      return;
    }
    if (claimed.replicaId === this.#self.replicaId) {
      this.#hearAboutSelf(claimed);
      return;
    }
    const entry = this.#entries.get(claimed.replicaId);
    if (!entry) this.#learn(claimed, reporterId);
    else if (merge(entry.member, claimed) !== entry.member) this.#change(entry, claimed, reporterId);
    else if (precedence(entry.member, claimed) > 0) this.stats.stale += 1;
    else if (claimed.state === "suspect") this.#confirm(entry, reporterId);
  }

  /**
   * A member of a view that was exchanged. That somebody is dead may have been found out on the other side of a
   * partition, where this side looked just as dead; so whom we hold for live is asked first, by suspecting him.
   */
  hearOfView(claimed: Member): void {
    const known = this.get(claimed.replicaId);
    const doubtful = claimed.state === "dead" && known !== undefined && isLive(known);
    this.hear({ member: doubtful ? { ...claimed, state: "suspect" } : claimed, reporterId: "" });
  }

  /** This replica's own probes of `member`, as it was known when they began, found nobody. */
  accuse(member: Member): void {
    const { state, incarnation } = this.get(member.replicaId) ?? member;
    // A statement that came in meanwhile is newer than the silence.
    if (incarnation !== member.incarnation || (state !== "alive" && state !== "suspect")) return;
    this.hear({ member: { ...member, state: "suspect" }, reporterId: this.#self.replicaId });
  }

  /** @see Membership.readdress */
  readdress(address: string): void {
    this.#setSelf({ ...this.#self, address });
  }

  /** This replica goes, and says so. */
  leave(): void {
    this.#setSelf({ ...this.#self, state: "left" });
  }

  /** Forgets who has been dead or gone for long. Their ids, for those who keep something by member. */
  forgetGone(): string[] {
    const { clock, settings } = this.#options;
    const gone: string[] = [];
    for (const [replicaId, { member, sinceMs }] of this.#entries) {
      if (isLive(member) || replicaId === this.#self.replicaId) continue;
      if (clock.monotonic() - sinceMs < settings.deadRetentionMs) continue;
      this.#entries.delete(replicaId);
      gone.push(replicaId);
    }
    return gone;
  }

  /** Ends all suspicions, whose timers are the only thing that runs here. */
  stop(): void {
    for (const { suspicion } of this.#entries.values()) suspicion?.timer.cancel();
  }

  #isOfThisCluster(member: Member): boolean {
    return member.fingerprint === this.#self.fingerprint && member.clusterName === this.#self.clusterName;
  }

  #learn(claimed: Member, reporterId: string): void {
    if (!isLive(claimed)) return;
    if (this.#entries.size >= this.#options.settings.membersMax) {
      this.stats.refusedFull += 1;
      return;
    }
    const entry: Entry = { member: claimed, sinceMs: this.#options.clock.monotonic(), suspicion: undefined };
    this.#entries.set(claimed.replicaId, entry);
    this.stats.joins += 1;
    if (claimed.state === "suspect") this.#suspect(entry, reporterId);
    this.#tell(entry, undefined, reporterId);
  }

  #change(entry: Entry, claimed: Member, reporterId: string): void {
    const previous = entry.member;
    entry.member = claimed;
    entry.sinceMs = this.#options.clock.monotonic();
    entry.suspicion?.timer.cancel();
    entry.suspicion = undefined;
    if (claimed.state === "suspect") this.#suspect(entry, reporterId);
    if (claimed.state === "dead") this.stats.deaths += 1;
    if (claimed.state === "left") this.stats.leaves += 1;
    if (isLive(claimed) && !isLive(previous)) this.stats.revivals += 1;
    this.#tell(entry, previous, reporterId);
  }

  #suspect(entry: Entry, reporterId: string): void {
    const { clock, settings } = this.#options;
    // The entry may not be among the live ones yet, so they are counted anew.
    this.#live = undefined;
    const expected = confirmationsExpected(settings, this.live.length);
    entry.suspicion = {
      accusers: new Set(reporterId === "" ? [] : [reporterId]),
      expected,
      startedMs: clock.monotonic(),
      timer: clock.timer(suspicionTimeoutMs(settings, this.live.length, expected, 0), () =>
        this.#expire(entry),
      ),
    };
    this.stats.suspicions += 1;
  }

  /** One more suspects the same: the more who do, the sooner it is believed. */
  #confirm(entry: Entry, reporterId: string): void {
    const { clock, settings } = this.#options;
    const { suspicion } = entry;
    assert(suspicion !== undefined, "a suspicion runs for every suspect");
    const confirmed = suspicion.accusers.size > suspicion.expected;
    if (reporterId === "" || confirmed || suspicion.accusers.has(reporterId)) return;
    suspicion.accusers.add(reporterId);
    const timeoutMs = suspicionTimeoutMs(
      settings,
      this.live.length,
      suspicion.expected,
      suspicion.accusers.size - 1,
    );
    const elapsedMs = clock.monotonic() - suspicion.startedMs;
    suspicion.timer.cancel();
    suspicion.timer = clock.timer(Math.max(0, timeoutMs - elapsedMs), () => this.#expire(entry));
    this.#options.onNews({ member: entry.member, reporterId });
  }

  #expire(entry: Entry): void {
    const { clock, settings, stallWatch } = this.#options;
    const { suspicion } = entry;
    if (!suspicion) return;
    // Time in which this replica stood still was no time for the suspect to be heard.
    const graceMs = settings.probeIntervalMs + settings.probeTimeoutMs;
    if (stallWatch.stoodStillSince(clock.monotonic() - graceMs)) {
      suspicion.timer = clock.timer(graceMs, () => this.#expire(entry));
      return;
    }
    this.#change(entry, { ...entry.member, state: "dead" }, this.#self.replicaId);
  }

  #hearAboutSelf(claimed: Member): void {
    const { logger } = this.#options;
    if (claimed.incarnation < this.#self.incarnation || this.#self.state === "left") return;
    const isEcho = claimed.incarnation === this.#self.incarnation && claimed.state === "alive";
    if (claimed.address !== this.#self.address) {
      // An address of an earlier run looks the same, once; two that run with one id say it over and over.
      this.stats.idConflicts += 1;
      if (claimed.address !== this.#conflictAddress) {
        logger.warn(
          { replicaId: claimed.replicaId, address: claimed.address },
          `There is, or was, a replica "${claimed.replicaId}" at ${claimed.address} too`,
        );
      }
      this.#conflictAddress = claimed.address;
    } else if (isEcho) {
      return;
    }
    if (claimed.incarnation >= incarnationMax) {
      logger.error({ incarnation: claimed.incarnation }, "Cannot refute the highest incarnation there is");
      return;
    }
    this.stats.refutations += 1;
    if (claimed.state === "suspect" || claimed.state === "dead") this.#options.onRefute();
    this.#setSelf({ ...this.#self, incarnation: claimed.incarnation + 1 });
  }

  #setSelf(self: Member): void {
    const entry = this.#entries.get(self.replicaId) as Entry;
    const previous = this.#self;
    this.#self = self;
    entry.member = self;
    this.#tell(entry, previous, self.replicaId);
  }

  #tell(entry: Entry, previous: Member | undefined, reporterId: string): void {
    const { member } = entry;
    if (isLive(member) || (previous && isLive(previous))) this.#live = undefined;
    this.#options.onNews({ member, reporterId });
    this.#log(member, previous, reporterId);
    for (const listener of this.#listeners) listener(member, previous);
  }

  #log({ replicaId, address, state, incarnation }: Member, previous: Member | undefined, by: string): void {
    const { logger } = this.#options;
    const fields = { replicaId, address, state, incarnation, previous: previous?.state, reporterId: by };
    if (state === "dead") logger.warn(fields, `Replica "${replicaId}" is dead`);
    else if (state === previous?.state) logger.debug(fields, `Replica "${replicaId}" is still ${state}`);
    else logger.info(fields, `Replica "${replicaId}" is ${state}`);
  }
}
