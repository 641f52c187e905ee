/**
 * How long a suspect has to speak up before it counts as dead: Lifeguard's dynamic suspicion timeout (Dadgar, Phillips,
 * Currey: "Lifeguard: local health awareness for more accurate failure detection", DSN-W 2018, §III-B). One accuser
 * alone may be the one that is slow, so the first suspicion gets a long time; each independent one that confirms it
 * shortens the time, down to the least once enough agree. Pure: the timers that it feeds are elsewhere.
 */
import type { SwimSettings } from "./swim-settings.ts";

export type SuspicionSettings = Pick<
  SwimSettings,
  "probeIntervalMs" | "suspicionMultiplier" | "suspicionTimeoutMaxMultiplier"
>;

/**
 * How many more accusers it takes until the shortest timeout counts. None can be expected of a cluster that has nobody
 * left besides the accuser and the suspect.
 */
export function confirmationsExpected(settings: SuspicionSettings, liveMembers: number): number {
  return Math.max(0, Math.min(settings.suspicionMultiplier - 2, liveMembers - 2));
}

/** The least timeout: enough probe intervals for a statement to go round and its refutation to come back. */
export function suspicionTimeoutMinMs(settings: SuspicionSettings, liveMembers: number): number {
  const rounds = Math.max(1, Math.log10(Math.max(1, liveMembers)));
  return settings.suspicionMultiplier * rounds * settings.probeIntervalMs;
}

/**
 * Milliseconds from the first suspicion to death, when `confirmations` others have made it their own since and
 * `expected` were hoped for. `liveMembers` counts this replica and the suspect.
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
