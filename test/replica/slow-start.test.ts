/** A start that waits for a cachestore which takes connections and never answers. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import { Replica } from "../../src/replica/replica.ts";
import { heldResources, released } from "../support/held-resources.ts";
import { freePort, TestProcess } from "../support/process.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { until } from "../support/until.ts";
import { keys, s3Cachestore, wholeReplica } from "./whole-replica.ts";

const main = join(import.meta.dirname, "../../src/main.ts");

/** A connection that stays open would count as held. */
const closing = { headers: { connection: "close" } };

async function settingsOf(context: TestContext) {
  const sockets = new Set<Socket>();
  const mute = createServer((socket) => sockets.add(socket.on("error", () => {}).resume())).listen(
    0,
    "127.0.0.1",
  );
  await once(mute, "listening");
  context.after(() => {
    mute.close();
    for (const socket of sockets) socket.destroy();
  });
  const opsPort = await freePort();
  const endpoint = `http://127.0.0.1:${(mute.address() as AddressInfo).port}`;
  const whole = await wholeReplica(context);
  const settings: SettingsTree = whole.settings({
    server: { ops_listen: `127.0.0.1:${opsPort}` },
    // A start that only such a time ends hangs here for as long as the test may take.
    cachestore: { ...s3Cachestore({ endpoint }, "chunks"), attempt_timeout: "1h" },
  });
  return { whole, settings, ops: `http://127.0.0.1:${opsPort}` };
}

/** A replica whose check of the cachestore hangs, and what the process held before it. */
async function opened(context: TestContext) {
  const { settings, ops } = await settingsOf(context);
  const before = await heldResources();
  const replica = await Replica.open({
    config: loadConfig({ env: keys, overrides: settings }),
    clock: new SystemClock(),
    random: new SeededRandom(1),
    logger: new RecordedLogger(),
  });
  return { replica, ops, before };
}

async function untilAlive(ops: string): Promise<void> {
  await until(async () => {
    const answer = await fetch(`${ops}/healthz`, closing).catch(() => undefined);
    return answer?.status === 200;
  });
}

test("Replica.start: while the check of the cachestore hangs, /healthz answers and /readyz says why", async (context) => {
  const { replica, ops, before } = await opened(context);
  const starting = rejectsWith("internal", replica.start());
  starting.catch(() => {});
  await untilAlive(ops);
  const ready = await fetch(`${ops}/readyz`, closing);
  assert.equal(ready.status, 503);
  const { checks } = (await ready.json()) as { checks: Record<string, string> };
  assert.equal(checks["phase"], "starting: checking the cachestore");
  await replica.stop();
  await starting;
  await released(before);
});

test("Replica.start: while the rehearsal hangs, /readyz says so, and a stop ends the replica", async (context) => {
  const { replica, ops, before } = await opened(context);
  const rehearsal = Promise.withResolvers<void>();
  const starting = rejectsWith(
    "internal",
    replica.start(() => rehearsal.promise),
  );
  await untilAlive(ops);
  const ready = await fetch(`${ops}/readyz`, closing);
  const { checks } = (await ready.json()) as { checks: Record<string, string> };
  assert.equal(checks["phase"], "starting: rehearsing reads");
  await replica.stop();
  rehearsal.resolve();
  await starting;
  await released(before);
});

test("orca serve: SIGTERM ends a start that hangs", { timeout: 60_000 }, async (context) => {
  const { whole, settings, ops } = await settingsOf(context);
  writeFileSync(whole.configFile, JSON.stringify(settings));
  const child = new TestProcess("orca", process.execPath, [main, "serve", "--config", whole.configFile], {
    env: { ...process.env, ...keys },
  });
  context.after(() => child.stop());
  await untilAlive(ops);
  child.signal("SIGTERM");
  assert.equal(await child.exited, 0, child.output.join("\n"));
});
