/**
 * Which of two statements about one replica counts. Statements are totally ordered and the greater one stays, so merging
 * is commutative, associative and idempotent: replicas that have heard the same statements believe the same, in
 * whatever order, over whatever ways and however often they heard them.
 */
import { assert } from "../base/assert.ts";
import { type Member, memberStates } from "./member.ts";

/**
 * Positive when `left` counts more than `right`, 0 when they say the same. The higher incarnation wins; within one, the
 * worse state: only the replica itself can say that it is well, and it does so by a higher incarnation (SWIM §4.2). What
 * follows decides between two replicas that were given the same id, so that at least everybody believes the same.
 */
export function precedence(left: Member, right: Member): number {
  return (
    left.incarnation - right.incarnation ||
    memberStates.indexOf(left.state) - memberStates.indexOf(right.state) ||
    compareText(left.address, right.address) ||
    compareText(left.zone, right.zone) ||
    compareText(left.fingerprint, right.fingerprint) ||
    compareText(left.clusterName, right.clusterName)
  );
}

/** `known` itself unless `claimed` counts more, so that a caller sees by identity whether there is news. */
export function merge(known: Member, claimed: Member): Member {
  assert(known.replicaId === claimed.replicaId, "statements about one replica are merged");
  return precedence(claimed, known) > 0 ? claimed : known;
}

function compareText(left: string, right: string): number {
  return left === right ? 0 : left < right ? -1 : 1;
}
