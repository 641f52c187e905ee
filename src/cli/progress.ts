/**
 * The progress of long work: on a terminal a bar that is drawn over itself, in a log a plain line every few seconds. It
 * draws only when the caller adds bytes. It has no timer, so nothing has to be stopped.
 */
import type { Clock } from "../base/clock.ts";
import { formatBytes } from "../base/units.ts";
import type { TerminalOutput } from "./command-context.ts";
import { printable, printedWidth } from "./table.ts";

export interface ProgressOptions {
  readonly label: string;
  readonly totalBytes: number;
  readonly output: TerminalOutput;
  readonly clock: Clock;
}

/** Ten drawings a second look smooth. */
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
    // A bar shows at once that the work runs. A plain line waits for news.
    this.#drawnMs = options.output.isTTY ? -Infinity : this.#startMs;
  }

  get doneBytes(): number {
    return this.#doneBytes;
  }

  get totalBytes(): number {
    return this.#options.totalBytes;
  }

  /** The mean since the start; 0 before any time has passed. */
  get bytesPerSecond(): number {
    const elapsedMs = this.#options.clock.monotonic() - this.#startMs;
    return elapsedMs > 0 ? (this.#doneBytes * 1000) / elapsedMs : 0;
  }

  /** Counts `bytes` as done. Cheap, because most calls draw nothing. */
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

  /** Draws the final state and ends its line. Later calls do nothing. */
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

  /** Shorter than the terminal is wide, because a line that wraps cannot be drawn over. */
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
