/**
 * How fast a client takes the bytes of its response. Time counts while bytes wait for the client, and not while Orca
 * waits for the origin or for memory. A client that stays below the lowest rate over a window is too slow to serve,
 * because it pins memory.
 *
 * Node tells when a slice was taken, not how much of it. The slice that is being sent counts as taken, so a slow client
 * gets the benefit of one slice, at most once in a window.
 */
import type { Clock, Timer } from "../base/clock.ts";

const looksPerWindow = 4;

/** A look that comes later than this many intervals says that the process stood still. */
const lateIntervals = 2;

export interface PaceLimit {
  /** 0 for none. */
  readonly bytesPerSecondMin: number;
  /** How long a client may be slower. */
  readonly windowMs: number;
}

export class ClientPace {
  readonly #limit: PaceLimit;
  /** Of the slice that is being sent; 0 bytes for none. */
  #sentMs = 0;
  #sentBytes = 0;
  /** Of the window so far. */
  #waitedMs = 0;
  #takenBytes = 0;
  /** Of the windows before. */
  #endedWindowsMs = 0;
  #wasSlow = false;

  constructor(limit: PaceLimit) {
    this.#limit = limit;
  }

  /** A slice is given to the connection. */
  sending(lengthBytes: number, nowMs: number): void {
    this.#sentMs = nowMs;
    this.#sentBytes = lengthBytes;
  }

  /** The client has taken the slice. */
  taken(nowMs: number): void {
    this.#waitedMs += nowMs - this.#sentMs;
    this.#takenBytes += this.#sentBytes;
    this.#sentBytes = 0;
    if (this.#waitedMs < this.#limit.windowMs) return;
    this.#wasSlow = this.#isBelow(this.#takenBytes, this.#waitedMs);
    this.#endedWindowsMs += this.#waitedMs;
    this.#waitedMs = 0;
    this.#takenBytes = 0;
  }

  /** Whether the client was too slow over the last whole window, or has been over the running one. */
  isTooSlow(nowMs: number): boolean {
    if (this.#sentBytes === 0) return this.#wasSlow;
    const waitedMs = this.#waitedMs + nowMs - this.#sentMs;
    if (waitedMs < this.#limit.windowMs) return this.#wasSlow;
    return this.#isBelow(this.#takenBytes + this.#sentBytes, waitedMs);
  }

  /** How long bytes have waited for the client until now. */
  waitedMs(nowMs: number): number {
    const waitsMs = this.#sentBytes === 0 ? 0 : nowMs - this.#sentMs;
    return this.#endedWindowsMs + this.#waitedMs + waitsMs;
  }

  /** Forgets the time until now: the process stood still, and the client could not take anything. */
  restart(nowMs: number): void {
    this.#sentMs = nowMs;
    this.#endedWindowsMs += this.#waitedMs;
    this.#waitedMs = 0;
    this.#takenBytes = 0;
    this.#wasSlow = false;
  }

  #isBelow(bytes: number, waitedMs: number): boolean {
    return bytes * 1000 < this.#limit.bytesPerSecondMin * waitedMs;
  }
}

interface Paced {
  readonly pace: ClientPace;
}

export interface SlowClientsOptions<Exchange extends Paced> {
  readonly clock: Clock;
  readonly limit: PaceLimit;
  /** Those in progress. */
  readonly exchanges: Iterable<Exchange>;
  readonly onSlow: (exchange: Exchange) => void;
}

/**
 * Finds the clients that are too slow to serve. It looks at all exchanges a few times in a window, rather than with a
 * timer for each.
 */
export class SlowClients<Exchange extends Paced> {
  readonly #options: SlowClientsOptions<Exchange>;
  readonly #intervalMs: number;
  #lookedMs = 0;
  #timer: Timer | undefined;

  constructor(options: SlowClientsOptions<Exchange>) {
    this.#options = options;
    this.#intervalMs = options.limit.windowMs / looksPerWindow;
  }

  start(): void {
    const { clock, limit } = this.#options;
    if (limit.bytesPerSecondMin === 0) return;
    this.#lookedMs = clock.monotonic();
    const timer = clock.timer(this.#intervalMs, () => {
      timer.refresh();
      this.#look();
    });
    this.#timer = timer;
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    const { clock, exchanges, onSlow } = this.#options;
    const nowMs = clock.monotonic();
    const wasStill = nowMs - this.#lookedMs > lateIntervals * this.#intervalMs;
    this.#lookedMs = nowMs;
    for (const exchange of exchanges) {
      if (wasStill) exchange.pace.restart(nowMs);
      else if (exchange.pace.isTooSlow(nowMs)) onSlow(exchange);
    }
  }
}
