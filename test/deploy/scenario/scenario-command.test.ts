/** How `npm run scenario` judges and prints. test/system/scenario.test.ts runs the scenarios themselves. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { DemoCluster } from "../../../deploy/demo/demo-cluster.ts";
import type { DemoOrigin } from "../../../deploy/demo/demo-origin.ts";
import type { Scenario } from "../../../deploy/scenario/scenario.ts";
import { runScenarios } from "../../../deploy/scenario/scenario-command.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { run } from "../../support/process.ts";

const good: Scenario = {
  name: "good",
  summary: "It holds",
  run: (_, checks) => {
    checks.equal("one", 1, 1);
    checks.atMost("few", 3, 3);
    return Promise.resolve();
  },
};
const bad: Scenario = {
  name: "bad",
  summary: "It does not hold",
  run: (_, checks) => {
    checks.equal("one", 2, 1);
    checks.atMost("few", 4, 3);
    checks.equal("two", 2, 2);
    return Promise.resolve();
  },
};
const broken: Scenario = {
  name: "broken",
  summary: "It throws",
  run: () => Promise.reject(new Error("no such thing")),
};
const empty: Scenario = { name: "empty", summary: "It checks nothing", run: () => Promise.resolve() };

async function judge(
  chosen: readonly Scenario[],
  options: { readonly json?: boolean; readonly clock?: FakeClock; readonly stopping?: AbortSignal } = {},
): Promise<{ exitCode: number; output: string }> {
  const { json = false, clock = new FakeClock(), stopping = new AbortController().signal } = options;
  let output = "";
  const stdout = { write: (text: string) => void (output += text) };
  // These scenarios use neither.
  const [origin, cluster] = [{} as DemoOrigin, {} as DemoCluster];
  const exitCode = await runScenarios(chosen, {
    origin,
    cluster,
    clock,
    json,
    stopping,
    stdout,
    timeoutMs: 5000,
  });
  assert.equal(clock.pendingTimers, 0);
  return { exitCode, output };
}

test("scenario: one whose checks hold is exit code 0, and shows what was expected and seen", async () => {
  const { exitCode, output } = await judge([good]);
  assert.equal(exitCode, 0);
  assert.match(output, /^good \(0\.0 s\)\n {2}It holds\n/m);
  assert.match(output, /^ {2}one {2}1 +1 {2}ok$/m);
  assert.match(output, /^1 scenario: all hold$/m);
});

test("scenario: a check that does not hold, an error, and none at all are exit code 1, and the others run", async () => {
  const { exitCode, output } = await judge([bad, broken, empty, good]);
  assert.equal(exitCode, 1);
  assert.equal(output.match(/FAILED/g)?.length, 3);
  assert.match(output, /^ {2}few {2}at most 3 +4 {2}FAILED$/m);
  assert.match(output, /^ {2}FAILED: no such thing$/m);
  assert.match(output, /^4 scenarios: 3 failed$/m);
});

test("scenario: --json is a line for each", async () => {
  const { output } = await judge([good, broken], { json: true });
  const [first, second, ...rest] = output
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(rest, []);
  assert.deepEqual(
    [first.scenario, first.holds, first.checks[1]],
    ["good", true, { what: "few", expected: "at most 3", seen: "3", holds: true }],
  );
  assert.deepEqual([second.scenario, second.holds, second.error], ["broken", false, "no such thing"]);
});

test("scenario: one that hangs fails after its time limit", async () => {
  const clock = new FakeClock();
  const hanging: Scenario = {
    name: "hanging",
    summary: "It hangs",
    run: () => Promise.withResolvers<void>().promise,
  };
  const judged = judge([hanging, good], { clock });
  await clock.advance(5000);
  const { exitCode, output } = await judged;
  assert.equal(exitCode, 1);
  assert.match(output, /FAILED: it did not end within 5000 ms/);
});

test("scenario: an unknown name is a usage error before anything starts", async () => {
  const main = join(import.meta.dirname, "../../../deploy/scenario/main.ts");
  await assert.rejects(run(process.execPath, [main, "cold-warn"]), {
    code: 2,
    stderr:
      /Cannot run scenario "cold-warn": expected one of cold-warm, range-stress, empty-object, etag-change, replica-loss/,
  });
});
