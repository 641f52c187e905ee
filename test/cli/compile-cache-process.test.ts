/** What a start compiles, and what it takes from the compile cache of an earlier one. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { endProcesses, TestProcess } from "../support/process.ts";

const main = join(import.meta.dirname, "../../src/main.ts");

afterEach(endProcesses);

/** Runs `orca help`. Returns what Node said of each source file that it looked up in the cache. */
async function help(cache: string | undefined) {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const child = new TestProcess("orca", process.execPath, [main, "help"], {
    env: { ...env, NODE_DEBUG_NATIVE: "COMPILE_CACHE", ...(cache && { NODE_COMPILE_CACHE: cache }) },
  });
  assert.equal(await child.exited, 0, child.output.join("\n"));
  const lines = child.output;
  const looked = lines.filter((line) => /reading cache from .* for StrippedTypeScript .*\/src\//.test(line));
  const found = looked.filter((line) => line.includes("success"));
  return { lines, looked: looked.length, found: found.length };
}

test("orca: a second start compiles none of its files, and the first one more than ten", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "orca-cache-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const first = await help(folder);
  const second = await help(folder);
  assert.ok(first.looked > 10, `${first.looked} files`);
  assert.deepEqual([first.found, second.looked, second.found], [0, first.looked, first.looked]);
});

test("orca: without NODE_COMPILE_CACHE, the cache is in the installation, for the files that the entry loads", async () => {
  const folder = join(import.meta.dirname, "../../node_modules/.cache/node");
  await help(undefined);
  const { lines, looked, found } = await help(undefined);
  assert.ok(lines.some((line) => line.includes(`reading cache from ${folder}`)));
  assert.deepEqual([found > 10, looked - found], [true, 0]);
});

test("orca: a cache that cannot be written changes nothing else", async () => {
  const { lines } = await help("/dev/null/nowhere");
  assert.ok(lines.length > 0);
});
