/**
 * How many of the errors that parts have counted are of the last hour, by place and code. The parts keep plain totals;
 * this class samples them. A place is an origin's id, or `clients` for what clients were answered.
 *
 * Invariant: there is one entry for each place and code that was seen, and each has 60 counts. Places and codes are few.
 */
import type { ErrorFigures } from "./replica-figures.ts";

export type ErrorTotals = readonly { readonly place: string; readonly totals: ReadonlyMap<string, number> }[];

const minuteMs = 60_000;
const minutes = 60;

interface Entry {
  readonly place: string;
  readonly code: string;
  readonly byMinute: Float64Array;
  minute: number;
  total: number;
  lastMs: number;
}

export class RecentErrors {
  readonly #entries = new Map<string, Entry>();

  /** To be called every few seconds. */
  sample(nowMs: number, all: ErrorTotals): void {
    const minute = Math.floor(nowMs / minuteMs);
    for (const { place, totals } of all) {
      for (const [code, total] of totals) {
        const entry = this.#entryOf(place, code, minute);
        forgetUntil(entry, minute);
        const more = total - entry.total;
        if (more <= 0) continue;
        entry.byMinute[minute % minutes] = (entry.byMinute[minute % minutes] ?? 0) + more;
        entry.total = total;
        entry.lastMs = nowMs;
      }
    }
  }

  /** The most of the last hour first. */
  list(): ErrorFigures[] {
    return [...this.#entries.values()]
      .filter(({ total }) => total > 0)
      .map(({ place, code, byMinute, total, lastMs }) => ({
        place,
        code,
        count: total,
        last_hour: byMinute.reduce((sum, count) => sum + count, 0),
        last_ms: lastMs,
      }))
      .sort((left, right) => right.last_hour - left.last_hour || right.count - left.count);
  }

  #entryOf(place: string, code: string, minute: number): Entry {
    const name = `${place} ${code}`;
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = { place, code, byMinute: new Float64Array(minutes), minute, total: 0, lastMs: 0 };
      this.#entries.set(name, entry);
    }
    return entry;
  }
}

/** Clears the minutes between the last sample and this one. */
function forgetUntil(entry: Entry, minute: number): void {
  if (minute < entry.minute || minute - entry.minute >= minutes) entry.byMinute.fill(0);
  else for (let each = entry.minute + 1; each <= minute; each += 1) entry.byMinute[each % minutes] = 0;
  entry.minute = minute;
}
