/**
 * Who is in the cluster, as this replica sees it: SWIM (Das, Gupta, Motivala: "SWIM: scalable weakly-consistent
 * infection-style process group membership protocol", DSN 2002) with Lifeguard's additions. It is composed here of its
 * parts: the table decides what is believed, the detector finds out who is silent, gossip and exchanged views spread
 * it, discovery finds the others. A view is a hint: two replicas may differ for seconds, and whoever uses one must only
 * get slower by that, never wrong.
 *
 * Invariants:
 * 1. Between `start` and `stop` this replica is in its own view, alive. After `leave` it is there as left, for good.
 * 2. After `stop` no timer runs, nothing is sent, and every message is refused.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { Random } from "../base/random.ts";
import { type AgreedSettings, fingerprintOf } from "./agreed-settings.ts";
import { BroadcastQueue } from "./broadcast-queue.ts";
import { Detector } from "./detector.ts";
import { Discovery } from "./discovery.ts";
import { FloodGate } from "./flood-gate.ts";
import { Gossiper } from "./gossiper.ts";
import { LocalHealth } from "./local-health.ts";
import { checkMember, isLive, type Member, type StateChange } from "./member.ts";
import { type MemberListener, MemberTable } from "./member-table.ts";
import type { IndirectPing, IndirectPingAnswer, Ping, PingAnswer, View } from "./membership-message.ts";
import type { MembershipTransport } from "./membership-transport.ts";
import { Messenger } from "./messenger.ts";
import { Reconciler } from "./reconciler.ts";
import type { Rumor, RumorKind, RumorListener } from "./rumor.ts";
import { RumorRelay } from "./rumor-relay.ts";
import { sample } from "./sample.ts";
import type { Seeds } from "./seeds.ts";
import { StallWatch } from "./stall-watch.ts";
import { defaultSwimSettings, type SwimSettings } from "./swim-settings.ts";

/** Whom a leaving replica tells itself; beyond so many, gossip does the rest. */
const goodbyesMax = 64;

export interface MembershipOptions {
  readonly replicaId: string;
  /** `host:port` at which others reach this replica. */
  readonly address: string;
  readonly zone: string;
  readonly identity: AgreedSettings;
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
  readonly #floodGate: FloodGate;
  readonly #messenger: Messenger;
  readonly #detector: Detector;
  readonly #gossiper: Gossiper;
  readonly #reconciler: Reconciler;
  readonly #discovery: Discovery;
  #phase: "made" | "running" | "stopped" = "made";

  /** @throws OrcaError `invalid_argument` when the replica's own id or address is none. */
  constructor(options: MembershipOptions) {
    const { clock, random, logger, transport, identity, seeds } = options;
    const settings = { ...defaultSwimSettings, ...options.settings };
    assert(settings.probeTimeoutMs < settings.probeIntervalMs, "a probe ends within its interval");
    this.settings = settings;
    this.#random = random;
    this.#health = new LocalHealth(settings.localHealthMax);
    this.#stallWatch = new StallWatch(clock, settings.stallToleranceMs, () => this.#health.note(1));
    this.#changes = new BroadcastQueue(settings.membersMax * 4);
    this.#rumors = new RumorRelay(clock, settings, () => this.#gossiper.wake());
    this.#floodGate = new FloodGate(clock, settings.messagesPerSecondMax);
    const self = selfOf(options);
    checkMember(self);
    const table = new MemberTable({
      self,
      settings,
      clock,
      logger,
      stallWatch: this.#stallWatch,
      onNews: (change) => this.#spread(change),
      onRefute: () => this.#health.note(1),
    });
    this.#table = table;
    this.#messenger = new Messenger({
      table,
      changes: this.#changes,
      rumors: this.#rumors,
      floodGate: this.#floodGate,
      identity,
      settings,
      transport,
      logger,
    });
    const shared = { table, messenger: this.#messenger, settings, clock, random };
    this.#detector = new Detector({ ...shared, health: this.#health, stallWatch: this.#stallWatch });
    this.#gossiper = new Gossiper({ ...shared, waiting: () => this.#changes.size + this.#rumors.waiting });
    this.#reconciler = new Reconciler({
      ...shared,
      onForgotten: (replicaIds) => {
        for (const replicaId of replicaIds) this.#floodGate.forget(replicaId);
      },
    });
    this.#discovery = new Discovery({ ...shared, seeds, logger });
    table.subscribe((member) => {
      if (isLive(member) && member.replicaId !== self.replicaId) this.#detector.include(member.replicaId);
    });
  }

  /** Counters, by part. */
  get stats() {
    return {
      table: this.#table.stats,
      messenger: this.#messenger.stats,
      detector: this.#detector.stats,
      discovery: this.#discovery.stats,
      rumors: this.#rumors.stats,
      stalls: this.#stallWatch.stats,
      rumorsDropped: this.#rumors.dropped,
      changesDropped: this.#changes.stats.dropped,
    };
  }

  /** 0 is well; see {@link LocalHealth}. */
  get healthScore(): number {
    return this.#health.score;
  }

  /** This replica as it sees itself. */
  get self(): Member {
    return this.#table.self;
  }

  /** The live members (alive and suspect, this one included) by id: the same array until something in it changes. */
  get live(): readonly Member[] {
    return this.#table.live;
  }

  /** All that is known, the dead and the gone included. */
  members(): Member[] {
    return this.#table.members();
  }

  /** Calls `listener` after every change of a member, with what was believed before. Returns how to end that. */
  subscribe(listener: MemberListener): () => void {
    return this.#table.subscribe(listener);
  }

  /** Before the start: where others reach this replica, where that is known only once its listener has a port. */
  readdress(address: string): void {
    assert(this.#phase === "made", "an address is fixed once others know it");
    checkMember({ ...this.#table.self, address });
    this.#table.readdress(address);
  }

  /** Resolves when the seeds were asked once: by then this replica has joined, or nobody answered and it goes on asking. */
  start(): Promise<void> {
    assert(this.#phase === "made", "membership is started once");
    this.#phase = "running";
    this.#stallWatch.start();
    this.#detector.start();
    this.#gossiper.start();
    this.#reconciler.start();
    return this.#discovery.start();
  }

  /** Says goodbye to the live members, and stops. Resolves when they have heard it, or after one probe's timeout. */
  async leave(): Promise<void> {
    if (this.#phase !== "running") return;
    const others = sample(this.#table.others(), goodbyesMax, this.#random);
    this.#table.leave();
    await Promise.all(others.map((member) => this.#messenger.ping(member, this.settings.probeTimeoutMs)));
    this.stop();
  }

  /** Ends without a word, as a crash would. */
  stop(): void {
    this.#phase = "stopped";
    this.#discovery.stop();
    this.#reconciler.stop();
    this.#gossiper.stop();
    this.#detector.stop();
    this.#table.stop();
    this.#stallWatch.stop();
  }

  /** Tells all members once. A rumor larger than half of `gossipBytesMax` is counted and goes nowhere. */
  publish(rumor: Rumor): void {
    this.#rumors.publish(rumor);
  }

  /** Calls `listener` once for every rumor of this kind that others publish. Returns how to end that. */
  listen<Kind extends RumorKind>(kind: Kind, listener: RumorListener<Kind>): () => void {
    return this.#rumors.listen(kind, listener);
  }

  /**
   * Merges what another replica believes, as it came with an answer to something else: it said that this view is wrong.
   * @throws OrcaError `invalid_argument` when a member is malformed or there are more than any view holds.
   */
  learn(members: readonly Member[]): void {
    // A replica that has left is still told of members, and must not begin to suspect any.
    if (this.#phase === "stopped") return;
    this.#messenger.learn(members);
  }

  /** For a caller whose request to this member failed: it is probed next, and nothing is held against it by that. */
  staleMarker(replicaId: string): void {
    this.#detector.probeNext(replicaId);
  }

  /**
   * A ping of another replica, and the answer to it.
   * @throws OrcaError `config_invalid` ({@link ConfigurationMismatch}), `invalid_argument` (malformed or oversize),
   * `overloaded` (a flood), `precondition_failed` (meant for another replica), `shutting_down`.
   */
  receivePing(message: Ping): PingAnswer {
    this.#checkRunning();
    return this.#messenger.receivePing(message);
  }

  /** Pings another replica for the one that asks. Throws as {@link receivePing} does. */
  async receivePingIndirect(message: IndirectPing): Promise<IndirectPingAnswer> {
    this.#checkRunning();
    return this.#messenger.receivePingIndirect(message);
  }

  /** Merges another replica's view, and answers with what came of it. Throws as {@link receivePing} does. */
  receiveSync(view: View): View {
    this.#checkRunning();
    return this.#messenger.receiveSync(view);
  }

  #spread(change: StateChange): void {
    const { member, reporterId } = change;
    // Each accuser is news by itself, for he is counted; of everything else only the newest matters.
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
      "Cannot take part in membership: it does not run here",
    );
  }
}

function selfOf({ replicaId, address, zone, identity, clock }: MembershipOptions): Member {
  return {
    replicaId,
    address,
    incarnation: Math.floor(clock.now()),
    state: "alive",
    zone,
    fingerprint: fingerprintOf(identity),
    clusterName: identity.name,
  };
}

/** An upper estimate of what it takes on the wire. */
function sizeOf({ member, reporterId }: StateChange): number {
  const { replicaId, address, zone, fingerprint, clusterName } = member;
  const characters = [replicaId, address, zone, fingerprint, clusterName, reporterId].reduce(
    (total, text) => total + text.length,
    0,
  );
  return 48 + 3 * characters;
}
