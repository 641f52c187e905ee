import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { topReport } from "../../../src/cli/figures/figures-report.ts";
import { runOrca } from "../../support/command-line.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { serveOps } from "../../support/ops-command.ts";
import { until } from "../../support/until.ts";
import { clusterFiguresOf } from "./cluster-figures-of.ts";

const document = clusterFiguresOf();
const text = `${JSON.stringify(document)}\n`;

async function served(context: TestContext, answerOf: (asked: number) => string | undefined = () => text) {
  const asked: string[] = [];
  const ops = await serveOps(context, (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const answer = answerOf(asked.length);
    if (answer === undefined) response.writeHead(503).end('{"error":"not now"}');
    else response.end(answer);
  });
  return { asked, ops };
}

test("orca top: --once prints the figures, and --json the answer", async (context) => {
  const { asked, ops } = await served(context);
  const { exitCode, stdout } = await runOrca(["top", "--once", "--ops", ops]);
  assert.deepEqual([exitCode, stdout], [0, topReport(document, ops)]);
  assert.equal((await runOrca(["top", "--once", "--json", "--ops", ops])).stdout, text);
  assert.deepEqual(asked, ["GET /figures", "GET /figures"]);
});

test("orca top: an answer that is no figures is an error, and --once tells it by the exit code", async (context) => {
  for (const [field, value] of [
    ["totals", { ...document.totals, served_bytes: "x" }],
    ["history", { ...document.history, requests: ["1"] }],
    ["replicas", [{}]],
    ["hot_objects", [{ bucket: 1 }]],
  ] as const) {
    const { ops } = await served(context, () => JSON.stringify({ ...document, [field]: value }));
    const { exitCode, stdout, stderr } = await runOrca(["top", "--once", "--ops", ops]);
    assert.deepEqual([exitCode, stdout], [1, ""], field);
    assert.match(stderr, /the answer is not that of an Orca replica of this version/);
  }
});

test("orca top: refreshes until a signal, draws over itself on a terminal, and goes on after a failure", async (context) => {
  const { asked, ops } = await served(context, (count) => (count === 2 ? undefined : text));
  const clock = new FakeClock();
  const signal = Promise.withResolvers<string>();
  let stdout = "";
  let stderr = "";
  const running = runOrca(["top", "--ops", ops, "--every", "5s"], {
    clock,
    stdout: { isTTY: true, write: (part) => void (stdout += part) },
    stderr: { write: (part) => void (stderr += part) },
    stopSignal: () => signal.promise,
  });
  const drawn = `\u001b[H\u001b[J${topReport(document, ops)}`;
  await until(() => stdout === `\u001b[2J${drawn}`);
  await until(() => clock.pendingTimers === 1);
  await clock.advance(5000);
  await until(() => stderr !== "");
  assert.match(stderr, /not now/);
  await until(() => clock.pendingTimers === 1);
  await clock.advance(5000);
  await until(() => stdout === `\u001b[2J${drawn}${drawn}`);
  await until(() => clock.pendingTimers === 1);
  signal.resolve("SIGINT");
  assert.equal((await running).exitCode, 0);
  assert.equal(asked.length, 3);
  assert.equal(clock.pendingTimers, 0);
});

test("orca top: a signal ends it at once while a replica does not answer", async (context) => {
  const asked = Promise.withResolvers<void>();
  const ops = await serveOps(context, () => asked.resolve());
  const clock = new FakeClock();
  const signal = Promise.withResolvers<string>();
  const running = runOrca(["top", "--ops", ops], { clock, stopSignal: () => signal.promise });
  await asked.promise;
  signal.resolve("SIGINT");
  const { exitCode, stderr } = await running;
  assert.deepEqual([exitCode, stderr, clock.pendingTimers], [0, "", 0]);
});

test("orca top: --every is at least a second", async () => {
  const { exitCode, stderr } = await runOrca(["top", "--every", "10ms"]);
  assert.equal(exitCode, 2);
  assert.match(stderr, /a duration of a second or more/);
});

test("orca cache stats --cluster: fails where a live replica is in none of the figures", async (context) => {
  const { asked, ops } = await served(context);
  const missing = await runOrca(["cache", "stats", "--cluster", "--ops", ops]);
  assert.equal(missing.exitCode, 1);
  assert.match(missing.stdout, /^r2 is in no figure here/m);
  const whole = await served(context, () => JSON.stringify({ ...document, unreachable: [] }));
  assert.equal((await runOrca(["cache", "stats", "--cluster", "--ops", whole.ops])).exitCode, 0);
  assert.equal((await runOrca(["cache", "stats", "--cluster", "--json", "--ops", ops])).stdout, text);
  assert.deepEqual(asked, ["GET /figures", "GET /figures"]);
});
