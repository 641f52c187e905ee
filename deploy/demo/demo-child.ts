/**
 * A child process of the demo. It ends with the demo, whatever ends the demo. A demo that receives a signal to stop
 * ends its children itself. A demo that is killed runs no handler, but the kernel closes its channel to each child. A
 * small module, which the child loads before its own program, notices that. It removes the demo's folder, which no
 * other process can do any more, and ends the child.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";

export interface DemoChildOptions {
  readonly execPath: string;
  /** The module to run, and its arguments. */
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** The working directory. The child removes it if the demo is killed. */
  readonly folder: string;
  /** Where its output goes: a file descriptor, or {@link DemoChild.stdout}. */
  readonly output: number | "pipe";
}

export class DemoChild {
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;

  constructor({ execPath, args, env, folder, output }: DemoChildOptions) {
    this.#child = spawn(execPath, ["--disable-sigusr1", "--import", endWithParent(folder), ...args], {
      cwd: folder,
      env,
      stdio: ["ignore", output, output, "ipc"],
      // Ctrl-C signals the whole foreground group, but the demo decides when each child ends.
      detached: true,
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#child.once("error", () => resolve());
    this.#child.once("exit", () => resolve());
    this.ended = promise;
    // Output that nothing reads is discarded. Otherwise the pipe would fill, and block the child.
    this.#child.stderr?.resume();
  }

  /** Null if its output goes to a file. */
  get stdout(): Readable | null {
    return this.#child.stdout;
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Kills the process (`kill -9`), because it holds nothing that is worth saving. Resolves when it has ended. */
  kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    return this.ended;
  }
}

/** The module, as a URL. Threads load it, too, and have no channel. The channel must not keep the process alive. */
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
