/**
 * The messages of membership, independent of their encoding, and the transport that carries them. Every received message
 * is checked as a whole before any part of it is applied: half a message would produce a view that no replica has.
 */
import { OrcaError } from "../base/orca-error.ts";
import { checkMember, type Member, type StateChange } from "./member.ts";
import { type Rumor, rumorKinds } from "./rumor.ts";

/** Statements and rumors that travel with every message. */
export interface Gossip {
  readonly changes: readonly StateChange[];
  readonly rumors: readonly Rumor[];
}

export interface Ping {
  /** The caller as it sees itself: alive, or left as a notice that it leaves. */
  readonly sender: Member;
  /** The intended replica: its address may now belong to another one. */
  readonly targetId: string;
  readonly gossip: Gossip;
}

export interface PingAnswer {
  readonly responder: Member;
  readonly gossip: Gossip;
}

export interface IndirectPing {
  readonly sender: Member;
  /** The member to ping, as the caller sees it. */
  readonly target: Member;
  /** How long the helper may wait for the target. */
  readonly timeoutMs: number;
  readonly gossip: Gossip;
}

export interface IndirectPingAnswer {
  /** False is Lifeguard's nack: the helper is healthy, the target is silent. */
  readonly reached: boolean;
  /** The target as the helper sees it after the ping. */
  readonly target?: Member | undefined;
  readonly gossip: Gossip;
}

/** A whole view. The answer is the receiver's view after the merge, so it refutes wrong statements in the caller's. */
export interface View {
  readonly sender: Member;
  /** All members that the sender knows, itself included. */
  readonly members: readonly Member[];
  /** The sender's agreed settings, so that a mismatch can be named. */
  readonly settings: Readonly<Record<string, string>>;
  readonly gossip: Gossip;
}

/**
 * The network as membership uses it. A call rejects if no answer arrives in time (connecting included), or if the other
 * replica rejects the message. The transport does not check answers; the caller does. In the other direction, the
 * transport calls the `receive…` methods of Membership, and the sender gets their errors as typed errors.
 */
export interface MembershipTransport {
  ping(address: string, message: Ping, timeoutMs: number): Promise<PingAnswer>;
  /** Asks the replica at `address` to ping `message.target`. */
  pingIndirect(address: string, message: IndirectPing, timeoutMs: number): Promise<IndirectPingAnswer>;
  sync(address: string, view: View, timeoutMs: number): Promise<View>;
}

const rumorsMax = 8192;
const rumorIdLengthMax = 2048;
const gossipBytesMax = 1024 * 1024;

/** @throws OrcaError `invalid_argument` if the message is larger than any correct one, or a part of it is malformed. */
export function checkMessage(
  sender: Member,
  gossip: Gossip,
  members: readonly Member[],
  membersMax: number,
): void {
  checkMember(sender);
  if (sender.state !== "alive" && sender.state !== "left") {
    throw malformed(`its sender "${sender.replicaId}" is ${sender.state} by its own statement`);
  }
  checkCount("members", members.length, membersMax);
  for (const member of members) checkMember(member);
  // One change for each member, and one more for each accuser of a suspect.
  checkCount("changes of state", gossip.changes.length, membersMax * 4);
  for (const { member, reporterId } of gossip.changes) {
    checkMember(member);
    checkCount("characters of a reporter's id", reporterId.length, rumorIdLengthMax);
  }
  checkCount("rumors", gossip.rumors.length, rumorsMax);
  let bytes = 0;
  for (const { kind, id, sizeBytes } of gossip.rumors) {
    if (!rumorKinds.includes(kind) || id.length === 0) throw malformed("a rumor has no known kind or no id");
    checkCount("characters of a rumor's id", id.length, rumorIdLengthMax);
    bytes += sizeBytes;
  }
  checkCount("bytes of rumors", bytes, gossipBytesMax);
}

function checkCount(what: string, count: number, max: number): void {
  if (!(count <= max)) throw malformed(`it has ${count} ${what}, at most ${max} are accepted`);
}

function malformed(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "membership", `Cannot accept a membership message: ${reason}`);
}
