/**
 * A flight as its trace sees it: whose request started it, which chunk it fetches, and what it waits for. Its readers may
 * join and leave at any time, so it keeps totals, and a reader takes the difference.
 */
import type { StallWatch, Waiting } from "./stalls/stall-watch.ts";
import { type Asker, chunkFields, type Trace, type TracedChunk } from "./trace.ts";
import type { TraceStep } from "./trace-steps.ts";
import type { FollowedFetch, Wait, Waits } from "./waits.ts";

export class FetchTrace implements FollowedFetch, Waiting {
  /** Of the request that started the flight. */
  readonly requestId: string;
  /** The peer that was asked last. */
  replica: string | undefined;
  /** Attempts after the first one. */
  retries = 0;
  readonly #trace: Trace;
  readonly #chunk: TracedChunk;
  readonly #ms: Record<Wait, number> = { metadata: 0, memory: 0, permit: 0, disk: 0, firstByte: 0, body: 0 };
  #wait: Wait = "memory";
  #sinceMs: number;
  #hasBytes = false;
  /** The requests that wait for it now. Made for the first one. */
  #followers: Set<object & { readonly requestId?: string }> | undefined;

  constructor(trace: Trace, requestId: string, chunk: TracedChunk) {
    this.#trace = trace;
    this.requestId = requestId;
    this.#chunk = chunk;
    this.#sinceMs = trace.clock.monotonic();
  }

  /** Undefined without a trace, or where no request is known. */
  static of(trace: Trace | undefined, asker: Asker | undefined, chunk: TracedChunk): FetchTrace | undefined {
    return trace && asker && new FetchTrace(trace, asker.requestId, chunk);
  }

  get isOn(): boolean {
    return this.#trace.isOn;
  }

  /** To be called where {@link isOn}. */
  step(step: TraceStep, fields: object): void {
    this.#trace.step(step, this.requestId, { ...chunkFields(this.#chunk), ...fields });
  }

  /** The flight waits for something else from now on. */
  waitFor(wait: Wait): void {
    const nowMs = this.#trace.clock.monotonic();
    this.#ms[this.#wait] += nowMs - this.#sinceMs;
    this.#wait = wait;
    this.#sinceMs = nowMs;
  }

  /** A source is asked for bytes. */
  asked(): void {
    this.waitFor(this.#hasBytes ? "body" : "firstByte");
  }

  /** Bytes have come. */
  arrived(): void {
    if (this.#hasBytes) return;
    this.#hasBytes = true;
    this.waitFor("body");
  }

  /** The fields of a line about its chunk. */
  get about(): object {
    return chunkFields(this.#chunk);
  }

  get stalls(): StallWatch {
    return this.#trace.stalls;
  }

  /** @see Waiting.waiting */
  waiting(): readonly string[] {
    const { version, index } = this.#chunk;
    const name = `chunk ${index} of ${version.bucket}/${version.objectKey}`;
    const sinceMs = Math.round(this.#trace.clock.monotonic() - this.#sinceMs);
    const flight = `the flight of ${name}, which request ${this.requestId} started, waits for ${this.#wait} since ${sinceMs} ms`;
    const ids = [...(this.#followers ?? [])].map(({ requestId }) => requestId ?? "");
    return ids.length === 0 ? [flight, "no request waits for the flight now"] : [flight, requestsWait(ids)];
  }

  /** @see FollowedFetch.charge */
  charge(waits: Pick<Waits, "ms" | "retries"> & { readonly requestId?: string }, sign: 1 | -1): void {
    if (sign === -1) (this.#followers ??= new Set()).add(waits);
    else this.#followers?.delete(waits);
    this.waitFor(this.#wait);
    for (const wait of Object.keys(this.#ms) as Wait[]) waits.ms[wait] += sign * this.#ms[wait];
    waits.retries += sign * this.retries;
  }
}

const idsShownMax = 8;

function requestsWait(ids: readonly string[]): string {
  const shown = ids.slice(0, idsShownMax).join(", ");
  const more = ids.length > idsShownMax ? ` and ${ids.length - idsShownMax} more` : "";
  return ids.length === 1
    ? `request ${shown} waits for the flight`
    : `requests ${shown}${more} wait for the flight`;
}
