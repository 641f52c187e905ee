/** `npm run scenario`: all scenarios, on a cluster of processes in front of Azurite. Nothing of them is left. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { TestProcess } from "../support/process.ts";
import { until } from "../support/until.ts";

const main = join(import.meta.dirname, "../../deploy/scenario/main.ts");
const folder = mkdtempSync(join(tmpdir(), "orca-scenario-test-"));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Line {
  readonly scenario: string;
  readonly holds: boolean;
  readonly checks: readonly object[];
}

test("npm run scenario: every scenario holds, and its cluster is gone afterwards", async () => {
  const env = { ...process.env, TMPDIR: folder };
  const child = new TestProcess("scenario", process.execPath, [main, "--json"], { env });
  const exitCode = await child.exited;
  const lines = child.output.map((line) => JSON.parse(line) as Line);
  const failed = lines.filter(({ holds }) => !holds);
  assert.deepEqual(failed, []);
  assert.deepEqual(
    lines.map(({ scenario, checks }) => [scenario, checks.length]),
    [
      ["cold-warm", 6],
      ["range-stress", 2],
      ["empty-object", 3],
      ["etag-change", 4],
      ["replica-loss", 4],
    ],
  );
  assert.equal(exitCode, 0);
  await until(() => readdirSync(folder).length === 0);
});
