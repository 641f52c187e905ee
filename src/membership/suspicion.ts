/**
 * How long a suspect has to refute before it counts as dead: Lifeguard's dynamic suspicion timeout (Dadgar, Phillips,
 * Currey: "Lifeguard: local health awareness for more accurate failure detection", DSN-W 2018, §III-B). A single accuser
 * may itself be the slow one, so the first suspicion has a long timeout. Each independent confirmation shortens it, down
 * to the minimum when enough replicas agree. These are pure functions; member-table.ts has the timers.
 */
import type { SwimSettings } from "./swim-settings.ts";

export type SuspicionSettings = Pick<
  SwimSettings,
  "probeIntervalMs" | "suspicionMultiplier" | "suspicionTimeoutMaxMultiplier"
>;

/**
 * How many further accusers shorten the timeout to its minimum. It is 0 if no live member is left besides the accuser and
 * the suspect.
 */
export function confirmationsExpected(settings: SuspicionSettings, liveMembers: number): number {
  return Math.max(0, Math.min(settings.suspicionMultiplier - 2, liveMembers - 2));
}

/** The minimum timeout: enough probe intervals for a statement to reach all members and its refutation to return. */
export function suspicionTimeoutMinMs(settings: SuspicionSettings, liveMembers: number): number {
  const rounds = Math.max(1, Math.log10(Math.max(1, liveMembers)));
  return settings.suspicionMultiplier * rounds * settings.probeIntervalMs;
}

/**
 * Milliseconds from the first suspicion to death, after `confirmations` of `expected` further accusers. `liveMembers`
 * includes this replica and the suspect.
 */
export function suspicionTimeoutMs(
  settings: SuspicionSettings,
  liveMembers: number,
  expected: number,
  confirmations: number,
): number {
  const minMs = suspicionTimeoutMinMs(settings, liveMembers);
  if (expected === 0) return minMs;
  const maxMs = minMs * settings.suspicionTimeoutMaxMultiplier;
  const share = Math.log(confirmations + 1) / Math.log(expected + 1);
  return Math.max(minMs, maxMs - (maxMs - minMs) * share);
}
