/** How long parts of a manifest are held, and how many of which peer. cache.test.ts sends them over the mesh. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { TakeWarmUpRequestSchema } from "../../../gen/orca/v1/cache_pb.ts";
import type { HandedWarmUp } from "../../../src/fill/warming/handed-warm-up.ts";
import { WarmUpParts } from "../../../src/mesh/codec/warm-up-parts.ts";
import { FakeClock } from "../../support/fake-clock.ts";

test("WarmUpParts.add: a manifest whose next part does not come in 30 s is dropped, though nobody sends another", async () => {
  const clock = new FakeClock();
  const parts = new WarmUpParts(clock);
  const add = (manifestOffset: number): HandedWarmUp | undefined =>
    parts.add(
      create(TakeWarmUpRequestSchema, {
        runId: "a".repeat(32),
        manifestSize: 3,
        manifestOffset,
        manifestPart: new Uint8Array(1),
      }),
      "10.0.0.1",
    );
  add(0);
  await clock.advance(29_999);
  add(1);
  await clock.advance(29_999);
  assert.equal(clock.pendingTimers, 1, "the second part has restarted the time");
  await clock.advance(1);
  assert.equal(clock.pendingTimers, 0);
  assert.throws(() => add(2), /does not follow/);
  for (const offset of [0, 0, 1]) assert.equal(add(offset), undefined);
  assert.ok(add(2));
  assert.equal(clock.pendingTimers, 0, "one that is whole holds no timer");
  add(0);
  assert.throws(() => add(2), /does not follow/);
  assert.equal(clock.pendingTimers, 0, "nor does one that is wrong");
});

test("WarmUpParts.add: a peer that holds all places leaves one to each other peer, and no more", () => {
  const clock = new FakeClock();
  const parts = new WarmUpParts(clock);
  const add = (run: number, peer: string, manifestOffset = 0): HandedWarmUp | undefined =>
    parts.add(
      create(TakeWarmUpRequestSchema, {
        runId: `${run}`.padStart(32, "0"),
        manifestSize: 2,
        manifestOffset,
        manifestPart: new Uint8Array(1),
      }),
      peer,
    );
  for (let run = 0; run < 4; run += 1) add(run, "10.0.0.1");
  assert.throws(() => add(4, "10.0.0.1"), { code: "overloaded" });
  for (const peer of [2, 3, 4]) {
    add(10 + peer, `10.0.0.${peer}`);
    assert.throws(() => add(4, "10.0.0.1"), { code: "overloaded" });
  }
  assert.equal(clock.pendingTimers, 4, "those that made room hold no timer");
  assert.throws(() => add(15, "10.0.0.5"), { code: "overloaded" });
  assert.throws(() => add(0, "10.0.0.1", 1), /does not follow/, "the oldest made room");
  assert.ok(add(3, "10.0.0.1", 1));
  for (const peer of [3, 4]) assert.ok(add(10 + peer, `10.0.0.${peer}`, 1));
});
