/**
 * How many requests one replica may have in flight to an origin, so that all replicas together keep the cluster's target.
 * Each replica computes its share from its own view, so the replicas need no agreement. While views differ, until a crash
 * is noticed, the sum may be off by a few requests.
 */
import { assert } from "../base/assert.ts";

/**
 * `floor(targetGlobal / liveMembers)`, and at least 1: a cluster that is larger than its target exceeds it, because a
 * replica without a permit could fill nothing.
 */
export function originShare(targetGlobal: number, liveMembers: number): number {
  assert(liveMembers >= 1, "a replica counts itself as live");
  return Math.max(1, Math.floor(targetGlobal / liveMembers));
}
