/**
 * What happened in a simulation, line by line. The same seed must write the same lines, which a test compares; of a
 * failing one the last lines are what a person reads first.
 */
import type { Clock } from "../../src/base/clock.ts";

export class Trace {
  readonly lines: string[] = [];
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(who: string, what: string): void {
    this.lines.push(`${this.#clock.monotonic().toFixed(1).padStart(9)} ${who.padEnd(6)} ${what}`);
  }

  tail(linesMax: number): string {
    const cut = Math.max(0, this.lines.length - linesMax);
    const shown = this.lines.slice(cut).join("\n");
    return cut === 0 ? shown : `(${cut} earlier lines)\n${shown}`;
  }
}
