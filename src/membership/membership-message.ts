/**
 * What replicas say to one another about membership, apart from how it is written on the wire, and the check that every
 * received message passes whole before anything of it counts: half a message that was taken in would be a view that
 * nobody holds.
 */
import { OrcaError } from "../base/orca-error.ts";
import { checkMember, type Member, type StateChange } from "./member.ts";
import { type Rumor, rumorKinds } from "./rumor.ts";

/** News that rides on other messages. */
export interface Gossip {
  readonly changes: readonly StateChange[];
  readonly rumors: readonly Rumor[];
}

export interface Ping {
  /** The caller as it sees itself: alive, or left when it says goodbye. */
  readonly sender: Member;
  /** The replica meant: an address may have passed on to another one. */
  readonly targetId: string;
  readonly gossip: Gossip;
}

export interface PingAnswer {
  readonly responder: Member;
  readonly gossip: Gossip;
}

export interface IndirectPing {
  readonly sender: Member;
  /** Whom to ping, as the caller sees it. */
  readonly target: Member;
  /** How long the asked replica may wait for the target. */
  readonly timeoutMs: number;
  readonly gossip: Gossip;
}

export interface IndirectPingAnswer {
  /** False is Lifeguard's nack: the one who was asked is well, the target is silent. */
  readonly reached: boolean;
  /** The target as it is seen after that. */
  readonly target?: Member | undefined;
  readonly gossip: Gossip;
}

/** A whole view. The answer is the view after the caller's was merged into it, so that it refutes what was wrong in it. */
export interface View {
  readonly sender: Member;
  /** All the sender knows, itself included. */
  readonly members: readonly Member[];
  /** Its cluster-relevant settings, so that a mismatch can be named. */
  readonly settings: Readonly<Record<string, string>>;
  readonly gossip: Gossip;
}

const rumorsMax = 8192;
const rumorIdLengthMax = 2048;
const gossipBytesMax = 1024 * 1024;

/** @throws OrcaError `invalid_argument` when the message is larger than any honest one, or a part of it is malformed. */
export function checkMessage(
  sender: Member,
  gossip: Gossip,
  members: readonly Member[],
  membersMax: number,
): void {
  checkMember(sender);
  if (sender.state !== "alive" && sender.state !== "left") {
    throw refused(`"${sender.replicaId}" says of itself that it is ${sender.state}`);
  }
  checkCount("members", members.length, membersMax);
  for (const member of members) checkMember(member);
  // A change for every member, and one more for every accuser of a suspect.
  checkCount("changes of state", gossip.changes.length, membersMax * 4);
  for (const { member, reporterId } of gossip.changes) {
    checkMember(member);
    checkCount("characters of a reporter's id", reporterId.length, rumorIdLengthMax);
  }
  checkCount("rumors", gossip.rumors.length, rumorsMax);
  let bytes = 0;
  for (const { kind, id, sizeBytes } of gossip.rumors) {
    if (!rumorKinds.includes(kind) || id.length === 0) throw refused("a rumor has no kind or no id");
    checkCount("characters of a rumor's id", id.length, rumorIdLengthMax);
    bytes += sizeBytes;
  }
  checkCount("bytes of rumors", bytes, gossipBytesMax);
}

function checkCount(what: string, count: number, max: number): void {
  if (!(count <= max)) throw refused(`it has ${count} ${what}, at most ${max} are taken`);
}

function refused(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "membership", `Cannot take in a message of membership: ${reason}`);
}
