import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { MiB } from "../../../../src/base/units.ts";
import { TestProcess } from "../../../support/process.ts";
import { keyOf } from "../../disk/disk-fixture.ts";
import { criterion, type PosixFixture, readAll } from "./posix-fixture.ts";

criterion("of three processes that commit the same chunks, each chunk has one winner", async (fixture) => {
  await fixture.open();
  const chunks = Array.from({ length: 24 }, (_, index) => keyOf("raced", 24 * MiB, index, MiB));
  const damaged = chunks.slice(12);
  for (const key of damaged) {
    mkdirSync(dirname(fixture.pathOf(key)), { recursive: true });
    writeFileSync(fixture.pathOf(key), "stray");
  }
  const results = await race(fixture, 3, chunks.length);
  for (const [index, key] of chunks.entries()) {
    const outcomes = results.map((each) => each[index] as string).sort();
    // If there was a damaged file, one process may take the good file of another for it, and replace it.
    if (damaged.includes(key)) assert.ok(outcomes.includes("stored"), `chunk ${index}`);
    else assert.deepEqual(outcomes, ["present", "present", "stored"], `chunk ${index}`);
  }
  const reader = await fixture.open();
  for (const key of chunks) assert.ok(await readAll(reader, key));
  assert.deepEqual([reader.stats.damaged, fixture.files().length], [0, 24]);
});

/** The result of each process for each chunk. */
async function race(fixture: PosixFixture, processes: number, chunks: number): Promise<string[][]> {
  const script = fileURLToPath(new URL("./posix-scribbler.ts", import.meta.url));
  const startSignal = join(fixture.root, "start");
  const parameters = [script, fixture.root, String(chunks), startSignal];
  const scribblers = Array.from(
    { length: processes },
    () => new TestProcess("scribbler", process.execPath, parameters),
  );
  try {
    await Promise.all(scribblers.map((scribbler) => scribbler.line(/^ready$/)));
    writeFileSync(startSignal, "");
    const lines = await Promise.all(scribblers.map((scribbler) => scribbler.line(/^results (.*)$/)));
    return lines.map(([, json]) => JSON.parse(json as string) as string[]);
  } finally {
    await Promise.all(scribblers.map((scribbler) => scribbler.stop()));
  }
}
