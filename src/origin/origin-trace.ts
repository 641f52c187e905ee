/** The steps of one question to an origin, attempt by attempt, as its trace logs them (trace/trace-steps.ts). */
import { OrcaError } from "../base/orca-error.ts";
import type { FetchTrace } from "../trace/fetch-trace.ts";
import type { Waiting, WatchedCall } from "../trace/stalls/stall-watch.ts";
import type { Asker, Trace } from "../trace/trace.ts";
import type { TraceStep } from "../trace/trace-steps.ts";
import type { Entrant } from "./hedging/hedge.ts";
import type { ListRequest, ObjectLocation } from "./origin.ts";

/** Logs one step; undefined while steps are off. */
type StepLog = (step: TraceStep, fields: object) => void;

/** What one attempt asks for: a range, or the last bytes. */
export type AttemptRange =
  | { readonly offset: number; readonly lengthBytes: number }
  | { readonly lastBytes: number };

export class OriginTrace {
  readonly #operation: string;
  readonly #log: StepLog | undefined;
  readonly #waiting: Waiting | undefined;
  readonly #about: object;
  /** Attempts in progress, by their entrant where they race: with hedging there are two, and either may end first. */
  readonly #watched = new Map<object | undefined, WatchedCall>();
  #attempts = 0;

  private constructor(
    operation: string,
    log: StepLog | undefined,
    waiting: Waiting | undefined,
    about: object = {},
  ) {
    this.#operation = operation;
    this.#log = log;
    this.#waiting = waiting;
    this.#about = about;
  }

  static ofRead(fetch: FetchTrace | undefined): OriginTrace {
    const log: StepLog | undefined = fetch?.isOn ? (step, fields) => fetch.step(step, fields) : undefined;
    return new OriginTrace("get", log, fetch, fetch?.about);
  }

  /** `operation`: a GET where the first question about the object is an opening. */
  static ofHead(
    trace: Trace | undefined,
    originId: string,
    { bucket, key, versionId }: ObjectLocation,
    asker: Asker | undefined,
    operation: "head" | "get" = "head",
  ): OriginTrace {
    const object = { originId, bucket, key, ...(versionId !== undefined && { versionId }) };
    const waiting = trace?.waitingOf(asker);
    if (!trace?.isOn || !asker) return new OriginTrace(operation, undefined, waiting, object);
    const log: StepLog = (step, fields) => trace.step(step, asker.requestId, { ...object, ...fields });
    return new OriginTrace(operation, log, waiting, object);
  }

  /** `what` names the listing for people. Its requests are shared, so none of them is named as what waits. */
  static ofList(
    trace: Trace | undefined,
    originId: string,
    about: Partial<Pick<ListRequest, "bucket" | "prefix">>,
    what: string,
  ): OriginTrace {
    const waiting = trace && { stalls: trace.stalls, waiting: () => [`${what} waits for it`] };
    return new OriginTrace("list", undefined, waiting, { originId, ...about });
  }

  permitted(waitedMs: number): void {
    this.#log?.("permit", { operation: this.#operation, waitedMs: Math.round(waitedMs) });
  }

  /** `entrant`: where two attempts race, the one that this is. */
  attempt(range?: AttemptRange, entrant?: Entrant): void {
    this.#attempts += 1;
    this.#watch(range, entrant);
    const hedge = entrant?.isHedge ? { hedge: true } : {};
    this.#log?.("origin_attempt", {
      operation: this.#operation,
      attempt: this.#attempts,
      ...range,
      ...hedge,
    });
  }

  /** `thrown` is undefined for an attempt that succeeded, `receivedBytes` for one without a body. */
  ended(thrown: unknown, tookMs: number, receivedBytes?: number, entrant?: Entrant): void {
    const code = thrown instanceof OrcaError ? thrown.code : "origin_unavailable";
    this.#result(thrown === undefined ? "ok" : code, tookMs, receivedBytes, entrant);
  }

  /** The same request was answered on another connection first (hedging/hedge.ts). */
  cancelled(tookMs: number, entrant: Entrant): void {
    this.#result("cancelled", tookMs, undefined, entrant);
  }

  /** The bytes of a body are a part of its attempt, and so of its usual time. */
  #watch(range: AttemptRange | undefined, entrant: Entrant | undefined): void {
    const waiting = this.#waiting;
    const about = { ...this.#about, attempt: this.#attempts, ...range };
    const call = waiting?.stalls.begin("origin", this.#operation, about, () => waiting.waiting());
    if (call) this.#watched.set(entrant, call);
  }

  #result(
    result: string,
    tookMs: number,
    receivedBytes: number | undefined,
    entrant: Entrant | undefined,
  ): void {
    const call = this.#watched.get(entrant);
    this.#watched.delete(entrant);
    if (call) this.#waiting?.stalls.end(call, result);
    if (!this.#log) return;
    const received = receivedBytes === undefined ? {} : { receivedBytes };
    this.#log("origin_result", {
      operation: this.#operation,
      result,
      ...received,
      tookMs: Math.round(tookMs),
    });
  }
}
