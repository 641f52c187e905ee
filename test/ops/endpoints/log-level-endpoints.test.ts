import assert from "node:assert/strict";
import { test } from "node:test";
import { logLevelEndpoints } from "../../../src/ops/endpoints/log-level-endpoints.ts";
import { Log } from "../../../src/ops/logging.ts";
import type { Page } from "../../../src/ops/ops-endpoint.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { rejectsWith } from "../../support/rejects-with.ts";

function start() {
  const clock = new FakeClock();
  const messages: string[] = [];
  const stream = {
    write: (line: string) => void messages.push((JSON.parse(line) as { msg: string }).msg),
  };
  const log = new Log({ level: "info", clock, stream, pretty: false });
  const [show, change] = logLevelEndpoints(log.level);
  const ask = async (endpoint: typeof show, query: string) => {
    const signal = new AbortController().signal;
    const answer = await endpoint?.answer({ query: new URLSearchParams(query), signal });
    return JSON.parse((answer as Page).body) as unknown;
  };
  return {
    clock,
    log,
    messages,
    show: () => ask(show, ""),
    change: (query: string) => ask(change, query),
  };
}

test("logLevelEndpoints: another level holds for its time, in children that were made before, too", async () => {
  const { clock, log, messages, show, change } = start();
  const child = log.logger.child({ part: "p" });
  const say = (text: string) => {
    for (const logger of [log.logger, child]) if (logger.isDebug) logger.debug({}, text);
  };
  say("before");
  const changed = { level: "debug", configured: "info", until: "2026-01-01T00:10:00.000Z" };
  assert.deepEqual(await change("level=debug&seconds=600"), changed);
  await clock.advance(599_999);
  say("within");
  assert.deepEqual(await show(), changed);
  await clock.advance(1);
  say("after");
  assert.deepEqual(await show(), { level: "info", configured: "info", until: null });
  assert.deepEqual(messages, ["within", "within", "The log is back at its configured level"]);
  assert.equal(clock.pendingTimers, 0);
});

test("logLevelEndpoints: a change takes the place of the one before, and the configured level ends it", async () => {
  const { clock, log, show, change } = start();
  await change("level=debug&seconds=3600");
  await change("level=error&seconds=10");
  assert.equal(clock.pendingTimers, 1);
  assert.equal(log.logger.isDebug, false);
  await change("level=info&seconds=600");
  assert.deepEqual(await show(), { level: "info", configured: "info", until: null });
  await change("level=debug&seconds=600");
  assert.equal(await log.close(), undefined);
  assert.equal(clock.pendingTimers, 0);
});

test("logLevelEndpoints: an unknown level, a time without bound and anything else are rejected", async () => {
  const { log, change } = start();
  for (const query of [
    "",
    "level=debug",
    "level=debug&seconds=0",
    "level=debug&seconds=3601",
    "level=debug&seconds=-1",
    "level=debug&seconds=1e3",
    "level=trace&seconds=10",
    "level=silent&seconds=10",
    "level=debug&seconds=10&level=info",
    "level=debug&seconds=10&for=ever",
  ]) {
    await rejectsWith("invalid_argument", change(query));
  }
  assert.equal(log.level.current, "info");
});

test("LogLevelControl: tells of each change, and of the return", async () => {
  const { clock, log, change } = start();
  const seen: boolean[] = [];
  log.level.watch(() => seen.push(log.logger.isDebug));
  await change("level=debug&seconds=600");
  assert.deepEqual(seen.at(-1), true);
  await clock.advance(600_000);
  assert.deepEqual(seen.at(-1), false);
});
