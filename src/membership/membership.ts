/**
 * The members of the cluster, as this replica sees them: SWIM (Das, Gupta, Motivala: "SWIM: scalable weakly-consistent
 * infection-style process group membership protocol", DSN 2002) with Lifeguard's additions. This class connects the
 * parts: the member table decides which statements count, the detector finds silent members, gossip and exchanges of
 * views spread the statements, and discovery finds other replicas. A view is a hint. Two replicas may differ for
 * seconds, which may make the users of a view slower, but never wrong.
 *
 * Invariants:
 * 1. Between `start` and `stop` this replica is alive in its own view. After `leave` it is left, permanently.
 * 2. After `stop` no timer runs, nothing is sent, and every message is rejected.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type Random, sample } from "../base/random.ts";
import { type AgreedSettings, fingerprintOf } from "./agreed-settings.ts";
import { BroadcastQueue } from "./broadcast-queue.ts";
import { Detector } from "./detector.ts";
import { Discovery } from "./discovery.ts";
import { Gossiper } from "./gossiper.ts";
import { LocalHealth } from "./local-health.ts";
import { checkMember, isLive, type Member, type StateChange } from "./member.ts";
import { type MemberListener, MemberTable } from "./member-table.ts";
import type {
  IndirectPing,
  IndirectPingAnswer,
  MembershipTransport,
  Ping,
  PingAnswer,
  View,
} from "./membership-message.ts";
import { MessageGate, type MessageSource } from "./message-gate.ts";
import { Messenger } from "./messenger.ts";
import { Reconciler } from "./reconciler.ts";
import { Rejections } from "./rejections.ts";
import type { Rumor, RumorKind, RumorListener } from "./rumor.ts";
import { RumorRelay } from "./rumor-relay.ts";
import type { Seeds } from "./seeds.ts";
import { StallWatch } from "./stall-watch.ts";
import { defaultSwimSettings, type SwimSettings } from "./swim-settings.ts";
import { Verifier } from "./verifier.ts";

/** Members that a leaving replica notifies itself. Gossip notifies the others. */
const leaveNoticesMax = 64;

export interface MembershipOptions {
  readonly replicaId: string;
  /** `host:port` where other replicas reach this one. */
  readonly address: string;
  readonly zone: string;
  readonly agreedSettings: AgreedSettings;
  readonly seeds: readonly Seeds[];
  readonly transport: MembershipTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly settings?: Partial<SwimSettings>;
}

export class Membership {
  readonly settings: SwimSettings;
  readonly #random: Random;
  readonly #health: LocalHealth;
  readonly #stallWatch: StallWatch;
  readonly #table: MemberTable;
  readonly #changes: BroadcastQueue<StateChange>;
  readonly #rumors: RumorRelay;
  readonly #gate: MessageGate;
  readonly #rejections: Rejections;
  readonly #messenger: Messenger;
  readonly #detector: Detector;
  readonly #verifier: Verifier;
  readonly #gossiper: Gossiper;
  readonly #reconciler: Reconciler;
  readonly #discovery: Discovery;
  #phase: "new" | "running" | "stopped" = "new";

  /** @throws OrcaError `invalid_argument` if the replica's own id or address is invalid. */
  constructor(options: MembershipOptions) {
    const { clock, random, logger, transport, agreedSettings, seeds } = options;
    const settings = { ...defaultSwimSettings, ...options.settings };
    assert(settings.probeTimeoutMs < settings.probeIntervalMs, "a probe ends within its interval");
    this.settings = settings;
    this.#random = random;
    this.#health = new LocalHealth(settings.localHealthMax);
    this.#stallWatch = new StallWatch(clock, settings.stallToleranceMs, () => this.#health.note(1));
    this.#changes = new BroadcastQueue(settings.membersMax * 4);
    this.#rumors = new RumorRelay(clock, settings, () => this.#gossiper.wake());
    this.#gate = new MessageGate(clock, settings.messagesPerSecondMax);
    const self = selfOf(options);
    checkMember(self);
    this.#rejections = new Rejections(clock, logger);
    const table = new MemberTable({
      rejections: this.#rejections,
      self,
      settings,
      clock,
      logger,
      stallWatch: this.#stallWatch,
      onChange: (change) => this.#spread(change),
      onRefute: () => this.#health.note(1),
    });
    this.#table = table;
    this.#messenger = new Messenger({
      rejections: this.#rejections,
      table,
      changes: this.#changes,
      rumors: this.#rumors,
      agreedSettings,
      settings,
      transport,
      logger,
    });
    const shared = { table, messenger: this.#messenger, settings, clock, random };
    this.#detector = new Detector({ ...shared, health: this.#health, stallWatch: this.#stallWatch });
    this.#verifier = new Verifier({ ...shared, stallWatch: this.#stallWatch });
    this.#gossiper = new Gossiper({ ...shared, waiting: () => this.#changes.size + this.#rumors.waiting });
    this.#reconciler = new Reconciler(shared);
    this.#discovery = new Discovery({ ...shared, seeds, logger });
    table.subscribe((member) => {
      if (!isLive(member) || member.replicaId === self.replicaId) return;
      this.#detector.include(member.replicaId);
      this.#verifier.include(member, false);
    });
  }

  /** Counters, by part. */
  get stats() {
    return {
      table: this.#table.stats,
      messenger: this.#messenger.stats,
      gate: this.#gate.stats,
      detector: this.#detector.stats,
      verifier: this.#verifier.stats,
      discovery: this.#discovery.stats,
      rumors: this.#rumors.stats,
      stalls: this.#stallWatch.stats,
      rumorsDropped: this.#rumors.dropped,
      changesDropped: this.#changes.stats.dropped,
    };
  }

  /** 0 is healthy; see {@link LocalHealth}. */
  get healthScore(): number {
    return this.#health.score;
  }

  /** For /readyz: the replicas that cannot be in one cluster with this one, and another one with its id. Null if none. */
  get notice(): string | null {
    return this.#rejections.notice();
  }

  /** This replica as it sees itself. */
  get self(): Member {
    return this.#table.self;
  }

  /**
   * The live members (alive and suspect, with this one) that have answered this replica, sorted by id. The same array
   * until one of them changes.
   */
  get live(): readonly Member[] {
    return this.#table.answering;
  }

  /** Calls `listener` after each change of {@link live}. Returns a function that unsubscribes it. */
  subscribeLive(listener: () => void): () => void {
    return this.#table.subscribeAnswering(listener);
  }

  /** All known members, with the dead and the left ones. */
  members(): Member[] {
    return this.#table.members();
  }

  /** Calls `listener` after each change of a member, with its state before. Returns a function that unsubscribes it. */
  subscribe(listener: MemberListener): () => void {
    return this.#table.subscribe(listener);
  }

  /** Sets this replica's address before the start, for a port that is known only once the listener has it. */
  readdress(address: string): void {
    assert(this.#phase === "new", "the address is fixed once other replicas know it");
    checkMember({ ...this.#table.self, address });
    this.#table.readdress(address);
  }

  /**
   * Resolves after all seeds were asked once: this replica has joined and asked the other members, or none answered and
   * it keeps asking.
   */
  async start(): Promise<void> {
    assert(this.#phase === "new", "membership is started once");
    this.#phase = "running";
    this.#stallWatch.start();
    this.#detector.start();
    this.#gossiper.start();
    this.#reconciler.start();
    this.#verifier.start();
    await this.#discovery.start();
    await this.#verifier.settled(this.settings.probeIntervalMs);
  }

  /** Notifies the live members that this replica leaves, and stops. Takes at most the timeout of a probe. */
  async leave(): Promise<void> {
    if (this.#phase !== "running") return;
    const others = sample(this.#table.others(), leaveNoticesMax, this.#random);
    this.#table.leave();
    await Promise.all(others.map((member) => this.#messenger.ping(member, this.settings.probeTimeoutMs)));
    this.stop();
  }

  /** Stops without a notice, like a crash. */
  stop(): void {
    this.#phase = "stopped";
    this.#discovery.stop();
    this.#reconciler.stop();
    this.#gossiper.stop();
    this.#verifier.stop();
    this.#detector.stop();
    this.#table.stop();
    this.#stallWatch.stop();
  }

  /** Sends a rumor to all members, once. A rumor larger than half of `gossipBytesMax` is counted and not sent. */
  publish(rumor: Rumor): void {
    this.#rumors.publish(rumor);
  }

  /** Calls `listener` once for each rumor of a kind that others publish. Returns a function that unsubscribes it. */
  listen<Kind extends RumorKind>(kind: Kind, listener: RumorListener<Kind>): () => void {
    return this.#rumors.listen(kind, listener);
  }

  /**
   * Merges the view of another replica, which came with its answer that this replica's view is wrong.
   * @throws OrcaError `invalid_argument` if a member is malformed, or if there are more than a view may have.
   */
  learn(members: readonly Member[]): void {
    // A replica that has left still receives views, and must not begin to suspect members.
    if (this.#phase === "stopped") return;
    this.#messenger.learn(members);
  }

  /** Probes a member next, for a caller whose request to it failed. The failed request itself accuses no member. */
  probeNext(replicaId: string): void {
    this.#detector.probeNext(replicaId);
  }

  /**
   * Decides whether to read a message that arrives by `source`. `fingerprint` is what its sender names beside it. False
   * if the sender cannot be in the cluster: then the message is read only to name the setting that differs.
   * @throws OrcaError `overloaded` if the message must not be read.
   */
  admit(source: MessageSource, fingerprint: string | null): boolean {
    const isKnown = fingerprint === this.self.fingerprint;
    this.#gate.admit(source, isKnown);
    return isKnown;
  }

  /** Checks the sender of a message before the rest of it is decoded. See {@link Messenger.checkSender}. */
  checkSender(
    sender: Member,
    replicaIds: ReadonlySet<string> | undefined,
    senderSettings?: () => Readonly<Record<string, string>>,
  ): void {
    this.#messenger.checkSender(sender, replicaIds, senderSettings);
  }

  /**
   * Answers the ping of another replica.
   * @throws OrcaError `config_invalid` ({@link ConfigurationMismatch}), `invalid_argument` (malformed or oversize),
   * `precondition_failed` (meant for another replica), `shutting_down`.
   */
  receivePing(message: Ping): PingAnswer {
    this.#checkRunning();
    const answer = this.#messenger.receivePing(message);
    this.#verifier.include(message.sender, true);
    return answer;
  }

  /** Pings a third replica for the sender. Throws as {@link receivePing} does. */
  async receivePingIndirect(message: IndirectPing): Promise<IndirectPingAnswer> {
    this.#checkRunning();
    return this.#messenger.receivePingIndirect(message);
  }

  /** Merges another replica's view, and returns the merged view. Throws as {@link receivePing} does. */
  receiveSync(view: View): View {
    this.#checkRunning();
    const answer = this.#messenger.receiveSync(view);
    this.#verifier.include(view.sender, true);
    return answer;
  }

  #spread(change: StateChange): void {
    const { member, reporterId } = change;
    // Each accusation is an item of its own, because accusers are counted. Of other statements only the newest matters.
    const subject = member.state === "suspect" ? `${member.replicaId}\n${reporterId}` : member.replicaId;
    this.#changes.add(subject, change, sizeOf(change));
    if (member.state === "suspect" && reporterId !== this.self.replicaId) {
      this.#detector.probeNext(member.replicaId);
    }
    this.#gossiper.wake();
  }

  #checkRunning(): void {
    if (this.#phase === "running") return;
    throw new OrcaError(
      "shutting_down",
      "membership",
      "Cannot answer a membership message: membership does not run on this replica",
    );
  }
}

function selfOf({ replicaId, address, zone, agreedSettings, clock }: MembershipOptions): Member {
  return {
    replicaId,
    address,
    incarnation: Math.floor(clock.now()),
    state: "alive",
    zone,
    fingerprint: fingerprintOf(agreedSettings),
    clusterName: agreedSettings.name,
  };
}

/** An upper estimate of the encoded size. */
function sizeOf({ member, reporterId }: StateChange): number {
  const { replicaId, address, zone, fingerprint, clusterName } = member;
  const characters = [replicaId, address, zone, fingerprint, clusterName, reporterId].reduce(
    (total, text) => total + text.length,
    0,
  );
  return 48 + 3 * characters;
}
