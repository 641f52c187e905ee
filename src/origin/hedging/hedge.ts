/**
 * Sends a request that waits for its first byte longer than most do a second time, and takes the answer that comes first
 * (Dean, Barroso: "The Tail at Scale", 2013). It is for requests whose answer does not depend on how often they are sent.
 *
 * A hedge is sent where the first request has waited longer than the 95th percentile of the newest ones, one of twenty
 * requests is in credit, the origin does not throttle, and a permit is free at once.
 *
 * Invariants:
 * 1. Hedges are at most 5 % of the requests so far: the credit begins at nothing.
 * 2. One request of a race wins, and wins once: with its response head, its result, or an error that a repetition would not
 *    change. The other is aborted in the same turn, and its bytes and errors count for nothing.
 * 3. A race is over when its winner is, or when both have failed. The loser keeps its own permit until it has ended.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { LatencyWindow } from "./latency-window.ts";

const slowPart = 0.95;

/** Fewer say little about a tail. */
const samplesMin = 64;

/** A percentile below it is noise of this process, and a hedge would save less than it costs. */
const delayMinMs = 10;

/** Requests that pay for one hedge: 5 %. */
const requestsPerHedge = 20;

/** Hedges that a lull leaves in credit, so that one slow moment does not send more of them at once. */
const hedgesInCreditMax = 10;

export type HedgedOperation = "get" | "head";

/** One of the two requests of a race. */
export interface Entrant {
  readonly isHedge: boolean;
  /** Aborts when the other one has won. */
  readonly signal: AbortSignal;
  /** Whether the other one has won. What this one throws is then no error. */
  readonly isLost: boolean;
  /** It is being sent. */
  sent(): void;
  /** Its answer begins. False where the other one has won: then nothing of it may be used. */
  answered(): boolean;
}

export interface RaceRequests<Answer> {
  readonly first: (entrant: Entrant) => Promise<Answer>;
  /** Undefined where no permit is free at once. */
  readonly second: (entrant: Entrant) => Promise<Answer> | undefined;
}

const lost = new OrcaError("internal", "origin", "The same request was answered on another connection first");

export class Hedge {
  readonly stats = { sent: 0, won: 0, withoutCredit: 0, withoutPermit: 0 };
  readonly clock: Clock;
  readonly #isHeld: () => boolean;
  readonly #windows = { get: new LatencyWindow(), head: new LatencyWindow() };
  /** In requests. */
  #credit = 0;

  /** `isHeld`: whether the origin throttles. */
  constructor(clock: Clock, isHeld: () => boolean) {
    this.clock = clock;
    this.#isHeld = isHeld;
  }

  run<Answer>(operation: HedgedOperation, requests: RaceRequests<Answer>): Promise<Answer> {
    return new Race(this, operation, requests).result;
  }

  /** How long a request may wait before it is sent again. Undefined where too little is known. */
  delayMs(operation: HedgedOperation): number | undefined {
    const window = this.#windows[operation];
    return window.size < samplesMin ? undefined : Math.max(delayMinMs, window.percentileMs(slowPart));
  }

  /** A first request is sent. */
  count(): void {
    this.#credit = Math.min(this.#credit + 1, hedgesInCreditMax * requestsPerHedge);
  }

  observe(operation: HedgedOperation, latencyMs: number): void {
    this.#windows[operation].observe(latencyMs);
  }

  /** Sends a hedge if there is credit, and a permit for it. */
  trySend<Answer>(send: () => Promise<Answer> | undefined): Promise<Answer> | undefined {
    if (this.#isHeld()) return undefined;
    if (this.#credit < requestsPerHedge) {
      this.stats.withoutCredit += 1;
      return undefined;
    }
    const sent = send();
    if (!sent) {
      this.stats.withoutPermit += 1;
      return undefined;
    }
    this.#credit -= requestsPerHedge;
    this.stats.sent += 1;
    return sent;
  }
}

class Race<Answer> {
  readonly result: Promise<Answer>;
  readonly #hedge: Hedge;
  readonly #operation: HedgedOperation;
  readonly #requests: RaceRequests<Answer>;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #first: Runner;
  #second: Runner | undefined;
  #winner: Runner | undefined;
  #failure: unknown;
  #sentMs = 0;
  #timer: Timer | undefined;

  constructor(hedge: Hedge, operation: HedgedOperation, requests: RaceRequests<Answer>) {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.result = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#hedge = hedge;
    this.#operation = operation;
    this.#requests = requests;
    this.#first = new Runner(this, false);
    this.#follow(this.#first, requests.first(this.#first));
  }

  /** Only the first request. The hedge is sent where it is made. */
  sent(): void {
    const { clock } = this.#hedge;
    this.#hedge.count();
    this.#sentMs = clock.monotonic();
    const delayMs = this.#hedge.delayMs(this.#operation);
    if (delayMs !== undefined) this.#timer = clock.timer(delayMs, () => this.#sendAgain());
  }

  isLostBy(runner: Runner): boolean {
    return this.#winner !== undefined && this.#winner !== runner;
  }

  /** Whether `runner` wins, or has won. */
  answered(runner: Runner): boolean {
    if (this.#winner) return this.#winner === runner;
    // Where the hedge wins, the first one would have taken longer still. So the percentile does not sink by hedging.
    this.#hedge.observe(this.#operation, this.#hedge.clock.monotonic() - this.#sentMs);
    if (runner.isHedge) this.#hedge.stats.won += 1;
    this.#decide(runner);
    return true;
  }

  #sendAgain(): void {
    const runner = new Runner(this, true);
    const sent = this.#hedge.trySend(() => this.#requests.second(runner));
    if (!sent) return;
    this.#second = runner;
    this.#follow(runner, sent);
  }

  #follow(runner: Runner, answer: Promise<Answer>): void {
    answer.then(
      (value) => {
        if (this.answered(runner)) this.#resolve(value);
      },
      (thrown: unknown) => this.#failed(runner, thrown),
    );
  }

  #failed(runner: Runner, thrown: unknown): void {
    if (this.isLostBy(runner)) return;
    runner.hasFailed = true;
    const other = runner === this.#first ? this.#second : this.#first;
    const mayStillWin = this.#winner === undefined && other !== undefined && !other.hasFailed;
    if (mayStillWin && thrown instanceof OrcaError && thrown.retryable) {
      this.#failure = thrown;
      return;
    }
    const error = this.#winner === runner ? thrown : longerWait(this.#failure, thrown);
    this.#decide(runner);
    this.#reject(error);
  }

  #decide(winner: Runner): void {
    this.#winner = winner;
    this.#timer?.cancel();
    const loser = winner === this.#first ? this.#second : this.#first;
    loser?.abort();
  }
}

class Runner implements Entrant {
  readonly isHedge: boolean;
  hasFailed = false;
  readonly #race: Pick<Race<unknown>, "sent" | "isLostBy" | "answered">;
  readonly #controller = new AbortController();

  constructor(race: Pick<Race<unknown>, "sent" | "isLostBy" | "answered">, isHedge: boolean) {
    this.#race = race;
    this.isHedge = isHedge;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isLost(): boolean {
    return this.#race.isLostBy(this);
  }

  sent(): void {
    if (!this.isHedge) this.#race.sent();
  }

  answered(): boolean {
    return this.#race.answered(this);
  }

  abort(): void {
    if (!this.hasFailed) this.#controller.abort(lost);
  }
}

/** Aborts with one of `signals`, or where `entrant` has lost its race. */
export function eitherSignal(signals: AbortSignal[], entrant: Entrant | undefined): AbortSignal {
  return AbortSignal.any(entrant ? [...signals, entrant.signal] : signals);
}

/** Of two failures, the one that asks for the longer wait; else the last. */
function longerWait(before: unknown, last: unknown): unknown {
  return secondsToWait(before) > secondsToWait(last) ? before : last;
}

function secondsToWait(thrown: unknown): number {
  return thrown instanceof OrcaError ? (thrown.retryAfterSeconds ?? 0) : 0;
}
