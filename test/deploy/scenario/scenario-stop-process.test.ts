/** A signal while `npm run scenario` starts. A script takes the place of Azurite and says when it starts; the test answers it. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { scenarioCommand } from "../../../deploy/scenario/scenario-command.ts";
import { SystemClock } from "../../../src/base/clock.ts";
import { SeededRandom } from "../../../src/base/random.ts";
import { runCommandLine } from "../../../src/cli/command-line.ts";

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("scenario: a signal while the origin starts ends all processes that it has begun", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "orca-scenario-stop-"));
  const pidFile = join(folder, "pids");
  const pids = (): number[] => readFileSync(pidFile, "utf8").trim().split("\n").map(Number);
  const stop = Promise.withResolvers<string>();
  const server = createServer((_, response) => {
    // The signal is there before the answer: that one takes turns of the event loop.
    stop.resolve("SIGTERM");
    response.writeHead(201).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    for (const pid of pids()) if (isRunning(pid)) process.kill(pid, "SIGKILL");
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const { port } = server.address() as AddressInfo;
  const execPath = join(folder, "program");
  const line = `Azurite Blob service successfully listens on http://127.0.0.1:${port}`;
  writeFileSync(execPath, `#!/bin/sh\necho $$ >> ${pidFile}\necho '${line}'\nexec sleep 600\n`);
  chmodSync(execPath, 0o755);
  const written = { stdout: "", stderr: "" };
  const scenarioContext = {
    env: process.env,
    clock: new SystemClock(),
    random: new SeededRandom(1),
    execPath,
    mainPath: "main.ts",
    stdout: { write: (text: string) => void (written.stdout += text) },
    stderr: { write: (text: string) => void (written.stderr += text) },
    stopSignal: () => stop.promise,
    reportUncaught: () => {},
  };
  const exitCode = await runCommandLine([], scenarioContext, scenarioCommand(scenarioContext));
  assert.equal(exitCode, 1);
  assert.match(written.stderr, /Cannot end the scenarios: a signal asked to stop/);
  assert.deepEqual(pids().filter(isRunning), []);
});
