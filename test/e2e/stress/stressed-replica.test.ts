import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { endProcesses } from "../../support/process.ts";
import { StressedReplica } from "./stressed-replica.ts";

afterEach(endProcesses);

test("StressedReplica.end: of one that has ended by itself, it does not hide why", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "orca-stressed-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const replica = new StressedReplica({ folder, originEndpoint: "http://127.0.0.1:1", threads: 1 });
  await replica.start();
  await endProcesses();
  await assert.rejects(replica.failed, /ended by itself/);
  await replica.end("SIGKILL");
  assert.equal((await replica.sums()).hits, 0);
});
