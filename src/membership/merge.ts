/**
 * Decides which of two statements about one replica counts. Statements are totally ordered, and the greater one stays. So
 * merging is commutative, associative and idempotent: replicas that have received the same statements have the same
 * view, whatever the order, the paths and the number of repetitions.
 */
import { assert } from "../base/assert.ts";
import { type Member, memberStates } from "./member.ts";

/**
 * Positive if `left` takes precedence over `right`, 0 if they are equal. The higher incarnation wins. Within one
 * incarnation the worse state wins: only the replica itself can refute it, with a higher incarnation (SWIM §4.2). The
 * other fields decide between two replicas with the same id, so that at least all views agree.
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

/** `known` itself unless `claimed` takes precedence, so that a caller detects a change by identity. */
export function merge(known: Member, claimed: Member): Member {
  assert(known.replicaId === claimed.replicaId, "statements about one replica are merged");
  return precedence(claimed, known) > 0 ? claimed : known;
}

function compareText(left: string, right: string): number {
  return left === right ? 0 : left < right ? -1 : 1;
}
