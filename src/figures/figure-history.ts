/**
 * An hour of figures: what was done in each slot of 5 s. Slots begin at multiples of 5 s of the wall clock, so that those
 * of several replicas can be added up. The ring has a fixed size, and a sample allocates nothing.
 *
 * Invariants:
 * 1. `slotsMax` slots are held at most, whatever the time that passes.
 * 2. Each difference of the totals is in one slot: that which had just ended when it was sampled, or a later one.
 */
import type { FigureSeries } from "./replica-figures.ts";

export const slotMs = 5000;
export const slotsMax = 720;

/** Totals since the start. */
export interface SampledTotals {
  readonly servedBytes: number;
  readonly originBytes: number;
  readonly requests: number;
}

export class FigureHistory {
  readonly #served = new Float64Array(slotsMax);
  readonly #origin = new Float64Array(slotsMax);
  readonly #requests = new Float64Array(slotsMax);
  #before: SampledTotals;
  /** The slot before the first, and the last: numbers of slots since 1970. */
  #beforeFirst: number;
  #last: number;

  constructor(nowMs: number, totals: SampledTotals) {
    this.#before = totals;
    this.#beforeFirst = Math.floor(nowMs / slotMs) - 1;
    this.#last = this.#beforeFirst;
  }

  /** From `nowMs` to the end of its slot. */
  static untilEndMs(nowMs: number): number {
    return slotMs - (nowMs % slotMs);
  }

  /** To be called after the end of each slot. A timer may come a little early. */
  sample(nowMs: number, totals: SampledTotals): void {
    const ended = Math.round(nowMs / slotMs) - 1;
    // The clock was set back: the slots have other times now.
    if (ended < this.#last - 1) this.#beforeFirst = this.#last = ended - 1;
    for (let slot = Math.max(this.#last + 1, ended - slotsMax + 1); slot <= ended; slot += 1) {
      const place = slot % slotsMax;
      this.#served[place] = this.#origin[place] = this.#requests[place] = 0;
    }
    this.#last = Math.max(this.#last, ended);
    const at = this.#last % slotsMax;
    add(this.#served, at, totals.servedBytes - this.#before.servedBytes);
    add(this.#origin, at, totals.originBytes - this.#before.originBytes);
    add(this.#requests, at, totals.requests - this.#before.requests);
    this.#before = totals;
  }

  /** The newest `countMax` slots, the oldest first. */
  series(countMax = slotsMax): FigureSeries {
    const count = Math.min(this.#last - this.#beforeFirst, slotsMax, countMax);
    const first = this.#last - count + 1;
    const newest = (ring: Float64Array): number[] =>
      Array.from({ length: count }, (_, index) => ring[(first + index) % slotsMax] ?? 0);
    return {
      start_ms: first * slotMs,
      slot_ms: slotMs,
      served_bytes: newest(this.#served),
      origin_bytes: newest(this.#origin),
      requests: newest(this.#requests),
    };
  }
}

function add(ring: Float64Array, at: number, difference: number): void {
  ring[at] = (ring[at] ?? 0) + difference;
}

/**
 * The sum of several, in the last `slotsMax` slots up to that of `nowMs`. Slots of other times are left out, and the
 * newest where not all have sampled it yet: a sum without some of them would look as if they had stopped.
 */
export function sumOfSeries(all: readonly FigureSeries[], nowMs: number): FigureSeries {
  const end = Math.round(nowMs / slotMs);
  const earliest = end - slotsMax;
  const known = all.filter(
    ({ slot_ms, start_ms, served_bytes }) =>
      slot_ms === slotMs && start_ms % slotMs === 0 && served_bytes.length > 0,
  );
  const firsts = known.map(({ start_ms }) => start_ms / slotMs).filter((slot) => slot < end);
  const first = Math.max(earliest, Math.min(end, ...firsts));
  const lasts = known.map(({ start_ms, served_bytes }) => start_ms / slotMs + served_bytes.length);
  const sampled = lasts.filter((slot) => slot >= end - 2);
  const last = sampled.length > 0 ? Math.min(...sampled) : Math.max(first, ...lasts);
  const length = Math.max(0, Math.min(end, last) - first);
  const sum = (valuesOf: (series: FigureSeries) => readonly number[]): number[] => {
    const total = new Array<number>(length).fill(0);
    for (const series of known) {
      const offset = series.start_ms / slotMs - first;
      for (const [index, value] of valuesOf(series).entries()) {
        const at = offset + index;
        if (at >= 0 && at < length) total[at] = (total[at] ?? 0) + value;
      }
    }
    return total;
  };
  return {
    start_ms: first * slotMs,
    slot_ms: slotMs,
    served_bytes: sum(({ served_bytes }) => served_bytes),
    origin_bytes: sum(({ origin_bytes }) => origin_bytes),
    requests: sum(({ requests }) => requests),
  };
}
