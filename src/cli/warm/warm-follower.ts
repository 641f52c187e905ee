/**
 * Shows a warm-up until it ends, at the replica that leads it and, where that one stops, at those that go on. Ctrl-C ends
 * the work: the replica that was asked for it notices that the caller has left, and one to which the warm-up was handed on is asked.
 */
import type { WarmDocument } from "../../ops/warm/warm-document.ts";
import type { TerminalOutput } from "../command-context.ts";
import {
  type Deadline,
  type OpsCall,
  type OpsCommandOptions,
  parseAnswer,
  readAnswer,
  readLines,
  withOps,
} from "../ops-call.ts";
import { printable } from "../table.ts";
import { cancelCall, followCall, isWarm } from "./warm-answer.ts";
import { WarmProgress } from "./warm-progress.ts";
import { handedOnHint, resumeHint, warmFault, warmReport } from "./warm-report.ts";

export interface WarmOptions extends OpsCommandOptions {
  /** `s3://BUCKET/PREFIX`. */
  readonly url?: string | undefined;
  readonly manifest?: string | undefined;
  /** Bytes a second, from the origin. */
  readonly rateBytes?: number | undefined;
  /** How long chunks are not evicted. */
  readonly pinMs?: number | undefined;
  readonly dryRun: boolean;
  /** The id of the warm-up that this one continues. */
  readonly resume?: string | undefined;
  /** The run id of a warm-up that another replica has handed to this one; nothing else is given then. */
  readonly follow?: string | undefined;
  /** The run id of a warm-up to end; nothing else is given then. */
  readonly cancel?: string | undefined;
  /** Where the bar is drawn. */
  readonly progress: TerminalOutput;
  /** Resolves when the user wants it to end. */
  readonly stopSignal?: () => Promise<string>;
}

/** Of a shell, after SIGINT. */
const stoppedExitCode = 130;
/** Replicas that lead one warm-up, one after the other, before the command gives up. */
const leadersMax = 64;

export class WarmFollower {
  readonly #options: WarmOptions;
  #stopAsked = false;
  /** Of the replica that is asked now. */
  #deadline: Deadline | undefined;
  #last: WarmDocument | undefined;

  constructor(options: WarmOptions) {
    this.#options = options;
    void options.stopSignal?.().then(() => {
      this.#stopAsked = true;
      this.#deadline?.abort(new Error("it was stopped"));
    });
  }

  /** Resolves with the exit code. */
  async run(first: OpsCall): Promise<number> {
    let call = first;
    let { ops } = this.#options;
    for (let leaders = 1; ; leaders += 1) {
      const exitCode = await this.#at(ops, call);
      const last = this.#last;
      const continued = last?.state === "handed_on" ? last.continued : null;
      if (!last || !continued) return exitCode;
      this.#options.stderr.write(handedOnHint(last, continued));
      if (this.#stopAsked) return this.#cancel(continued.ops, last);
      // A token that was sent over TLS is not sent without.
      const isLessSafe = isOverTls(ops) && !isOverTls(continued.ops);
      if (leaders === leadersMax || isLessSafe) return 1;
      ops = continued.ops;
      call = followCall(last.run_id);
      this.#last = undefined;
    }
  }

  /** Shows what one replica tells. */
  #at(ops: string, call: OpsCall): Promise<number> {
    const { json, stdout, stderr, progress, clock } = this.#options;
    return withOps("warm at", call, { ...this.#options, ops }, async (url, deadline) => {
      this.#deadline = deadline;
      const shown = json ? undefined : new WarmProgress(progress, clock);
      try {
        for await (const line of readLines(url, call, deadline)) {
          this.#last = parseAnswer(line, isWarm);
          if (json) stdout.write(`${line}\n`);
          else shown?.show(this.#last);
        }
      } catch (thrown) {
        shown?.end();
        return await this.#broken(ops, call, thrown);
      }
      shown?.end();
      const last = this.#last;
      if (!last || !isOver(last)) throw new Error("it ended before the warm-up had");
      if (last.state === "handed_on") return 1;
      if (!json) stdout.write(warmReport(last));
      const fault = warmFault(last, this.#options);
      if (fault === undefined) return 0;
      stderr.write(fault);
      return 1;
    });
  }

  /** The answer broke off, for a fault or because the user stopped it. @throws `thrown` for a fault. */
  async #broken(ops: string, call: OpsCall, thrown: unknown): Promise<number> {
    const { stderr } = this.#options;
    const last = this.#last;
    // A warm-up that is only followed does not end with this command.
    if (this.#stopAsked && call.action === undefined && last) return this.#cancel(ops, last);
    if (last && !isOver(last))
      stderr.write(`${this.#stopAsked ? "Stopped. " : ""}${resumeHint(last, this.#options)}`);
    if (this.#stopAsked) return stoppedExitCode;
    throw thrown;
  }

  async #cancel(ops: string, last: WarmDocument): Promise<number> {
    const { stderr } = this.#options;
    const call = cancelCall(last.run_id);
    const failed = await withOps(
      "end the warm-up at",
      call,
      { ...this.#options, ops },
      async (url, deadline) => {
        const ended = parseAnswer(await readAnswer(url, call, deadline), isWarm);
        // It is too late here: the replica that goes on would have to be asked.
        const goesOn = ended.state === "handed_on" && ended.continued;
        stderr.write(goesOn ? handedOnHint(ended, goesOn) : `Stopped. ${resumeHint(ended, this.#options)}`);
        return 0;
      },
    );
    if (failed !== 0)
      stderr.write(
        `It goes on. To end it:\n  orca warm --cancel ${printable(last.run_id)} --ops ${printable(ops)}\n`,
      );
    return stoppedExitCode;
  }
}

/** `orca warm --cancel`: resolves with the exit code, 1 if it goes on at another replica. */
export function cancelWarmUp(call: OpsCall, options: WarmOptions): Promise<number> {
  return withOps("end the warm-up at", call, options, async (url, deadline) => {
    const text = await readAnswer(url, call, deadline);
    const ended = parseAnswer(text, isWarm);
    const { json, stdout, stderr } = options;
    stdout.write(json ? text : warmReport(ended));
    if (ended.state === "handed_on" && ended.continued) {
      stderr.write(handedOnHint(ended, ended.continued));
      return 1;
    }
    if (ended.state === "failed") stderr.write(resumeHint(ended, options));
    return 0;
  });
}

/** The scheme of a URL may be in capitals. */
function isOverTls(ops: string): boolean {
  return URL.parse(ops)?.protocol === "https:";
}

function isOver({ state }: WarmDocument): boolean {
  return state === "complete" || state === "incomplete" || state === "failed" || state === "handed_on";
}
