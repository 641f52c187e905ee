/**
 * A child process of the demo, which ends with the demo, whatever ends that. A demo that is asked to stop ends its children
 * itself; one that is killed runs no handler, but the kernel then closes its channel to each child. A few lines that are
 * loaded into the child before its own program see that, remove the demo's folder, which nobody else is left to do, and
 * end the process.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";

export interface DemoChildOptions {
  readonly execPath: string;
  /** The module to run, and its arguments. */
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Where it runs, and what is removed when the demo was killed. */
  readonly folder: string;
  /** What takes its output: a file descriptor, or {@link DemoChild.stdout}. */
  readonly output: number | "pipe";
}

export class DemoChild {
  /** Resolves when it is gone. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;

  constructor({ execPath, args, env, folder, output }: DemoChildOptions) {
    this.#child = spawn(execPath, ["--import", endWithParent(folder), ...args], {
      cwd: folder,
      env,
      stdio: ["ignore", output, output, "ipc"],
      // Ctrl-C goes to the whole foreground group; who ends when is the demo's to say.
      detached: true,
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#child.once("error", () => resolve());
    this.#child.once("exit", () => resolve());
    this.ended = promise;
    // What it prints and nobody reads is thrown away, or the pipe would fill and stop it.
    this.#child.stderr?.resume();
  }

  /** Null where its output goes to a file. */
  get stdout(): Readable | null {
    return this.#child.stdout;
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** `kill -9`: nothing that the demo makes is worth saving. Resolves when it is gone. */
  kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    return this.ended;
  }
}

/** A module in a URL. It is loaded into threads too, which have no channel; nor may the channel keep the process alive. */
function endWithParent(folder: string): string {
  const module = `
import process from "node:process";
import { rmSync } from "node:fs";
process.once("disconnect", () => {
  rmSync(${JSON.stringify(folder)}, { recursive: true, force: true, maxRetries: 5 });
  process.exit();
});
process.channel?.unref();
`;
  return `data:text/javascript,${encodeURIComponent(module)}`;
}
