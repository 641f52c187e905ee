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
  /** The same of what a person should look at and no client need be kept away for. */
  readonly notices: Readonly<Record<string, string>>;
}

/** A replica goes through these from left to right and never back. */
const phases = ["starting", "serving", "draining"] as const;
export type Phase = (typeof phases)[number];

export class Readiness {
  readonly #checks = new Map<string, ReadinessCheck>();
  readonly #notices = new Map<string, ReadinessCheck>();
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

  /**
   * Tells of trouble that all replicas have alike and can serve in spite of. As a check it would take them all away from
   * their clients at once, and with no client nothing would ever find out that the trouble is over.
   */
  addNotice(name: string, notice: ReadinessCheck): void {
    assert(!this.#notices.has(name), `there is one notice named ${name}`);
    this.#notices.set(name, notice);
  }

  report(): ReadinessReport {
    const checks: Record<string, string> = {};
    let ready = true;
    for (const [name, check] of this.#checks) {
      const reason = check();
      checks[name] = reason ?? "ok";
      ready &&= reason === null;
    }
    const notices: Record<string, string> = {};
    for (const [name, notice] of this.#notices) notices[name] = notice() ?? "ok";
    return { ready, checks, notices };
  }
}
