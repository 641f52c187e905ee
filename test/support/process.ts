/**
 * Child processes of a test: real servers, and Orca itself. Whatever way the test process ends, its children end with
 * it: by `stop`, by the exit handler, and where Linux's `setpriv` is at hand by the kernel, because a test that is
 * killed runs no handler and would leave a daemon behind.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const outputLinesMax = 1000;
const live = new Set<ChildProcess>();

process.once("exit", () => {
  for (const child of live) child.kill("SIGKILL");
});

/**
 * Ends every process that still runs: for an `afterEach` hook. A test that fails does not stop its own, and a child that
 * runs keeps the test process running for ever.
 */
export async function endProcesses(): Promise<void> {
  await Promise.all(
    [...live].map(async (child) => {
      const closed = once(child, "close");
      child.kill("SIGKILL");
      await closed;
    }),
  );
}

export interface ProcessOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** A descriptor that takes the place of stdout. Its lines are not in {@link TestProcess.output}. */
  readonly stdout?: number;
}

export class TestProcess {
  readonly name: string;
  /** The last lines of stdout and stderr, oldest first. */
  readonly output: string[] = [];
  /** All that it has printed, in characters, line ends left out. */
  printedLength = 0;
  /** Exit code, or null where a signal ended it. */
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #listeners = new Set<(line: string) => void>();

  constructor(name: string, command: string, args: readonly string[], options: ProcessOptions = {}) {
    this.name = name;
    const [file, ...rest] = boundToParent(command, args);
    const { stdout = "pipe", ...rules } = options;
    const child = spawn(file, rest, { ...rules, stdio: ["ignore", stdout, "pipe"] });
    this.#child = child;
    live.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", (line) => this.#take(line));
    }
    this.exited = new Promise((resolve) => {
      child.once("error", (error) => {
        live.delete(child);
        this.#take(error.message);
        resolve(null);
      });
      // "close" rather than "exit": the last lines of output have been read by then.
      child.once("close", (code) => {
        live.delete(child);
        resolve(code);
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get running(): boolean {
    return live.has(this.#child);
  }

  /** The first line, past or to come, that matches; rejects when the process ends without it. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    const look = (line: string): void => {
      const match = pattern.exec(line);
      if (match) resolve(match);
    };
    this.output.forEach(look);
    this.#listeners.add(look);
    void this.exited.then((code) => reject(this.failure(`ended with ${code} before it printed ${pattern}`)));
    try {
      return await promise;
    } finally {
      this.#listeners.delete(look);
    }
  }

  /** An error that carries the end of the process's output. */
  failure(what: string): Error {
    return new Error(`${this.name} ${what}:\n${this.output.slice(-20).join("\n")}`);
  }

  /** Leaves as the reader of stdout. */
  closeOutput(): void {
    this.#child.stdout?.destroy();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends the process and resolves when it is gone. SIGKILL by default: a server under test has nothing to save. */
  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.signal(signal);
    await this.exited;
  }

  #take(line: string): void {
    this.output.push(line);
    this.printedLength += line.length;
    if (this.output.length > outputLinesMax) this.output.shift();
    for (const listener of this.#listeners) listener(line);
  }
}

/** Runs a command to its end. @returns stdout. @throws Error with stderr when it fails or takes longer than `timeoutMs`. */
export async function run(
  command: string,
  args: readonly string[],
  timeoutMs = 30_000,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const [file, ...rest] = boundToParent(command, args);
  const { stdout } = await promisify(execFile)(file, rest, {
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    env,
  });
  return stdout;
}

/** The full path of an executable on the PATH. */
export function findOnPath(name: string): string | undefined {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return undefined;
}

/**
 * A port on 127.0.0.1 that is free now, for servers that cannot say which port they were given. It lies below the
 * range that the kernel gives to outgoing connections (32768 on), so only another pick can take it before it is used;
 * callers try again with another one when that happens.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer().listen(port, "127.0.0.1");
    const free = await once(server, "listening").then(
      () => true,
      () => false,
    );
    server.close();
    if (free) return port;
  }
}

function boundToParent(command: string, args: readonly string[]): [string, ...string[]] {
  const setpriv = process.platform === "linux" ? findOnPath("setpriv") : undefined;
  return setpriv ? [setpriv, "--pdeathsig", "KILL", command, ...args] : [command, ...args];
}
