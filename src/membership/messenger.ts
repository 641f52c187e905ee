/**
 * Speaks with other replicas: puts news on every message that goes out, and takes in the news of every one that comes
 * back, whatever the message was for. That somebody does not answer is a value here, because it is what the failure
 * detector is about.
 */
import { AssertionFailure } from "../base/assert.ts";
import type { Logger } from "../base/logger.ts";
import { LruMap } from "../base/lru-map.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type AgreedSettings, mismatch } from "./agreed-settings.ts";
import { type BroadcastQueue, ridesMax } from "./broadcast-queue.ts";
import type { FloodGate } from "./flood-gate.ts";
import { isLive, type Member, type StateChange } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { IndirectPing, IndirectPingAnswer, Ping, PingAnswer, View } from "./membership-message.ts";
import { checkMessage, type Gossip } from "./membership-message.ts";
import type { MembershipTransport } from "./membership-transport.ts";
import { precedence } from "./merge.ts";
import type { RumorRelay } from "./rumor-relay.ts";
import type { SwimSettings } from "./swim-settings.ts";

/** What came of an indirect ping: the target was reached, it was silent, or the asked one itself was lost. */
export type IndirectResult = "reached" | "silent" | "lost";

type Settings = Readonly<Record<string, string>>;

/** Different reasons why a sync failed, each of which is logged once. */
const reasonsLoggedMax = 256;

export interface MessengerOptions {
  readonly table: MemberTable;
  readonly changes: BroadcastQueue<StateChange>;
  readonly rumors: RumorRelay;
  readonly floodGate: FloodGate;
  readonly identity: AgreedSettings;
  readonly settings: SwimSettings;
  readonly transport: MembershipTransport;
  readonly logger: Logger;
}

export class Messenger {
  readonly stats = {
    pings: 0,
    pingsFailed: 0,
    indirectPings: 0,
    syncs: 0,
    syncsFailed: 0,
    refusedMismatch: 0,
    refusedMalformed: 0,
    refusedFlood: 0,
    refusedTarget: 0,
  };
  readonly #options: MessengerOptions;
  readonly #reasonsLogged = new LruMap<string, true>({ entriesMax: reasonsLoggedMax });

  constructor(options: MessengerOptions) {
    this.#options = options;
  }

  /** Whether it answered in time, as itself. */
  async ping(target: Member, timeoutMs: number): Promise<boolean> {
    const { table, transport } = this.#options;
    this.stats.pings += 1;
    try {
      const message = {
        sender: table.self,
        targetId: target.replicaId,
        gossip: this.#gossipFor(target.replicaId),
      };
      const { responder, gossip } = await transport.ping(target.address, message, timeoutMs);
      this.#check(responder, gossip, []);
      this.#takeIn(responder, gossip);
      if (responder.replicaId === target.replicaId) return true;
    } catch (thrown) {
      rethrowBug(thrown);
    }
    this.stats.pingsFailed += 1;
    return false;
  }

  async pingIndirect(helper: Member, target: Member, timeoutMs: number): Promise<IndirectResult> {
    const { table, transport } = this.#options;
    this.stats.indirectPings += 1;
    try {
      // The helper gives up earlier than we do, so that its own answer comes in time.
      const message = {
        sender: table.self,
        target,
        timeoutMs: timeoutMs * 0.8,
        gossip: this.#gossipFor(helper.replicaId),
      };
      const answer = await transport.pingIndirect(helper.address, message, timeoutMs);
      this.#check(helper, answer.gossip, answer.target ? [answer.target] : []);
      if (answer.target?.state === "alive") {
        table.hear({ member: answer.target, reporterId: helper.replicaId });
      }
      this.#takeInGossip(answer.gossip);
      return answer.reached ? "reached" : "silent";
    } catch (thrown) {
      rethrowBug(thrown);
      return "lost";
    }
  }

  /** Exchanges whole views. Who answered; undefined when nobody did or the two refused each other. */
  async sync(address: string): Promise<Member | undefined> {
    const { settings, transport, logger } = this.#options;
    this.stats.syncs += 1;
    try {
      const answer = await transport.sync(address, this.#view(""), settings.syncTimeoutMs);
      this.#check(answer.sender, answer.gossip, answer.members, answer.settings);
      this.#takeInView(answer);
      return answer.sender;
    } catch (thrown) {
      const error = OrcaError.from(thrown, "internal", "membership", `Cannot sync with ${address}`);
      this.stats.syncsFailed += 1;
      const reason = `${address} ${error.message}`;
      if (error.code === "config_invalid" && !this.#reasonsLogged.get(reason)) {
        this.#reasonsLogged.set(reason, true);
        logger.error({ address }, error.message);
      } else {
        logger.debug({ address, reason: error.message }, `Cannot sync with ${address}`);
      }
      return undefined;
    }
  }

  receivePing({ sender, targetId, gossip }: Ping): PingAnswer {
    const { table } = this.#options;
    this.#admit(sender, gossip, []);
    if (targetId !== table.self.replicaId) {
      this.stats.refusedTarget += 1;
      throw new OrcaError(
        "precondition_failed",
        "membership",
        `Cannot answer a ping for "${targetId}": this is "${table.self.replicaId}"`,
      );
    }
    this.#takeIn(sender, gossip);
    return { responder: table.self, gossip: this.#gossipFor(sender.replicaId) };
  }

  async receivePingIndirect({
    sender,
    target,
    timeoutMs,
    gossip,
  }: IndirectPing): Promise<IndirectPingAnswer> {
    const { table, settings } = this.#options;
    this.#admit(sender, gossip, [target]);
    this.#takeIn(sender, gossip);
    const boundedMs = Math.min(Math.max(0, timeoutMs), settings.probeIntervalMs * settings.localHealthMax);
    const reached = await this.ping(target, boundedMs);
    return {
      reached,
      target: reached ? table.get(target.replicaId) : undefined,
      gossip: this.#gossipFor(sender.replicaId),
    };
  }

  receiveSync(view: View): View {
    this.#admit(view.sender, view.gossip, view.members, view.settings);
    this.#takeInView(view);
    return this.#view(view.sender.replicaId);
  }

  #view(peerId: string): View {
    const { table, identity } = this.#options;
    const { settings } = identity;
    return { sender: table.self, members: table.members(), settings, gossip: this.#gossipFor(peerId) };
  }

  #takeInView({ sender, members, gossip }: View): void {
    this.#takeIn(sender, gossip);
    for (const member of members) this.#options.table.hearOfView(member);
  }

  /** @see Membership.learn */
  learn(members: readonly Member[]): void {
    const { table, settings } = this.#options;
    const none: Gossip = { changes: [], rumors: [] };
    counted(this.stats, "refusedMalformed", () =>
      checkMessage(table.self, none, members, settings.membersMax),
    );
    for (const member of members) table.hearOfView(member);
  }

  /** For what others send unasked. */
  #admit(sender: Member, gossip: Gossip, members: readonly Member[], theirSettings?: Settings): void {
    const { table, floodGate } = this.#options;
    counted(this.stats, "refusedFlood", () => {
      floodGate.admit(sender.replicaId, table.get(sender.replicaId) !== undefined);
    });
    this.#check(sender, gossip, members, theirSettings);
  }

  /** Nothing of a message counts before all of it has passed here. */
  #check(sender: Member, gossip: Gossip, members: readonly Member[], theirSettings?: Settings): void {
    const { table, identity, settings } = this.#options;
    counted(this.stats, "refusedMalformed", () => checkMessage(sender, gossip, members, settings.membersMax));
    const refusal = mismatch(table.self, identity, sender, theirSettings);
    if (!refusal) return;
    this.stats.refusedMismatch += 1;
    throw refusal;
  }

  #takeIn(sender: Member, gossip: Gossip): void {
    const { self } = this.#options.table;
    // What comes from this replica's own address is this replica: the seeds name it too.
    if (sender.replicaId !== self.replicaId || sender.address !== self.address) {
      this.#options.table.hear({ member: sender, reporterId: sender.replicaId });
    }
    this.#takeInGossip(gossip);
  }

  #takeInGossip({ changes, rumors }: Gossip): void {
    for (const change of changes) this.#options.table.hear(change);
    this.#options.rumors.hear(rumors);
  }

  #gossipFor(peerId: string): Gossip {
    const { table, changes, rumors, settings } = this.#options;
    const peer = table.get(peerId);
    // News rides a limited number of times, and none is spent on a place where perhaps nobody is.
    if (!peer || !isLive(peer)) return { changes: peer ? [this.#heldAgainst(peer)] : [], rumors: [] };
    const rides = ridesMax(settings.retransmitMultiplier, table.live.length);
    const news = changes
      .take(settings.gossipBytesMax / 2, rides)
      // What was overtaken while it waited is not passed on.
      .filter(({ member }) => precedence(table.get(member.replicaId) ?? member, member) <= 0);
    if (peer.state === "suspect") news.unshift(this.#heldAgainst(peer));
    return { changes: news, rumors: rumors.take(rides) };
  }

  /** Lifeguard's buddy system (§III-C): who is suspected hears it from whoever speaks with it, whatever gossip does. */
  #heldAgainst(member: Member): StateChange {
    return { member, reporterId: this.#options.table.self.replicaId };
  }
}

function counted<Name extends string>(stats: Record<Name, number>, name: Name, check: () => void): void {
  try {
    check();
  } catch (thrown) {
    stats[name] += 1;
    throw thrown;
  }
}

/** That somebody did not answer is no fault; that this replica is broken is. */
function rethrowBug(thrown: unknown): void {
  if (thrown instanceof AssertionFailure) throw thrown;
}
