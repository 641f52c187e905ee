/**
 * Tells one request's story in the log at level debug: an event for each step, with the id of the request, on every
 * replica that the request reaches. While the level is higher, a step costs the reading of one boolean: a caller asks
 * `isOn` before it makes the fields of an event.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { StepFields } from "./spans/span.ts";
import { StallWatch, type Waiting } from "./stalls/stall-watch.ts";
import { TraceContexts } from "./trace-contexts.ts";
import { type TraceStep, traceSteps } from "./trace-steps.ts";
import type { Waits } from "./waits.ts";

/** The request for which something is done: one of a client, or one of a peer that passes on the id of its client's. */
export interface Asker {
  readonly requestId: string;
  /** What the request has waited for. Made when it first waits, so that a hit in memory makes none. */
  waits: Waits | undefined;
}

/** As ChunkKey of the stores. */
export interface TracedChunk {
  readonly version: {
    readonly originId: string;
    readonly bucket: string;
    readonly objectKey: string;
    readonly etag: string;
  };
  readonly index: number;
}

export class Trace {
  readonly clock: Clock;
  /** Of the clients that trace, too. */
  readonly contexts: TraceContexts;
  /** Calls that take far beyond their usual time. */
  readonly stalls: StallWatch;
  readonly #logger: Logger;

  constructor(logger: Logger, clock: Clock, contexts = new TraceContexts()) {
    this.contexts = contexts;
    this.#logger = logger;
    this.clock = clock;
    this.stalls = new StallWatch(clock, logger);
  }

  get isOn(): boolean {
    return this.#logger.isDebug || this.contexts.spans !== undefined;
  }

  /** A request as what waits for a call. */
  waitingOf(asker: Asker | undefined): Waiting | undefined {
    return asker && { stalls: this.stalls, waiting: () => [`request ${asker.requestId} waits for it`] };
  }

  step(step: TraceStep, requestId: string, fields: object): void {
    this.contexts.spans?.step(step, requestId, fields as StepFields);
    if (!this.#logger.isDebug) return;
    this.#logger.debug(
      { step, requestId, ...this.contexts.fields(requestId), ...fields },
      traceSteps[step].message,
    );
  }
}

const etagCharactersMax = 8;

/** Enough of an ETag to tell versions apart. Whole ones are not logged. */
export function shortEtag(etag: string): string {
  return etag.slice(0, etagCharactersMax);
}

/** The fields that all events about a chunk have. */
export function chunkFields({ version, index }: TracedChunk) {
  const { originId, bucket, objectKey, etag } = version;
  return { originId, bucket, key: objectKey, index, etag: shortEtag(etag) };
}
