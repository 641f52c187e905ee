/** How warm-ups end and are handed on when their replica stops, on a clock that stands still. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { MiB } from "../../../src/base/units.ts";
import type { ClusterWarmer, WarmedChunk } from "../../../src/fill/warming/cluster-warmer.ts";
import type { HandedWarmUp, OpsPlace } from "../../../src/fill/warming/handed-warm-up.ts";
import type { Member } from "../../../src/membership/member.ts";
import type { Bucket } from "../../../src/object/bucket.ts";
import { Buckets } from "../../../src/object/buckets.ts";
import { PrefixSource } from "../../../src/ops/warm/warm-source.ts";
import { WarmUpHandOver } from "../../../src/ops/warm/warm-up-hand-over.ts";
import { WarmUps } from "../../../src/ops/warm/warm-ups.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memberOf } from "../../support/member-of.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { rejectsWith } from "../../support/rejects-with.ts";

const keys = ["a", "b", "c"];
const version = { chunkCount: 1, sizeBytes: MiB, etag: "e", chunkLength: () => MiB };
const bucket = {
  name: "m",
  faultOf: () => undefined,
  locate: (key: string) => ({ bucket: "m", key }),
  list: async ({ startAfter }: { startAfter: string }) => ({
    objects: keys.filter((key) => key > startAfter).map((key) => ({ key, etag: "e", sizeBytes: MiB })),
    nextContinuationToken: "",
  }),
  directory: { originId: "o", lookup: async () => ({ kind: "found", record: { version } }) },
} as unknown as Bucket;
const buckets = new Buckets(new Map([["m", bucket]]));
const place: OpsPlace = { port: 8442, isTls: false };
const held = { result: "held", reason: undefined, isOutdated: false } as const;

type Answer = (peer: Member, warmUp: HandedWarmUp, signal: AbortSignal) => Promise<OpsPlace>;

function warmUpsOf(
  peers: readonly Member[],
  takeWarmUp: Answer,
  fill: (signal: AbortSignal) => Promise<WarmedChunk> = async () => held,
) {
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  let fills = 0;
  const warmer = {
    members: [memberOf("r0"), ...peers],
    fill: (_key: unknown, _pace: unknown, signal: AbortSignal) => {
      fills += 1;
      return fills === 1 ? Promise.resolve(held) : fill(signal);
    },
    look: async () => held,
  } as unknown as ClusterWarmer;
  const coordination = { selfId: "r0", ranked: () => [memberOf("r0"), ...peers] };
  const handOver = new WarmUpHandOver({ coordination, peers: { takeWarmUp }, clock, logger });
  const warmUps = new WarmUps({ warmer, origins: new Map(), buckets, handOver, clock, logger });
  return { warmUps, clock, logger, fills: () => fills };
}

const plan = {
  source: new PrefixSource("m/", buckets),
  after: "",
  isDryRun: false,
  bytesPerSecond: 5 * MiB,
  pinUntilMs: 77,
};
const never = new AbortController().signal;

const unasked: Answer = () => Promise.reject(new Error("not asked"));
const silent: Answer = (_peer, _warmUp, signal) =>
  new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

function handedOf(index: number): HandedWarmUp {
  return {
    runId: index.toString(16).padStart(32, "0"),
    source: { prefix: "m/" },
    after: "",
    bytesPerSecond: undefined,
    pinUntilMs: 0,
  };
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) await new Promise(setImmediate);
}

/** A chunk in flight until `end` is called, or its signal aborts. */
function inFlight() {
  const ended = Promise.withResolvers<WarmedChunk>();
  let [cut, isOver] = [false, false];
  const fill = (signal: AbortSignal): Promise<WarmedChunk> => {
    signal.addEventListener("abort", () => {
      cut ||= !isOver;
      ended.reject(signal.reason);
    });
    return ended.promise;
  };
  return {
    fill,
    end: () => {
      ended.resolve(held);
      isOver = true;
    },
    isCut: () => cut,
  };
}

test("WarmUps.pause: chunks in flight end, no other begins, and the position that is handed on counts them", async () => {
  const handed: HandedWarmUp[] = [];
  const chunk = inFlight();
  const answer: Answer = async (_peer, warmUp) => {
    handed.push(warmUp);
    return place;
  };
  const { warmUps } = warmUpsOf([memberOf("r1", { address: "10.0.0.1:8444" })], answer, chunk.fill);
  const led = await warmUps.start(async () => plan, never);
  await turns();
  assert.equal(led.document.state, "filling");
  const paused = warmUps.pause();
  await turns();
  await rejectsWith(
    "shutting_down",
    warmUps.start(async () => plan, never),
  );
  chunk.end();
  await paused;
  await turns();
  assert.deepEqual([handed.length, chunk.isCut()], [0, false], "the others must know first that it leaves");
  await warmUps.handOn();
  await led.ended;
  const { run_id: runId, state, continued, reason } = led.document;
  assert.deepEqual([state, reason], ["handed_on", null]);
  assert.deepEqual(continued, { replica_id: "r1", ops: "http://10.0.0.1:8442" });
  assert.deepEqual(handed, [
    { runId, source: { prefix: "m/" }, after: "c", bytesPerSecond: 5 * MiB, pinUntilMs: 77 },
  ]);
  assert.equal(warmUps.running.length, 0);
});

test("WarmUps.pause: a chunk that does not end within 3 s is cut, and its object is not done", async () => {
  const handed: HandedWarmUp[] = [];
  const chunk = inFlight();
  const answer: Answer = async (_peer, warmUp) => {
    handed.push(warmUp);
    return place;
  };
  const { warmUps, clock } = warmUpsOf([memberOf("r1")], answer, chunk.fill);
  await warmUps.start(async () => plan, never);
  await turns();
  const paused = warmUps.pause();
  await turns();
  await clock.advance(2999);
  assert.equal(chunk.isCut(), false);
  await clock.advance(1);
  assert.equal(chunk.isCut(), true);
  await paused;
  await warmUps.handOn();
  assert.equal(handed[0]?.after, "a");
});

test("WarmUps.pause: an origin that does not answer a listing or a look-up holds the stop up for no time", async () => {
  for (const silence of [
    { list: () => new Promise(() => {}) },
    { directory: { originId: "o", lookup: () => new Promise(() => {}) } },
  ]) {
    const handed: HandedWarmUp[] = [];
    const answer: Answer = async (_peer, warmUp) => {
      handed.push(warmUp);
      return place;
    };
    const { warmUps } = warmUpsOf([memberOf("r1")], answer);
    const silentBuckets = new Buckets(
      new Map([["m", Object.assign(Object.create(bucket), silence) as Bucket]]),
    );
    const source = new PrefixSource("m/", silentBuckets);
    const led = await warmUps.start(async () => ({ ...plan, source }), never);
    await turns();
    let isPaused = false;
    void warmUps.pause().then(() => {
      isPaused = true;
    });
    await turns();
    assert.ok(isPaused, Object.keys(silence).join());
    await warmUps.handOn();
    assert.deepEqual([led.document.state, handed.length], ["handed_on", 1]);
  }
});

test("WarmUps.handOn: asks three replicas at most, and fails with the resume id where none takes it", async () => {
  const asked: string[] = [];
  const answer: Answer = async ({ replicaId }) => {
    asked.push(replicaId);
    throw new OrcaError("overloaded", "client", "4 run here");
  };
  const chunk = inFlight();
  const peers = ["r1", "r2", "r3", "r4"].map((id) => memberOf(id));
  const { warmUps } = warmUpsOf(peers, answer, chunk.fill);
  const led = await warmUps.start(async () => plan, never);
  await turns();
  const paused = warmUps.pause();
  chunk.end();
  await paused;
  await warmUps.handOn();
  assert.deepEqual(asked, ["r1", "r2", "r3"]);
  const { state, reason, continued } = led.document;
  assert.deepEqual([state, continued], ["failed", null]);
  assert.equal(reason, "Cannot go on: this replica stops. Resume at another one");
});

test("WarmUps.handOn: replicas that do not answer hold the stop up for 4 s, and a caller that left is not waited for", async () => {
  const caller = new AbortController();
  const chunk = inFlight();
  const { warmUps, clock } = warmUpsOf([memberOf("r1")], silent, chunk.fill);
  const stays = await warmUps.start(async () => plan, never);
  const leaves = await warmUps.start(async () => plan, caller.signal);
  await turns();
  const paused = warmUps.pause();
  chunk.end();
  await paused;
  caller.abort(new Error("it left"));
  let isOver = false;
  const handedOn = warmUps.handOn().then(() => {
    isOver = true;
  });
  await turns();
  await leaves.ended;
  await clock.advance(3999);
  assert.equal(isOver, false);
  await clock.advance(1);
  await handedOn;
  assert.deepEqual([stays.document.state, leaves.document.state], ["failed", "failed"]);
});

test("WarmUps.pause: without another replica, and after a dry run, it ends at once as before", async () => {
  const alone = inFlight();
  const single = warmUpsOf([], unasked, alone.fill);
  const led = await single.warmUps.start(async () => plan, never);
  await turns();
  await single.warmUps.pause();
  assert.deepEqual([alone.isCut(), led.document.state], [true, "failed"]);
});

test("WarmUps.take: goes on under the run id, remembers the last 16 that ended, and a fifth is turned away", async () => {
  const chunk = inFlight();
  const { warmUps, logger } = warmUpsOf([memberOf("r1")], unasked, chunk.fill);
  warmUps.reachedAt(() => place);
  for (let index = 0; index < 4; index += 1) assert.deepEqual(await warmUps.take(handedOf(index)), place);
  assert.deepEqual(await warmUps.take(handedOf(3)), place, "the same one again is no other");
  await rejectsWith("overloaded", warmUps.take(handedOf(4)));
  assert.equal(warmUps.running.length, 4);
  chunk.end();
  await turns();
  for (let index = 4; index < 20; index += 1) {
    await warmUps.take(handedOf(index));
    await turns();
  }
  assert.deepEqual(
    warmUps.ended.map(({ run_id: id, state }) => [Number.parseInt(id, 16), state]),
    Array.from({ length: 16 }, (_, index) => [index + 4, "complete"]),
  );
  assert.equal(logger.events.filter(({ message }) => message.startsWith("A warm-up")).length, 20);
});

test("WarmUps.take: of two questions at once for one run, one begins it", async () => {
  const chunk = inFlight();
  const { warmUps } = warmUpsOf([memberOf("r1")], unasked, chunk.fill);
  const taken = await Promise.allSettled([warmUps.take(handedOf(0)), warmUps.take(handedOf(0))]);
  assert.deepEqual(
    taken.map(({ status }) => status),
    ["fulfilled", "rejected"],
  );
  assert.deepEqual([warmUps.stats.started, warmUps.running.length], [1, 1]);
  for (let index = 1; index < 4; index += 1) await warmUps.take(handedOf(index));
  chunk.end();
});

test("WarmUps.take: a mark that is none of its source is rejected, and so is an unknown bucket", async () => {
  const { warmUps } = warmUpsOf([], unasked);
  const manifest = Buffer.from("s3://m/a\n");
  const handed = { runId: "0".repeat(32), bytesPerSecond: undefined, pinUntilMs: 0 };
  await rejectsWith("invalid_argument", warmUps.take({ ...handed, source: { manifest }, after: "x" }));
  await rejectsWith("no_such_bucket", warmUps.take({ ...handed, source: { prefix: "x/" }, after: "" }));
  assert.equal(warmUps.running.length, 0);
});
