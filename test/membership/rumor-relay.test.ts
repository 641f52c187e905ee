import assert from "node:assert/strict";
import { test } from "node:test";
import type { Rumor } from "../../src/membership/rumor.ts";
import { RumorRelay } from "../../src/membership/rumor-relay.ts";
import { defaultSwimSettings } from "../../src/membership/swim-settings.ts";
import { SimulatedClock } from "../support/simulated-clock.ts";

function invalidation(id: string, sizeBytes = 100): Rumor {
  return {
    kind: "invalidation",
    id,
    sizeBytes,
    body: { originId: "o", bucket: "b", objectKey: id, staleEtag: "" },
  };
}

function relayOf(rumorsQueuedMax = 4): { relay: RumorRelay; clock: SimulatedClock; heard: string[] } {
  const clock = new SimulatedClock();
  const relay = new RumorRelay(clock, { ...defaultSwimSettings, rumorsQueuedMax }, () => {});
  const heard: string[] = [];
  relay.listen("invalidation", ({ objectKey }) => heard.push(objectKey));
  return { relay, clock, heard };
}

test("RumorRelay.hear: listeners get a rumor once, and it is queued for others", () => {
  const { relay, heard } = relayOf();
  relay.hear([invalidation("x"), invalidation("x")]);
  relay.hear([invalidation("x")]);
  assert.deepEqual(heard, ["x"]);
  assert.deepEqual(relay.stats, { published: 0, heard: 1, repeated: 2, oversize: 0 });
  assert.equal(relay.take(1).length, 1);
  assert.equal(relay.waiting, 0);
});

test("RumorRelay.publish: the publisher's listeners do not get the rumor, not even when it returns", () => {
  const { relay, heard } = relayOf();
  relay.publish(invalidation("x"));
  relay.hear([invalidation("x")]);
  assert.deepEqual(heard, []);
  assert.equal(relay.waiting, 1);
});

test("RumorRelay.listen: an unsubscribed listener gets nothing", () => {
  const { relay, heard } = relayOf();
  const ids: string[] = [];
  const end = relay.listen("invalidation", ({ objectKey }) => ids.push(objectKey));
  relay.hear([invalidation("x")]);
  end();
  relay.hear([invalidation("y")]);
  assert.deepEqual([ids, heard], [["x"], ["x", "y"]]);
});

test("RumorRelay.hear: the same id counts again after a minute", async () => {
  const { relay, clock, heard } = relayOf();
  relay.hear([invalidation("x")]);
  await clock.advance(60_001);
  relay.hear([invalidation("x")]);
  assert.deepEqual(heard, ["x", "x"]);
});

test("RumorRelay: a flood fills neither the queue nor the remembered ids beyond their limits", () => {
  const { relay, heard } = relayOf(4);
  for (let index = 0; index < 100; index += 1) relay.hear([invalidation(`x${index}`)]);
  assert.equal(relay.waiting, 4);
  assert.equal(relay.dropped, 96);
  assert.equal(heard.length, 100);
  // 16 are remembered, so the last ids are known and the first are new again.
  relay.hear([invalidation("x99"), invalidation("x0")]);
  assert.equal(heard.length, 101);
});

test("RumorRelay.take: invalidations go before announcements, and a rumor too large for any message is not sent", () => {
  const { relay } = relayOf();
  const body = {
    originId: "o",
    bucket: "b",
    objectKey: "k",
    etag: "e",
    chunkSizeBytes: 8,
    chunkIndex: 0,
    objectSizeBytes: 8,
  };
  relay.publish({ kind: "announcement", id: "a", sizeBytes: 100, body });
  relay.publish(invalidation("x"));
  relay.publish(invalidation("huge", defaultSwimSettings.gossipBytesMax));
  assert.deepEqual(
    relay.take(1).map(({ id }) => id),
    ["x", "a"],
  );
  assert.equal(relay.stats.oversize, 1);
});
