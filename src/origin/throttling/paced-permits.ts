/**
 * The permits for requests to one origin: this replica's share of `target_global` and, while the origin throttles, as many
 * as the throttle lets in. A request holds both until its body has ended.
 */
import type { Clock } from "../../base/clock.ts";
import { type Permit, Semaphore } from "../../base/semaphore.ts";
import type { Paced, Throttle } from "./throttle.ts";

export interface PacedPermitsOptions {
  readonly originId: string;
  readonly clock: Clock;
  readonly share: number;
  readonly queueTimeoutMs: number;
  readonly throttle: Throttle | undefined;
}

/** A request, over all its attempts. */
export interface PacedAttempts extends Paced {
  /** When the first of them failed. */
  failingSinceMs: number | undefined;
}

export class PacedPermits {
  readonly #share: Semaphore;
  readonly #queueTimeoutMs: number;
  readonly #throttle: Throttle | undefined;

  constructor({ originId, clock, share, queueTimeoutMs, throttle }: PacedPermitsOptions) {
    this.#share = new Semaphore(`origin "${originId}"`, share, clock);
    this.#queueTimeoutMs = queueTimeoutMs;
    this.#throttle = throttle;
  }

  get inUse(): number {
    return this.#share.inUse;
  }

  get waiting(): number {
    return this.#share.waiting + (this.#throttle?.waiting ?? 0);
  }

  get permitsMax(): number {
    return Math.min(this.#share.permitsMax, this.#throttle?.limit ?? Infinity);
  }

  resize(share: number): void {
    this.#share.resize(share);
    this.#throttle?.resize(share);
  }

  /** @throws OrcaError `overloaded` where the share is in use for `queueTimeoutMs`. */
  async acquire(attempts: PacedAttempts): Promise<Permit> {
    if (!this.#throttle) return this.#share.acquire(this.#queueTimeoutMs);
    const { pacedMs } = attempts;
    const entry = await this.#throttle.enter(attempts);
    // The origin did not fail while the request waited.
    if (attempts.failingSinceMs !== undefined) attempts.failingSinceMs += attempts.pacedMs - pacedMs;
    try {
      return bothOf(await this.#share.acquire(this.#queueTimeoutMs), entry);
    } catch (thrown) {
      entry.release();
      throw thrown;
    }
  }

  /** A permit that is free now. Undefined where requests wait. */
  tryAcquire(): Permit | undefined {
    if (!this.#throttle) return this.#share.tryAcquire();
    const entry = this.#throttle.tryEnter();
    const permit = entry && this.#share.tryAcquire();
    if (entry && permit) return bothOf(permit, entry);
    entry?.release();
    return undefined;
  }
}

function bothOf(first: Permit, second: Permit): Permit {
  return {
    release: () => {
      first.release();
      second.release();
    },
  };
}
