/**
 * Replicas in front of an origin that throttles: real memberships, throttles and guarded origins, on simulated time. It
 * counts what the origin served and what clients got, with the cut of the limit and without it.
 */
import { type Clock, sleep } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { GuardedOrigin } from "../../src/origin/guarded-origin.ts";
import type { ObjectHead } from "../../src/origin/origin.ts";
import { Throttle } from "../../src/origin/throttling/throttle.ts";
import { originShare } from "../../src/placement/origin-share.ts";
import { connectThrottles } from "../../src/replica/origin-throttling.ts";
import { ClusterFixture } from "../support/membership-fixture.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { ScriptedOrigin } from "../support/scripted-origin.ts";

export interface ThrottledScenario {
  readonly seed: number;
  readonly replicas: number;
  readonly targetGlobal: number;
  /** Requests in flight above which the origin answers 503, at a time since the start. */
  readonly capacity: (nowMs: number) => number;
  /** Until the head of an answer, also of a 503. */
  readonly roundTripMs: number;
  /** How long a served request takes after its head. */
  readonly serviceMs: number;
  /** Clients, each of which asks again as soon as it has an answer. */
  readonly clients: number;
  /** The part of the clients at the first replica; the others share the rest. Left out: an even part. */
  readonly partOfFirst?: number;
  readonly retryAfterSeconds?: number;
  readonly durationMs: number;
  /** Whether the replicas cut their limits, as they do. */
  readonly cuts: boolean;
  /** Another replica joins at this time, with clients of its own. */
  readonly joinsAtMs?: number;
}

export interface ThrottledOutcome {
  /** Mean of the requests in flight that the origin served, in the second half. */
  readonly meanServed: number;
  readonly served: number;
  readonly rejected: number;
  /** Answers to clients that were errors, by code. */
  readonly errors: Readonly<Record<string, number>>;
  readonly limits: readonly number[];
  readonly cuts: number;
}

const head: ObjectHead = { sizeBytes: 1, etag: "e", lastModifiedMs: 0, metadata: {} };

/** As SDKs do. */
const clientPauseMs = 1000;

class ThrottledOrigin {
  served = 0;
  servedMs = 0;
  rejected = 0;
  readonly #scenario: ThrottledScenario;
  readonly #clock: Clock;
  readonly #startMs: number;
  #inFlight = 0;

  constructor(scenario: ThrottledScenario, clock: Clock) {
    this.#scenario = scenario;
    this.#clock = clock;
    this.#startMs = clock.monotonic();
  }

  readonly ask = async (): Promise<ObjectHead> => {
    const { capacity, roundTripMs, serviceMs, retryAfterSeconds, durationMs } = this.#scenario;
    if (this.#inFlight >= capacity(this.#nowMs)) {
      this.rejected += 1;
      await sleep(this.#clock, roundTripMs);
      const wait = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
      throw new OrcaError("origin_throttled", "origin", "Cannot ask: 503", wait);
    }
    this.#inFlight += 1;
    const fromMs = Math.max(this.#nowMs, durationMs / 2);
    await sleep(this.#clock, roundTripMs + serviceMs);
    this.#inFlight -= 1;
    this.served += 1;
    this.servedMs += Math.max(0, Math.min(this.#nowMs, durationMs) - fromMs);
    return head;
  };

  get #nowMs(): number {
    return this.#clock.monotonic() - this.#startMs;
  }
}

function guardedOrigin(
  replicaId: string,
  { targetGlobal: share, cuts, seed }: ThrottledScenario,
  cluster: ClusterFixture,
  { ask }: ThrottledOrigin,
): GuardedOrigin {
  const { clock } = cluster;
  const membership = cluster.membership(replicaId);
  const random = new SeededRandom(seed * 1000 + Number(replicaId.slice(1)));
  const origin = new ScriptedOrigin("o");
  origin.onHead = ask;
  const guarded = new GuardedOrigin({
    origin,
    clock,
    random,
    requestsInFlightMax: share,
    queueTimeoutMs: 5000,
    retry: { attempts: 3, backoffInitialMs: 100, backoffMaxMs: 2000, maxTotalDurationMs: 5000 },
    minRate: { bytesPerSecond: 0, windowMs: 30_000 },
    throttle: cuts ? new Throttle({ originId: "o", clock, share, waitMaxMs: 5000 }) : undefined,
  });
  const resize = (): void => guarded.resize(originShare(share, membership.live.length));
  membership.subscribeLive(resize);
  resize();
  connectThrottles({
    origins: [guarded],
    replicaId,
    clock,
    random,
    logger: new RecordedLogger(),
    membership,
  });
  return guarded;
}

export async function simulateThrottling(scenario: ThrottledScenario): Promise<ThrottledOutcome> {
  const {
    replicas,
    seed,
    durationMs,
    clients,
    partOfFirst = 1 / replicas,
    joinsAtMs = durationMs,
  } = scenario;
  const cluster = await ClusterFixture.running(replicas, { seed });
  const { clock } = cluster;
  const upstream = new ThrottledOrigin(scenario, clock);
  const errors: Record<string, number> = {};
  const over = new AbortController();
  const { signal } = over;

  const runClient = async (origin: GuardedOrigin): Promise<void> => {
    while (!signal.aborted) {
      try {
        await origin.head({ bucket: "b", key: "k" });
      } catch (thrown) {
        if (!(thrown instanceof OrcaError)) throw thrown;
        if (signal.aborted) return;
        errors[thrown.code] = (errors[thrown.code] ?? 0) + 1;
        await sleep(clock, clientPauseMs);
      }
    }
  };
  const serve = (replicaId: string, clientsHere: number): GuardedOrigin => {
    const origin = guardedOrigin(replicaId, scenario, cluster, upstream);
    for (let index = 0; index < clientsHere; index += 1) void runClient(origin);
    return origin;
  };

  const ofFirst = Math.round(clients * partOfFirst);
  const ofOther = Math.round((clients - ofFirst) / Math.max(1, replicas - 1));
  const origins = cluster
    .running()
    .map(({ replicaId }, index) => serve(replicaId, index === 0 ? ofFirst : ofOther));
  await clock.advance(joinsAtMs);
  if (joinsAtMs < durationMs) {
    const joined = `r${replicas + 1}`;
    cluster.start(joined);
    origins.push(serve(joined, ofOther));
    await clock.advance(durationMs - joinsAtMs);
  }
  over.abort();
  const { served, servedMs, rejected } = upstream;
  const limits = origins.map(({ requestsInFlightMax }) => requestsInFlightMax);
  const cuts = origins.reduce((sum, { throttle }) => sum + (throttle?.stats.cuts ?? 0), 0);
  for (const origin of origins) origin.close();
  cluster.stop();
  await clock.advance(20_000);
  return { meanServed: servedMs / (durationMs / 2), served, rejected, errors, limits, cuts };
}
