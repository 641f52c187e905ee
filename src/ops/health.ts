/**
 * Whether this replica should be sent clients. Alive and ready are two questions: a replica that starts or
 * drains is not ready, but to restart it would only make things worse. Each part adds a check of its
 * own, so that the answer names what is missing.
 */
import { assert } from "../base/assert.ts";

/** Null when all is well, else the reason why not, for people. Answered from memory: a probe does no I/O. */
export type ReadinessCheck = () => string | null;

export interface ReadinessReport {
  readonly ready: boolean;
  /** `ok` or the reason, by the name of the check. */
  readonly checks: Readonly<Record<string, string>>;
}

/** A replica goes through these from left to right and never back. */
const phases = ["starting", "serving", "draining"] as const;
export type Phase = (typeof phases)[number];

export class Readiness {
  readonly #checks = new Map<string, ReadinessCheck>();
  #phase: Phase = "starting";

  constructor() {
    this.add("phase", () => (this.#phase === "serving" ? null : this.#phase));
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Ready only in `serving`, and then only if every check agrees. */
  enter(phase: Phase): void {
    assert(
      phases.indexOf(phase) >= phases.indexOf(this.#phase),
      `a replica goes from ${this.#phase} to ${phase}`,
    );
    this.#phase = phase;
  }

  add(name: string, check: ReadinessCheck): void {
    assert(!this.#checks.has(name), `there is one readiness check named ${name}`);
    this.#checks.set(name, check);
  }

  report(): ReadinessReport {
    const checks: Record<string, string> = {};
    let ready = true;
    for (const [name, check] of this.#checks) {
      const reason = check();
      checks[name] = reason ?? "ok";
      ready &&= reason === null;
    }
    return { ready, checks };
  }
}
