/**
 * Exchanges messages with other replicas. It adds gossip to every message that it sends, and applies the gossip of every
 * message that it receives, whatever the message is for. A missing answer is a value here and not an error, because it
 * is what the failure detector looks for.
 */
import { AssertionFailure } from "../base/assert.ts";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type AgreedSettings, ConfigurationMismatch, mismatch, RejectedByPeer } from "./agreed-settings.ts";
import { type BroadcastQueue, sendsMax } from "./broadcast-queue.ts";
import { checkMember, isLive, type Member, type StateChange } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type {
  IndirectPing,
  IndirectPingAnswer,
  MembershipTransport,
  Ping,
  PingAnswer,
  View,
} from "./membership-message.ts";
import { checkMessage, type Gossip } from "./membership-message.ts";
import { precedence } from "./merge.ts";
import type { Rejections } from "./rejections.ts";
import type { RumorRelay } from "./rumor-relay.ts";
import type { SwimSettings } from "./swim-settings.ts";

/** The result of an indirect ping: the helper reached the target, found it silent, or did not answer itself (`lost`). */
export type IndirectResult = "reached" | "silent" | "lost";

type Settings = Readonly<Record<string, string>>;

export interface MessengerOptions {
  readonly table: MemberTable;
  readonly changes: BroadcastQueue<StateChange>;
  readonly rumors: RumorRelay;
  readonly agreedSettings: AgreedSettings;
  readonly settings: SwimSettings;
  readonly transport: MembershipTransport;
  readonly rejections: Rejections;
  readonly logger: Logger;
}

export class Messenger {
  readonly stats = {
    pings: 0,
    pingsFailed: 0,
    indirectPings: 0,
    syncs: 0,
    syncsFailed: 0,
    rejectedMismatch: 0,
    rejectedMalformed: 0,
    rejectedIdentity: 0,
    rejectedTarget: 0,
  };
  readonly #options: MessengerOptions;
  readonly #ownRejections = new WeakSet<OrcaError>();

  constructor(options: MessengerOptions) {
    this.#options = options;
  }

  /** Whether the target answered in time, and under its own id. */
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
      this.#apply(responder, gossip);
      table.noteAnswer(responder.replicaId, target.address);
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
      // The helper waits for less time than we do, so that its own answer arrives in time.
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
      this.#applyGossip(answer.gossip);
      return answer.reached ? "reached" : "silent";
    } catch (thrown) {
      rethrowBug(thrown);
      return "lost";
    }
  }

  /** Exchanges whole views. Returns the member that answered; undefined without an answer, or after a rejection. */
  async sync(address: string): Promise<Member | undefined> {
    const { settings, transport, logger } = this.#options;
    this.stats.syncs += 1;
    try {
      const answer = await transport.sync(address, this.#view(""), settings.syncTimeoutMs);
      this.#check(answer.sender, answer.gossip, answer.members, answer.settings);
      this.#applyView(answer);
      this.#options.table.noteAnswer(answer.sender.replicaId, address);
      this.#options.rejections.accepted(answer.sender.replicaId, address);
      return answer.sender;
    } catch (thrown) {
      const error = OrcaError.from(thrown, "internal", "membership", `Cannot sync with ${address}`);
      this.stats.syncsFailed += 1;
      logger.debug({ address, reason: error.message }, `Cannot sync with ${address}`);
      if (error.code === "config_invalid") this.#noteRejection(error, address);
      return undefined;
    }
  }

  /** An error that this replica made itself is noted where it was made. */
  #noteRejection(error: OrcaError, address: string): void {
    const { table, rejections } = this.#options;
    if (this.#ownRejections.has(error)) return;
    const [peerId, cause] =
      error instanceof RejectedByPeer
        ? [error.peerId, error.setting]
        : error instanceof ConfigurationMismatch && error.selfId !== table.self.replicaId
          ? [error.selfId, error.setting]
          : ["", "see the log"];
    rejections.note({ peerId, address, by: "peer", cause }, error.message);
  }

  #reject(sender: Member, cause: string, error: OrcaError): never {
    this.#ownRejections.add(error);
    const { replicaId: peerId, address } = sender;
    this.#options.rejections.note({ peerId, address, by: "self", cause }, error.message);
    throw error;
  }

  receivePing({ sender, targetId, gossip }: Ping): PingAnswer {
    const { table } = this.#options;
    this.#check(sender, gossip, []);
    if (targetId !== table.self.replicaId) {
      this.stats.rejectedTarget += 1;
      throw new OrcaError(
        "precondition_failed",
        "membership",
        `Cannot answer a ping for "${targetId}": this is "${table.self.replicaId}"`,
      );
    }
    this.#apply(sender, gossip);
    return { responder: table.self, gossip: this.#gossipFor(sender.replicaId) };
  }

  async receivePingIndirect({
    sender,
    target,
    timeoutMs,
    gossip,
  }: IndirectPing): Promise<IndirectPingAnswer> {
    const { table, settings } = this.#options;
    this.#check(sender, gossip, [target]);
    this.#apply(sender, gossip);
    const boundedMs = Math.min(Math.max(0, timeoutMs), settings.probeIntervalMs * settings.localHealthMax);
    const reached = await this.ping(target, boundedMs);
    return {
      reached,
      target: reached ? table.get(target.replicaId) : undefined,
      gossip: this.#gossipFor(sender.replicaId),
    };
  }

  receiveSync(view: View): View {
    this.#check(view.sender, view.gossip, view.members, view.settings);
    this.#applyView(view);
    return this.#view(view.sender.replicaId);
  }

  #view(peerId: string): View {
    const { table, agreedSettings } = this.#options;
    const { settings } = agreedSettings;
    return { sender: table.self, members: table.members(), settings, gossip: this.#gossipFor(peerId) };
  }

  #applyView({ sender, members, gossip }: View): void {
    this.#apply(sender, gossip);
    for (const member of members) this.#options.table.hearFromView(member);
  }

  /** @see Membership.learn */
  learn(members: readonly Member[]): void {
    const { table, settings } = this.#options;
    const none: Gossip = { changes: [], rumors: [] };
    counted(this.stats, "rejectedMalformed", () =>
      checkMessage(table.self, none, members, settings.membersMax),
    );
    for (const member of members) table.hearFromView(member);
  }

  /**
   * Checks the sender of a message, so that the rest of it need not be decoded. `replicaIds` are those for which its
   * certificate was issued, and undefined if it names none. `senderSettings` is called for a mismatch only.
   * @throws OrcaError `config_invalid`, `invalid_argument`.
   */
  checkSender(
    sender: Member,
    replicaIds: ReadonlySet<string> | undefined,
    senderSettings?: () => Settings,
  ): void {
    const { table, agreedSettings, settings } = this.#options;
    counted(this.stats, "rejectedMalformed", () => checkMember(sender));
    if (sender.fingerprint !== table.self.fingerprint || sender.clusterName !== table.self.clusterName) {
      const error = mismatch(table.self, agreedSettings, sender, senderSettings?.());
      this.stats.rejectedMismatch += 1;
      if (error) this.#reject(sender, error.setting, error);
    }
    if (replicaIds && !replicaIds.has(sender.replicaId)) {
      this.stats.rejectedIdentity += 1;
      const message =
        `Cannot accept a message of "${sender.replicaId}": the certificate of its sender is that of ` +
        `"${[...replicaIds].join('", "')}"`;
      this.#reject(sender, "certificate", new OrcaError("config_invalid", "membership", message));
    }
    if (!table.isAhead(sender)) {
      this.#options.rejections.accepted(sender.replicaId, sender.address);
      return;
    }
    this.stats.rejectedMalformed += 1;
    const message =
      `Cannot accept a message of "${sender.replicaId}": its incarnation ${sender.incarnation} is more than ` +
      `${settings.incarnationAheadMaxMs} ms ahead of the clock here. Check the clocks of both replicas.`;
    this.#reject(sender, "clock", new OrcaError("config_invalid", "membership", message));
  }

  /** Checks a whole message before any part of it is applied. */
  #check(sender: Member, gossip: Gossip, members: readonly Member[], senderSettings?: Settings): void {
    const { settings } = this.#options;
    this.checkSender(sender, undefined, senderSettings && (() => senderSettings));
    counted(this.stats, "rejectedMalformed", () =>
      checkMessage(sender, gossip, members, settings.membersMax),
    );
  }

  #apply(sender: Member, gossip: Gossip): void {
    const { self } = this.#options.table;
    // A message from this replica's own address is its own: the seeds name this replica, too.
    if (sender.replicaId !== self.replicaId || sender.address !== self.address) {
      this.#options.table.hear({ member: sender, reporterId: sender.replicaId });
    }
    this.#applyGossip(gossip);
  }

  #applyGossip({ changes, rumors }: Gossip): void {
    for (const change of changes) this.#options.table.hear(change);
    this.#options.rumors.hear(rumors);
  }

  #gossipFor(peerId: string): Gossip {
    const { table, changes, rumors, settings } = this.#options;
    const peer = table.get(peerId);
    // Items are sent a limited number of times, and no send is spent on a member that may be dead.
    if (!peer || !isLive(peer)) return { changes: peer ? [this.#statementAbout(peer)] : [], rumors: [] };
    const sends = sendsMax(settings.retransmitMultiplier, table.live.length);
    const statements = changes
      .take(settings.gossipBytesMax / 2, sends)
      // A statement that was overtaken while it waited is not sent.
      .filter(({ member }) => precedence(table.get(member.replicaId) ?? member, member) <= 0);
    if (peer.state === "suspect") statements.unshift(this.#statementAbout(peer));
    return { changes: statements, rumors: rumors.take(sends) };
  }

  /** Lifeguard's buddy system (§III-C): every message to a suspect carries the suspicion, whatever gossip does. */
  #statementAbout(member: Member): StateChange {
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

/** A missing answer is not a fault, but a failed assertion is a bug in this replica. */
function rethrowBug(thrown: unknown): void {
  if (thrown instanceof AssertionFailure) throw thrown;
}
