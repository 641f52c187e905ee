/**
 * Runs a script that measures its own heap, in a process where nothing but the script changes it: on one thread, and
 * without the byte code that V8 drops and makes again when it pleases (some 300 KB, now and then).
 */
import { fileURLToPath } from "node:url";
import { run } from "./process.ts";

const steadyHeap = ["--expose-gc", "--single-threaded", "--no-flush-bytecode"];

/** What the script printed as JSON. */
export async function measured<T>(script: URL, ...args: readonly (string | number)[]): Promise<T> {
  const output = await run(
    process.execPath,
    [...steadyHeap, fileURLToPath(script), ...args.map(String)],
    120_000,
  );
  return JSON.parse(output) as T;
}
