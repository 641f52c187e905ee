import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TestProcess } from "../support/process.ts";

const main = join(import.meta.dirname, "../../src/main.ts");

test("demo: Ctrl-C ends it wherever it is, and nothing of it is left", async () => {
  const folder = mkdtempSync(join(tmpdir(), "orca-e2e-"));
  const demo = new TestProcess("orca", process.execPath, [main, "demo"], {
    env: { ...process.env, TMPDIR: folder },
  });
  await demo.line(/Starting Azurite/);
  demo.signal("SIGINT");
  assert.equal(await demo.exited, 0);
  assert.doesNotMatch(demo.output.join("\n"), /SHA-256/, "the reads were not waited for");
  assert.deepEqual(readdirSync(folder), []);
  rmSync(folder, { recursive: true });
});
