/**
 * What one replica may have in flight to an origin so that all of them together keep to the cluster's target. It is
 * computed from what this replica sees and nobody hands it out: while views differ the sum may be off for as long as
 * it takes to notice a crash, which costs the origin a few requests and the replicas no agreement.
 */
import { assert } from "../base/assert.ts";

/**
 * `floor(targetGlobal / liveMembers)`, and at least 1: a cluster larger than its target passes the target rather than
 * have replicas that can fill nothing.
 */
export function originShare(targetGlobal: number, liveMembers: number): number {
  assert(liveMembers >= 1, "a replica counts itself among the live ones");
  return Math.max(1, Math.floor(targetGlobal / liveMembers));
}
