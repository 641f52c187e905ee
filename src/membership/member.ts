/**
 * What a view says of one replica. A Member never changes: every new statement about a replica is a new one, so that
 * whoever holds a list of members holds a view as it was, and a change is a comparison of two.
 */
import { OrcaError } from "../base/orca-error.ts";

/**
 * In the order of precedence within one incarnation. `alive` and `suspect` are *live*: a suspect has not answered and
 * may still say that it is there. `dead` was found out, `left` was announced.
 */
export const memberStates = ["alive", "suspect", "dead", "left"] as const;

export type MemberState = (typeof memberStates)[number];

export interface Member {
  /** The same after a restart. */
  readonly replicaId: string;
  /** `host:port` of its internal listener. */
  readonly address: string;
  /**
   * Counts the replica's own statements about itself: nobody else raises it. It starts at the wall clock, so that
   * what a replica says after a restart counts more than what was believed of it before.
   */
  readonly incarnation: number;
  readonly state: MemberState;
  /** Empty where there are no zones. */
  readonly zone: string;
  /** Digest of its cluster-relevant configuration. */
  readonly fingerprint: string;
  readonly clusterName: string;
}

/** A statement about a member, and who made it: independent suspicions are counted by their reporters. */
export interface StateChange {
  readonly member: Member;
  readonly reporterId: string;
}

/** Leaves room to refute: a replica answers a statement of incarnation n with n + 1, which must be exact too. */
export const incarnationMax = 2 ** 53 - 2;

const replicaIdLengthMax = 128;
const addressLengthMax = 262;
const textLengthMax = 256;

export function isLive(member: Member): boolean {
  return member.state === "alive" || member.state === "suspect";
}

/** @throws OrcaError `invalid_argument` that names the field which cannot be. */
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
  if (!memberStates.includes(member.state)) return `"${replicaId}" is in no known state`;
  if (Math.max(zone.length, fingerprint.length, clusterName.length) > textLengthMax) {
    return `a text of "${replicaId}" is longer than ${textLengthMax} characters`;
  }
  return undefined;
}
