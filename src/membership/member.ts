/**
 * One replica as a view describes it. A Member never changes: each new statement about a replica is a new Member. So a
 * list of members is a snapshot of a view, and comparing two Members shows a change.
 */
import { OrcaError } from "../base/orca-error.ts";

/**
 * In the order of precedence within one incarnation. `alive` and `suspect` are *live*: a suspect has not answered, and
 * may still refute. `dead` was detected by others, `left` was announced by the replica.
 */
export const memberStates = ["alive", "suspect", "dead", "left"] as const;

export type MemberState = (typeof memberStates)[number];

export interface Member {
  /** The same after a restart. */
  readonly replicaId: string;
  /** `host:port` of its internal listener. */
  readonly address: string;
  /**
   * Numbers the replica's statements about itself. Only the replica raises it. It starts at the wall clock, so that a
   * statement after a restart overrides those from before.
   */
  readonly incarnation: number;
  readonly state: MemberState;
  /** Empty without zones. */
  readonly zone: string;
  /** Digest of its agreed settings. */
  readonly fingerprint: string;
  readonly clusterName: string;
}

/** A statement about a member, and the replica that made it. Independent suspicions are counted by reporter. */
export interface StateChange {
  readonly member: Member;
  readonly reporterId: string;
}

/** Leaves room to refute: a replica answers a statement of incarnation n with n + 1, which must be exact, too. */
export const incarnationMax = 2 ** 53 - 2;

const replicaIdLengthMax = 128;
const addressLengthMax = 262;
const textLengthMax = 256;

export function isLive(member: Member): boolean {
  return member.state === "alive" || member.state === "suspect";
}

/** @throws OrcaError `invalid_argument` that names the invalid field. */
export function checkMember(member: Member): void {
  const fault = faultOf(member);
  if (fault) {
    throw new OrcaError("invalid_argument", "membership", `Cannot take a member into the view: ${fault}`);
  }
}

function faultOf(member: Member): string | undefined {
  const { replicaId, address, incarnation, zone, fingerprint, clusterName } = member;
  if (replicaId.length === 0 || replicaId.length > replicaIdLengthMax) {
    return `its replica id has ${replicaId.length} characters, expected 1 to ${replicaIdLengthMax}`;
  }
  if (address.length > addressLengthMax || !/^[^\s/]+:\d{1,5}$/.test(address)) {
    return `the address of "${replicaId}" is not host:port`;
  }
  if (!Number.isSafeInteger(incarnation) || incarnation < 0 || incarnation > incarnationMax) {
    return `the incarnation of "${replicaId}" is ${incarnation}, expected a whole number up to ${incarnationMax}`;
  }
  if (!memberStates.includes(member.state)) return `"${replicaId}" has no known state`;
  if (Math.max(zone.length, fingerprint.length, clusterName.length) > textLengthMax) {
    return `a text of "${replicaId}" is longer than ${textLengthMax} characters`;
  }
  return undefined;
}
