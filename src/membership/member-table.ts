/**
 * One replica's view: the state of every member, itself included, and the running suspicions. All statements pass
 * through here, whether they were gossiped, synced or made by this replica. So one place decides which statements count
 * and which are sent on.
 *
 * Invariants:
 * 1. The entry of this replica is alive, or left after {@link MemberTable.leave}. Only this replica raises its
 *    incarnation. It answers any other statement about itself with a higher incarnation.
 * 2. Until it is forgotten, an entry changes only to a statement of higher precedence (merge.ts). Dead and left entries
 *    are forgotten after their time, or before it where a live member needs the place (departed-members.ts). An unknown
 *    member is never added as dead or left. Otherwise replicas that have forgotten a member would learn it from those
 *    that have not, in turn and for ever.
 * 3. A suspicion runs exactly for the members in state suspect. It ends in another state, or in death.
 * 4. `live` holds the alive and suspect members, sorted by id, and `answering` those of them that have answered this
 *    replica itself. Each is the same array until one of its members changes.
 * 5. A statement that is further ahead of this replica's clock than incarnationAheadMaxMs changes nothing. So every
 *    statement that counts can be refuted.
 */
import { assert } from "../base/assert.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { LogPace } from "../base/log-pace.ts";
import type { Logger } from "../base/logger.ts";
import { pages } from "../base/pages.ts";
import { DepartedMembers } from "./departed-members.ts";
import { isLive, type Member, type StateChange } from "./member.ts";
import { merge, precedence } from "./merge.ts";
import type { Rejections } from "./rejections.ts";
import type { StallWatch } from "./stall-watch.ts";
import { confirmationsExpected, suspicionTimeoutMs } from "./suspicion.ts";
import type { SwimSettings } from "./swim-settings.ts";

interface Suspicion {
  /** Replicas whose own probes failed. A suspicion from a sync has no reporter and does not count. */
  readonly accusers: Set<string>;
  readonly expected: number;
  readonly startedMs: number;
  timer: Timer;
}

interface Entry {
  member: Member;
  suspicion: Suspicion | undefined;
  /** It answered this replica itself, at its present address and since it was dead last. */
  hasAnswered: boolean;
}

/** Lines in a minute about members that changed to one state. A member could make up news, and names for them. */
const newsLinesMax = 100;

export type MemberListener = (member: Member, previous: Member | undefined) => void;

export interface MemberTableOptions {
  readonly self: Member;
  readonly settings: SwimSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly rejections: Rejections;
  readonly stallWatch: StallWatch;
  /** Called with each statement that other members must receive. */
  readonly onChange: (change: StateChange) => void;
  /** Called when this replica refutes an accusation: it looks slow to others. */
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
    rejectedForeign: 0,
    rejectedFull: 0,
    rejectedAhead: 0,
    idConflicts: 0,
  };
  readonly #options: MemberTableOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #departed: DepartedMembers;
  readonly #listeners = new Set<MemberListener>();
  readonly #answeringListeners = new Set<() => void>();
  #self: Member;
  #live: readonly Member[] | undefined;
  #answering: readonly Member[] | undefined;
  readonly #newsPace: LogPace;
  readonly #faultPace: LogPace;

  constructor(options: MemberTableOptions) {
    this.#options = options;
    this.#departed = new DepartedMembers(options.settings);
    this.#newsPace = new LogPace(options.clock, newsLinesMax);
    this.#faultPace = new LogPace(options.clock);
    this.#self = options.self;
    this.#entries.set(options.self.replicaId, {
      member: options.self,
      suspicion: undefined,
      hasAnswered: true,
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

  /** The live members that have answered this replica itself. A member that others only named may not exist. */
  get answering(): readonly Member[] {
    this.#answering ??= this.live.filter(({ replicaId }) => this.hasAnswered(replicaId));
    return this.#answering;
  }

  hasAnswered(replicaId: string): boolean {
    return this.#entries.get(replicaId)?.hasAnswered ?? false;
  }

  /** The replica with this id answered this replica's own call to `address`. */
  noteAnswer(replicaId: string, address: string): void {
    const entry = this.#entries.get(replicaId);
    if (!entry || entry.hasAnswered || entry.member.address !== address) return;
    entry.hasAnswered = true;
    if (isLive(entry.member)) this.#answeringChanged();
  }

  /** The live members without this replica. */
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

  /** Calls `listener` after each change of {@link answering}. Returns a function that unsubscribes it. */
  subscribeAnswering(listener: () => void): () => void {
    this.#answeringListeners.add(listener);
    return () => void this.#answeringListeners.delete(listener);
  }

  /** Applies a statement of another replica, about itself or about a third one. */
  hear(change: StateChange): void {
    const { member: claimed, reporterId } = change;
    if (!this.#isOfThisCluster(claimed)) {
      this.stats.rejectedForeign += 1;
      return;
    }
    if (this.isAhead(claimed)) {
      this.#rejectAhead(claimed, reporterId);
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
   * Whether an incarnation is further ahead of this replica's clock than clocks differ. Incarnations begin at the clock,
   * and each refutation adds one. So a higher one was invented, to be higher than any that the replica can answer.
   */
  isAhead({ incarnation }: Member): boolean {
    const { clock, settings } = this.#options;
    return incarnation > clock.now() + settings.incarnationAheadMaxMs;
  }

  /**
   * Applies a member of another replica's view. A death may have been detected on the other side of a partition, where
   * this side looks just as dead. So a member that is live here is only suspected, and gets the chance to refute.
   */
  hearFromView(claimed: Member): void {
    const known = this.get(claimed.replicaId);
    const isDisputed = claimed.state === "dead" && known !== undefined && isLive(known);
    this.hear({ member: isDisputed ? { ...claimed, state: "suspect" } : claimed, reporterId: "" });
  }

  /** This replica's own probes of `member` got no answer. `member` is its state when they began. */
  accuse(member: Member): void {
    const { state, incarnation } = this.get(member.replicaId) ?? member;
    // A statement that arrived meanwhile is newer than the silence.
    if (incarnation !== member.incarnation || (state !== "alive" && state !== "suspect")) return;
    this.hear({ member: { ...member, state: "suspect" }, reporterId: this.#self.replicaId });
  }

  /** @see Membership.readdress */
  readdress(address: string): void {
    this.#setSelf({ ...this.#self, address });
  }

  /** Announces that this replica leaves. */
  leave(): void {
    this.#setSelf({ ...this.#self, state: "left" });
  }

  /** Forgets members that have been dead or left for long enough. */
  forgetExpired(): void {
    const nowMs = this.#options.clock.monotonic();
    for (const replicaId of this.#departed.takeExpired(nowMs)) this.#entries.delete(replicaId);
  }

  /** Cancels the timers of all suspicions. The table has no others. */
  stop(): void {
    for (const { suspicion } of this.#entries.values()) suspicion?.timer.cancel();
  }

  #isOfThisCluster(member: Member): boolean {
    return member.fingerprint === this.#self.fingerprint && member.clusterName === this.#self.clusterName;
  }

  #learn(claimed: Member, reporterId: string): void {
    if (!isLive(claimed)) return;
    if (!this.#hasRoom()) {
      this.stats.rejectedFull += 1;
      return;
    }
    const entry: Entry = { member: claimed, suspicion: undefined, hasAnswered: false };
    this.#entries.set(claimed.replicaId, entry);
    this.stats.joins += 1;
    if (claimed.state === "suspect") this.#suspect(entry, reporterId);
    this.#announce(entry, undefined, reporterId);
  }

  /** Whether there is room for one more member, after one that is no longer live was forgotten. */
  #hasRoom(): boolean {
    if (this.#entries.size < this.#options.settings.membersMax) return true;
    const replicaId = this.#departed.takeOldest();
    return replicaId !== undefined && this.#entries.delete(replicaId);
  }

  #change(entry: Entry, claimed: Member, reporterId: string): void {
    const previous = entry.member;
    entry.member = claimed;
    this.#departed.note(claimed, this.#options.clock.monotonic());
    entry.suspicion?.timer.cancel();
    entry.suspicion = undefined;
    const hadAnswered = entry.hasAnswered;
    // Whether it is back, or is at its new address, it has to show again.
    if (!isLive(claimed) || claimed.address !== previous.address) entry.hasAnswered = false;
    if (claimed.state === "suspect") this.#suspect(entry, reporterId);
    if (claimed.state === "dead") this.stats.deaths += 1;
    if (claimed.state === "left") this.stats.leaves += 1;
    if (isLive(claimed) && !isLive(previous)) this.stats.revivals += 1;
    this.#announce(entry, previous, reporterId, hadAnswered);
  }

  #suspect(entry: Entry, reporterId: string): void {
    const { clock, settings } = this.#options;
    // `live` may not contain the entry yet, so it is computed anew.
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

  /** Counts a further accuser of a suspect. Each one shortens the suspicion. */
  #confirm(entry: Entry, reporterId: string): void {
    const { clock, settings } = this.#options;
    const { suspicion } = entry;
    assert(suspicion !== undefined, "a suspicion runs for every suspect");
    const isConfirmed = suspicion.accusers.size > suspicion.expected;
    if (reporterId === "" || isConfirmed || suspicion.accusers.has(reporterId)) return;
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
    this.#options.onChange({ member: entry.member, reporterId });
  }

  #expire(entry: Entry): void {
    const { clock, settings, stallWatch } = this.#options;
    const { suspicion } = entry;
    if (!suspicion) return;
    // While this replica was stalled, it could not receive the suspect's refutation.
    const graceMs = settings.probeIntervalMs + settings.probeTimeoutMs;
    if (stallWatch.stalledSince(clock.monotonic() - graceMs)) {
      suspicion.timer = clock.timer(graceMs, () => this.#expire(entry));
      return;
    }
    this.#change(entry, { ...entry.member, state: "dead" }, this.#self.replicaId);
  }

  #hearAboutSelf(claimed: Member): void {
    if (claimed.incarnation < this.#self.incarnation || this.#self.state === "left") return;
    const isEcho = claimed.incarnation === this.#self.incarnation && claimed.state === "alive";
    if (claimed.address !== this.#self.address) {
      // An address of an earlier run of this replica looks the same, but once. Two replicas with one id repeat it.
      this.stats.idConflicts += 1;
      this.#options.rejections.twin(this.#self, claimed.address);
    } else if (isEcho) {
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
    this.#announce(entry, previous, self.replicaId);
  }

  #announce(
    entry: Entry,
    previous: Member | undefined,
    reporterId: string,
    hadAnswered = entry.hasAnswered,
  ): void {
    const { member } = entry;
    if (isLive(member) || (previous && isLive(previous))) this.#live = undefined;
    if (hadAnswered) this.#answering = undefined;
    this.#options.onChange({ member, reporterId });
    this.#log(member, previous, reporterId);
    for (const listener of this.#listeners) listener(member, previous);
    if (hadAnswered) this.#answeringChanged();
  }

  #answeringChanged(): void {
    this.#answering = undefined;
    for (const listener of this.#answeringListeners) listener();
  }

  #rejectAhead({ replicaId, incarnation }: Member, reporterId: string): void {
    this.stats.rejectedAhead += 1;
    const suppressed = this.#faultPace.take("ahead");
    if (!suppressed) return;
    const { logger, settings } = this.#options;
    logger.warn(
      { replicaId, incarnation, reporterId, see: pages.doesNotJoin, ...suppressed },
      `Cannot accept a statement about "${replicaId}": its incarnation is more than ` +
        `${settings.incarnationAheadMaxMs} ms ahead of the clock. Check the clocks of both replicas.`,
    );
  }

  #log({ replicaId, address, state, incarnation }: Member, previous: Member | undefined, by: string): void {
    const { logger } = this.#options;
    const fields = { replicaId, address, state, incarnation, previous: previous?.state, reporterId: by };
    if (state === previous?.state) {
      logger.debug(fields, `Replica "${replicaId}" is still ${state}`);
      return;
    }
    const suppressed = this.#newsPace.take(state);
    const message = `Replica "${replicaId}" is ${state}`;
    if (suppressed && state === "dead") {
      logger.warn({ ...fields, see: pages.replicasComeAndGo, ...suppressed }, message);
    } else logger[suppressed ? "info" : "debug"]({ ...fields, ...suppressed }, message);
  }
}
