/**
 * Looks at each bucket of the origins once after a start, so that a wrong set-up shows before a client meets it. Nothing
 * waits for a look: a replica serves what it has cached while its origin is down. A look that finds a fault is repeated
 * with backoff until the bucket can be read; then it stops. Until then a notice in /readyz names the fault.
 *
 * Invariants:
 * 1. A bucket is looked at, waits for its turn, waits for its timer, or was readable; never two of these.
 * 2. After `stop` no look begins and no timer runs.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import { pages } from "../base/pages.ts";
import type { Random } from "../base/random.ts";
import type { ReadinessCheck } from "../ops/readiness.ts";
import { backoffMs } from "../origin/backoff.ts";
import type { Finding } from "../origin/bucket-finding.ts";
import { type BucketLook, looksAtOnceMax } from "./bucket-looks.ts";

export interface OriginLooksOptions {
  readonly looks: readonly BucketLook[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const retry = { attempts: 0, maxTotalDurationMs: 0, backoffInitialMs: 1000, backoffMaxMs: 5 * 60_000 };

/** Faults that a notice spells out; the others are counted. */
const faultsShownMax = 3;

export class OriginLooks {
  readonly #options: OriginLooksOptions;
  readonly #waiting: BucketLook[] = [];
  readonly #timers = new Set<Timer>();
  /** Of buckets that cannot be read. */
  readonly #findings = new Map<BucketLook, Finding>();
  readonly #failures = new Map<BucketLook, number>();
  readonly #stopping = new AbortController();
  #running = 0;

  constructor(options: OriginLooksOptions) {
    this.#options = options;
  }

  /** To be called once. */
  start(): void {
    this.#waiting.push(...this.#options.looks);
    this.#runNext();
  }

  stop(): void {
    this.#stopping.abort(
      new OrcaError("shutting_down", "origin", "Cannot look at the origin: Orca is stopping"),
    );
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#waiting.length = 0;
  }

  /** The notice about one origin. */
  notice(originId: string): ReadinessCheck {
    return () => {
      const faults = [...this.#findings].filter(([look]) => look.originId === originId);
      if (faults.length === 0) return null;
      const shown = faults
        .slice(0, faultsShownMax)
        .map(([{ what }, { code, reason, remedy }]) => `${what}: ${code}: ${reason}. ${remedy}`);
      const more = faults.length - shown.length;
      return [...shown, ...(more > 0 ? [`and ${more} more buckets`] : [])].join(" ");
    };
  }

  #runNext(): void {
    while (this.#running < looksAtOnceMax) {
      const look = this.#waiting.shift();
      if (look === undefined) return;
      this.#running += 1;
      void this.#run(look).finally(() => {
        this.#running -= 1;
        this.#runNext();
      });
    }
  }

  async #run(look: BucketLook): Promise<void> {
    const { signal } = this.#stopping;
    const finding = await look.run(signal);
    if (signal.aborted) return;
    this.#log(look, finding);
    if (finding === undefined) {
      this.#findings.delete(look);
      this.#failures.delete(look);
      return;
    }
    this.#findings.set(look, finding);
    const failures = (this.#failures.get(look) ?? 0) + 1;
    this.#failures.set(look, failures);
    const { clock, random } = this.#options;
    const timer = clock.timer(backoffMs(failures, retry, random, undefined), () => {
      this.#timers.delete(timer);
      this.#waiting.push(look);
      this.#runNext();
    });
    this.#timers.add(timer);
  }

  /** A line where something is new: a fault, another one, or none any more. */
  #log(look: BucketLook, finding: Finding | undefined): void {
    const { logger } = this.#options;
    const { originId, name, what } = look;
    const before = this.#findings.get(look);
    if (finding === undefined) {
      if (before !== undefined) {
        logger.info(
          { origin: originId, bucket: name },
          `${what.replace(/^./, (first) => first.toUpperCase())} of origin "${originId}" can be read now`,
        );
      }
      return;
    }
    if (before?.code === finding.code && before.reason === finding.reason) return;
    const { code, reason, remedy } = finding;
    logger.warn(
      { origin: originId, bucket: name, code, see: pages.originUnreadable },
      `Cannot read ${what} of origin "${originId}": ${reason}. ${remedy}`,
    );
  }
}
