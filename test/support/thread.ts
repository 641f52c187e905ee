/**
 * Runs a function in a thread of its own. In a test's thread node:test follows every promise to the test that made it,
 * and a simulation, which makes millions of them, takes twice as long for that. A thread of its own is not followed.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Worker } from "node:worker_threads";

/** Calls `run`, which `module` (a URL) exports under its own name. @throws what it throws. */
export async function inThread<Parameters extends readonly (string | number)[]>(
  module: string,
  run: (...parameters: Parameters) => Promise<void>,
  ...parameters: Parameters
): Promise<void> {
  const call = `${run.name}(...${JSON.stringify(parameters)})`;
  const source = `import { ${run.name} } from ${JSON.stringify(module)}; await ${call};`;
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  const [exitCode] = (await once(thread, "exit")) as [number];
  assert.equal(exitCode, 0, `the thread that ran ${call} ended early`);
}
