import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:https";
import { connect } from "node:net";
import { test } from "node:test";
import { type Clock, SystemClock, type Timer } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Replica } from "../../src/replica/replica.ts";
import { DiskRoot } from "../../src/store/disk/disk-root.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { heldResources, released } from "../support/held-resources.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { keys, type Sections, type WholeReplica, wholeReplica } from "./whole-replica.ts";

function open({ settings }: WholeReplica, clock: Clock, sections?: Sections): Promise<Replica> {
  const config = loadConfig({ env: keys, overrides: settings(sections) });
  return Replica.open({ config, clock, random: new SeededRandom(1), logger: new RecordedLogger() });
}

/** A clock that fails whoever wants a timer of `failingMs`. */
class FailingClock extends SystemClock {
  readonly #failingMs: number;

  constructor(failingMs: number) {
    super();
    this.#failingMs = failingMs;
  }

  override timer(delayMs: number, callback: () => void): Timer {
    if (delayMs === this.#failingMs) throw new Error("the clock is broken");
    return super.timer(delayMs, callback);
  }
}

function statusOf(url: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  get(url, { agent: false, rejectUnauthorized: false }, (response) => {
    response.resume().once("end", () => resolve(response.statusCode));
  }).once("error", reject);
  return promise;
}

test("Replica.stop: a replica that served leaves nothing, however often it is stopped", async (context) => {
  const whole = await wholeReplica(context);
  const clock = new FakeClock();
  const before = await heldResources();
  const replica = await open(whole, clock);
  const { s3 } = await replica.start();
  whole.s3.put("models", "k", { seed: 1, sizeBytes: 1000 });
  assert.equal(await statusOf(`https://127.0.0.1:${s3.port}/models/k`), 200);
  await Promise.all([replica.stop(), replica.stop()]);
  await replica.stop();
  await released(before);
  assert.equal(clock.pendingTimers, 0);
  DiskRoot.open(whole.diskRoot).close();
});

test("Replica.stop: a replica that was opened and never started leaves nothing", async (context) => {
  const whole = await wholeReplica(context);
  const clock = new FakeClock();
  const before = await heldResources();
  const replica = await open(whole, clock);
  await replica.stop();
  await released(before);
  assert.equal(clock.pendingTimers, 0);
  DiskRoot.open(whole.diskRoot).close();
});

test("Replica.stop: steps that fail are named, and the others are done all the same", async (context) => {
  const whole = await wholeReplica(context);
  const before = await heldResources();
  const replica = await open(whole, new FailingClock(7000), { server: { drain_timeout: "7s" } });
  const { s3, ops, mesh } = await replica.start();
  // They never say a word, so that only a cut ends them.
  const clients = [s3.port, mesh?.port ?? 0].map((port) => connect(port, "127.0.0.1"));
  await Promise.all(clients.map((client) => once(client, "connect")));
  // Until they are accepted, only the kernel knows of them.
  await fetch(`http://127.0.0.1:${ops.port}/healthz`);
  const closed = Promise.all(clients.map((client) => once(client, "close")));
  const error = await rejectsWith("internal", replica.stop());
  assert.equal(
    error.message,
    "Cannot stop cleanly: Cannot drain the mesh listener: the clock is broken; Cannot drain the S3 listener: the clock is broken",
  );
  await closed;
  await released(before);
  DiskRoot.open(whole.diskRoot).close();
});
