/** The progress of a warm-up: a count while it lists, then a bar for each pass. */
import type { Clock } from "../../base/clock.ts";
import { formatBytes } from "../../base/units.ts";
import type { WarmDocument } from "../../ops/warm/warm-document.ts";
import type { TerminalOutput } from "../command-context.ts";
import { Progress } from "../progress.ts";

const labels = { filling: "warm", verifying: "verify" } as const;
const eraseLine = "\r\u001b[2K";

export class WarmProgress {
  readonly #output: TerminalOutput;
  readonly #clock: Clock;
  #bar: Progress | undefined;
  #label = "";
  #isListing = false;

  constructor(output: TerminalOutput, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  show(document: WarmDocument): void {
    const { state, objects, bytes } = document;
    if (state === "listing") {
      this.#isListing = this.#output.isTTY === true;
      if (this.#isListing) this.#output.write(`${eraseLine}list  ${objects} objects  ${formatBytes(bytes)}`);
      return;
    }
    if (state === "filling" || state === "verifying") this.#draw(labels[state], document);
    else if (state === "complete") this.#complete();
  }

  /** Ends the line of what is drawn. */
  end(): void {
    if (this.#isListing) this.#output.write("\n");
    this.#isListing = false;
    this.#bar?.finish();
    this.#bar = undefined;
  }

  /** The last line about a pass came when it was not quite over. */
  #complete(): void {
    if (this.#bar) this.#bar.add(Math.max(0, this.#bar.totalBytes - this.#bar.doneBytes));
  }

  #draw(label: string, { pass_bytes: doneBytes, pass_total_bytes: totalBytes }: WarmDocument): void {
    if (label !== this.#label) {
      this.#complete();
      this.end();
      this.#label = label;
      this.#bar = new Progress({ label, totalBytes, output: this.#output, clock: this.#clock });
    }
    this.#bar?.add(doneBytes - this.#bar.doneBytes);
  }
}
