/**
 * The process of `orca`: argv, environment, signals and exit code. It is the only file that touches `process`, so that a
 * test can run every command as a function.
 *
 * Something that hangs in a call of the system (a dead file system, a terminal that is stopped) holds a thread of the
 * process. Node's own exit waits for its threads, so the ends below that must not hang go without it.
 */
import { enableCompileCache, flushCompileCache } from "node:module";
import { join } from "node:path";
import process from "node:process";

/**
 * Node keeps the compiled code of all files that are loaded after this, and the next start takes two thirds of the time
 * and 20 MB less. The folder is in the installation: in a folder that others can write to, like the system's for temporary
 * files, they could put code into this process. Node does without a cache where it cannot write. Threads find the folder
 * by the environment.
 */
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, "../node_modules/.cache/node");
enableCompileCache(process.env["NODE_COMPILE_CACHE"]);

const { ifStillAliveAfter, SystemClock } = await import("./base/clock.ts");
const { SystemRandom } = await import("./base/random.ts");
const { bugExitCode, failureExitCode, runCommandLine } = await import("./cli/command-line.ts");

/** By then a replica has loaded all that it needs. Without this, only an orderly end writes the cache. */
const cacheFlushMs = 10_000;

/** Once a command is done, nothing that is left is worth more time than this. */
const endTimeoutMs = 2000;

/**
 * Ends the process, whatever its threads do: the kernel ends them when another program takes the place of this one, and
 * only such a program can still choose the exit code.
 */
function endAtOnce(exitCode: number): never {
  const { execPath, pid } = process;
  try {
    process.execve?.(execPath, [execPath, "-e", `process.exit(${exitCode})`], { NODE_OPTIONS: "" });
  } catch {
    // SIGKILL below.
  }
  process.kill(pid, "SIGKILL");
  throw new Error("the kernel ends this process");
}

/** Resolves with the first signal that asks the process to stop. A second one ends the process at once. */
function stopSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let asked = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (asked) endAtOnce(128 + (signal === "SIGINT" ? 2 : 15));
      asked = true;
      resolve(signal);
    });
  }
  return promise;
}

/** After an error that nothing caught, the state of the process is unknown, so it ends. */
function reportUncaught(report: (error: Error) => void): void {
  process.on("uncaughtException", (error) => {
    report(error);
    endAtOnce(bugExitCode);
  });
}

// A reader that leaves, or a full disk: without these listeners, an error of the streams would end a replica as a bug.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", () => void (process.exitCode ||= failureExitCode));
}

/**
 * Node opens its debugger on this signal, and everybody on the host can then run code in the process. A listener takes the
 * signal away from it. `--disable-sigusr1` does so from the first moment, but not everybody starts Node with it.
 */
process.on("SIGUSR1", () => {});

ifStillAliveAfter(cacheFlushMs, flushCompileCache);

const exitCode = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  clock: new SystemClock(),
  random: new SystemRandom(),
  stdout: process.stdout,
  stderr: process.stderr,
  stopSignal,
  reportUncaught,
});
process.exitCode ||= exitCode;
ifStillAliveAfter(endTimeoutMs, () => endAtOnce(Number(process.exitCode)));
