/**
 * Tells of a call to the origin, the disk, the cachestore or a peer that takes far beyond its usual time: once, while it still
 * runs, with what waits for it, and once more when it ends. A call that hangs has no other line in the log until its own
 * deadline, which may be minutes away.
 *
 * Invariants:
 * 1. Each call has at most one such line, and a line about its end only after that one.
 * 2. One timer runs while calls run, and none for each call.
 * 3. At most {@link callsMax} calls are watched, and {@link linesMax} lines a minute are written for each operation.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import { pages } from "../../base/pages.ts";
import { RecentLatency } from "./recent-latency.ts";

/** `peer`: another replica, from which a copy is pulled. */
export type WatchedPlace = "origin" | "disk" | "cachestore" | "peer";

/** A call that takes less does not stall. */
const stalledMsMin = 5000;

/** A call stalls when it takes so many times the 99th percentile of the latest ones. */
const stalledFactor = 10;

const lookMs = 1000;
const callsMax = 8192;
const linesMax = 5;

/** What waits for a call. */
export interface Waiting {
  readonly stalls: StallWatch;
  /** From the call outwards: what waits for it, what waits for that, and so on. */
  waiting(): readonly string[];
}

interface Kind {
  readonly place: WatchedPlace;
  readonly operation: string;
  readonly latency: RecentLatency;
}

export class WatchedCall {
  readonly kind: Kind;
  readonly startedMs: number;
  readonly about: object;
  readonly waiting: () => readonly string[];
  isTold = false;

  constructor(kind: Kind, startedMs: number, about: object, waiting: () => readonly string[]) {
    this.kind = kind;
    this.startedMs = startedMs;
    this.about = about;
    this.waiting = waiting;
  }
}

export class StallWatch {
  /** Calls that stalled, and those of them that still run, by place. */
  readonly stats = {
    stalls: { origin: 0, disk: 0, cachestore: 0, peer: 0 } as Record<WatchedPlace, number>,
    running: { origin: 0, disk: 0, cachestore: 0, peer: 0 } as Record<WatchedPlace, number>,
  };
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pace: LogPace;
  /** By place and operation: few. */
  readonly #kinds = new Map<string, Kind>();
  /** In the order of their starts. */
  readonly #calls = new Set<WatchedCall>();
  #timer: Timer | undefined;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
    this.#pace = new LogPace(clock, linesMax);
  }

  get callsWatched(): number {
    return this.#calls.size;
  }

  /** `about`: the fields of a line about this call. Undefined where too many are watched. */
  begin(
    place: WatchedPlace,
    operation: string,
    about: object,
    waiting: () => readonly string[],
  ): WatchedCall | undefined {
    if (this.#calls.size >= callsMax) return undefined;
    const call = new WatchedCall(this.#kindOf(place, operation), this.#clock.monotonic(), about, waiting);
    this.#calls.add(call);
    this.#timer ??= this.#clock.timer(lookMs, this.#look);
    return call;
  }

  /** `result`: for people. */
  end(call: WatchedCall, result: string): void {
    if (!this.#calls.delete(call)) return;
    const { kind, isTold, about } = call;
    const tookMs = this.#clock.monotonic() - call.startedMs;
    kind.latency.observe(tookMs);
    if (isTold) {
      this.stats.running[kind.place] -= 1;
      const { place, operation } = kind;
      const fields = {
        event: "call_stall_ended",
        place,
        operation,
        ...about,
        tookMs: Math.round(tookMs),
        result,
      };
      if (this.#pace.isDue(`end ${place} ${operation}`))
        this.#logger.info(fields, "A call that took far longer than usual has ended");
    }
    if (this.#calls.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  readonly #look = (): void => {
    this.#timer?.refresh();
    const nowMs = this.#clock.monotonic();
    for (const call of this.#calls) {
      if (nowMs - call.startedMs < stalledMsMin) break;
      if (!call.isTold) this.#tellIfLate(call, nowMs - call.startedMs);
    }
  };

  #tellIfLate(call: WatchedCall, runningMs: number): void {
    const { place, operation, latency } = call.kind;
    const { p99Ms } = latency;
    if (runningMs < stalledFactor * (p99Ms ?? 0)) return;
    call.isTold = true;
    this.stats.stalls[place] += 1;
    this.stats.running[place] += 1;
    const suppressed = this.#pace.take(`${place} ${operation}`);
    if (!suppressed) return;
    const fields = {
      event: "call_stalled",
      place,
      operation,
      ...call.about,
      runningMs: Math.round(runningMs),
      usualMs: p99Ms ?? null,
      stack: [`${place} ${operation}`, ...call.waiting()],
      see: pages.stalls,
      ...suppressed,
    };
    this.#logger.warn(fields, "A call takes far longer than usual, and has not ended");
  }

  #kindOf(place: WatchedPlace, operation: string): Kind {
    const name = `${place} ${operation}`;
    const known = this.#kinds.get(name);
    if (known) return known;
    const kind = { place, operation, latency: new RecentLatency(this.#clock) };
    this.#kinds.set(name, kind);
    return kind;
  }
}

/** Runs a call, and watches it where somebody is known who waits. */
export async function watched<Result>(
  waiting: Waiting | undefined,
  place: WatchedPlace,
  operation: string,
  about: object,
  run: () => Promise<Result>,
): Promise<Result> {
  const call = waiting?.stalls.begin(place, operation, about, () => waiting.waiting());
  if (!waiting || !call) return run();
  let result = "failed";
  try {
    const answer = await run();
    result = typeof answer === "string" ? answer : "ok";
    return answer;
  } finally {
    waiting.stalls.end(call, result);
  }
}
