/**
 * Whether this replica should get clients. Alive and ready are two questions: a replica that starts or drains is not
 * ready, but a restart would only make things worse. Each part adds its own check, so that the answer names what is
 * missing.
 */
import { assert } from "../base/assert.ts";

/** Null if all is well, else the reason, for people. It answers from memory: a probe does no I/O. */
export type ReadinessCheck = () => string | null;

export interface ReadinessReport {
  readonly ready: boolean;
  /** By name of the check: `ok` or the reason. */
  readonly checks: Readonly<Record<string, string>>;
  /** The same for trouble that a person should look at, and in spite of which this replica serves clients. */
  readonly notices: Readonly<Record<string, string>>;
}

/** A replica passes through these from left to right, never back. */
const phases = ["starting", "serving", "draining"] as const;
export type Phase = (typeof phases)[number];

export class Readiness {
  readonly #checks = new Map<string, ReadinessCheck>();
  readonly #notices = new Map<string, ReadinessCheck>();
  #phase: Phase = "starting";
  #startStep = "";

  constructor() {
    this.add("phase", () => {
      if (this.#phase === "serving") return null;
      return this.#phase === "starting" && this.#startStep ? `starting: ${this.#startStep}` : this.#phase;
    });
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** The replica is ready only in `serving`, and only if every check says so. */
  enter(phase: Phase): void {
    assert(
      phases.indexOf(phase) >= phases.indexOf(this.#phase),
      `a replica goes from ${this.#phase} to ${phase}`,
    );
    this.#phase = phase;
  }

  /** Names what the start does now: `checking the cachestore`. */
  startStep(what: string): void {
    this.#startStep = what;
  }

  add(name: string, check: ReadinessCheck): void {
    assert(!this.#checks.has(name), `there is one readiness check named ${name}`);
    this.#checks.set(name, check);
  }

  /**
   * Adds a notice: trouble that all replicas have at the same time and can serve in spite of. As a check it would take all
   * replicas out of service at once, and without clients no replica would find out that the trouble is over.
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

/** What is not `ok`, by the name of its check or notice. */
export function troubleIn({ checks, notices }: ReadinessReport): Record<string, string> {
  return Object.fromEntries(
    Object.entries({ ...checks, ...notices }).filter(([, reason]) => reason !== "ok"),
  );
}
