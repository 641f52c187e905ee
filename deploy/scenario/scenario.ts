/**
 * What a scenario is: a name, what it shows, and a run on the cluster of the demo that holds what it saw against what it
 * expects. A check that does not hold does not end the scenario, so that a person sees all of them.
 */
import type { Clock } from "../../src/base/clock.ts";
import type { DemoCluster } from "../demo/demo-cluster.ts";
import type { DemoOrigin } from "../demo/demo-origin.ts";

export interface ScenarioStage {
  readonly origin: DemoOrigin;
  readonly cluster: DemoCluster;
  readonly clock: Clock;
  /** Ends the scenario: it took too long, or a person asked. */
  readonly signal: AbortSignal;
}

export interface Check {
  readonly what: string;
  readonly expected: string;
  readonly seen: string;
  readonly holds: boolean;
}

/** Collects the checks of one scenario, in order. */
export class Checks {
  readonly all: Check[] = [];

  equal(what: string, seen: number | string, expected: number | string): void {
    this.#add(what, String(expected), seen, seen === expected);
  }

  atMost(what: string, seen: number, most: number): void {
    this.#add(what, `at most ${most}`, seen, seen <= most);
  }

  #add(what: string, expected: string, seen: number | string, holds: boolean): void {
    this.all.push({ what, expected, seen: String(seen), holds });
  }
}

export interface Scenario {
  readonly name: string;
  /** In the present tense, one line: what it does and what must come of it. */
  readonly summary: string;
  run(stage: ScenarioStage, checks: Checks): Promise<void>;
}
