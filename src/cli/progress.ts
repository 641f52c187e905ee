/**
 * How far a long piece of work has come: a bar that is drawn over itself on a terminal, a plain line every few
 * seconds in a log. It draws only when told of bytes, and holds no timer, so there is nothing to forget to stop.
 */
import type { Clock } from "../base/clock.ts";
import { formatBytes } from "../base/units.ts";
import { printable, printedWidth } from "./printable.ts";

/** What `process.stdout` has and this needs. */
export interface ProgressOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface ProgressOptions {
  readonly label: string;
  readonly totalBytes: number;
  readonly output: ProgressOutput;
  readonly clock: Clock;
}

/** Ten a second look smooth; more only cost. */
const redrawIntervalMs = 100;
const plainLineIntervalMs = 5000;

const barWidthMax = 30;
const columnsWhenUnknown = 80;

const eraseLine = "\r\u001b[2K";

export class Progress {
  readonly #options: ProgressOptions;
  readonly #startMs: number;
  #drawnMs: number;
  #doneBytes = 0;
  #finished = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#startMs = options.clock.monotonic();
    // A bar shows at once that something goes on; a plain line is worth its place only when there is news.
    this.#drawnMs = options.output.isTTY ? -Infinity : this.#startMs;
  }

  get doneBytes(): number {
    return this.#doneBytes;
  }

  /** Mean since the start; 0 before any time has passed. */
  get bytesPerSecond(): number {
    const elapsedMs = this.#options.clock.monotonic() - this.#startMs;
    return elapsedMs > 0 ? (this.#doneBytes * 1000) / elapsedMs : 0;
  }

  /** `bytes` more are done. Cheap: most calls draw nothing. */
  add(bytes: number): void {
    this.#doneBytes += bytes;
    const { clock, output } = this.#options;
    const nowMs = clock.monotonic();
    if (this.#finished || nowMs - this.#drawnMs < (output.isTTY ? redrawIntervalMs : plainLineIntervalMs))
      return;
    this.#drawnMs = nowMs;
    if (output.isTTY) output.write(eraseLine + this.#barLine());
    else output.write(`${this.#plainLine()}\n`);
  }

  /** Leaves the final state standing, on a line of its own. Later calls do nothing. */
  finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    const { output } = this.#options;
    output.write(output.isTTY ? `${eraseLine}${this.#barLine()}\n` : `${this.#plainLine()}\n`);
  }

  get #share(): number {
    const { totalBytes } = this.#options;
    return totalBytes > 0 ? Math.min(1, this.#doneBytes / totalBytes) : 1;
  }

  #plainLine(): string {
    return `${printable(this.#options.label)}  ${this.#numbers()}`;
  }

  /** Never as long as the terminal is wide: a line that wraps cannot be drawn over. */
  #barLine(): string {
    const columnsMax = (this.#options.output.columns ?? columnsWhenUnknown) - 1;
    const label = printable(this.#options.label);
    const numbers = this.#numbers();
    const barWidth = Math.min(barWidthMax, columnsMax - printedWidth(label) - numbers.length - 4);
    if (barWidth < 5) return Array.from(`${label}  ${numbers}`).slice(0, columnsMax).join("");
    const filled = Math.floor(this.#share * barWidth);
    return `${label}  ${"█".repeat(filled)}${"░".repeat(barWidth - filled)}  ${numbers}`;
  }

  #numbers(): string {
    const { totalBytes } = this.#options;
    const percent = `${Math.floor(this.#share * 100)}%`.padStart(4);
    const bytes = `${formatBytes(this.#doneBytes)} of ${formatBytes(totalBytes)}`;
    const rate = `${(this.bytesPerSecond / 1e6).toFixed(1)} MB/s`;
    return `${percent}  ${bytes}  ${rate}${this.#remaining()}`;
  }

  #remaining(): string {
    const missingBytes = this.#options.totalBytes - this.#doneBytes;
    if (this.#finished || missingBytes <= 0 || this.bytesPerSecond === 0) return "";
    return `  ${formatSeconds(missingBytes / this.bytesPerSecond)} left`;
  }
}

/** `7s`, `2m 05s`, `3h 20m`. */
function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m ${String(whole % 60).padStart(2, "0")}s`;
  return `${Math.floor(minutes / 60)}h ${String(minutes % 60).padStart(2, "0")}m`;
}
