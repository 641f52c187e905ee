/** A peer that takes a request for a copy and sends nothing: what the log says while the pull waits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import type { Keepers } from "../../../src/fill/replication/keepers.ts";
import { Puller } from "../../../src/fill/replication/puller.ts";
import type { StagingStore } from "../../../src/store/disk/staged-chunk.ts";
import { StallWatch } from "../../../src/trace/stalls/stall-watch.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { memberOf } from "../../support/member-of.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";

test("Puller: a range that does not come is told once with its pull, and told when it ends", async () => {
  const [clock, logger] = [new FakeClock(), new RecordedLogger()];
  const stalls = new StallWatch(clock, logger);
  const answer = Promise.withResolvers<never>();
  const peer = memberOf("r2");
  const puller = new Puller({
    store: {
      presence: () => "absent",
      stage: () => ({ stagedBytes: 0, discard: async () => undefined }),
    } as unknown as StagingStore,
    keepers: {
      isKeptHere: () => true,
      isKeptBy: () => true,
      holders: () => [peer],
    } as unknown as Keepers,
    peers: { read: () => answer.promise },
    budget: new MemoryBudget({ maxBytes: 64 * MiB, clock }),
    clock,
    logger,
    stalls,
    settings: { attemptsMax: 1 },
  });
  const lines = (event: string) =>
    logger.events
      .map(({ fields }) => fields as Record<string, unknown>)
      .filter((line) => line["event"] === event);
  const names = { originId: "o", bucket: "b", objectKey: "k", etag: "e" };
  const version = new ObjectVersion({ ...names, sizeBytes: 9 * MiB, chunkSizeBytes: 9 * MiB });
  puller.enqueue({ version, index: 0 });
  await settle();
  await clock.advance(20_000);
  const [line] = lines("call_stalled");
  assert.equal(lines("call_stalled").length, 1);
  assert.deepEqual(
    [line?.["place"], line?.["operation"], line?.["key"], line?.["peer"], line?.["lengthBytes"]],
    ["peer", "pull", "k", "r2", 4 * MiB],
  );
  assert.deepEqual(line?.["stack"], [
    "peer pull",
    "the pull of chunk 0 of b/k to this replica's disk waits for it",
  ]);
  assert.deepEqual([stalls.stats.stalls.peer, stalls.stats.running.peer], [1, 1]);
  answer.reject(new Error("it broke off"));
  await settle();
  assert.deepEqual(
    lines("call_stall_ended").map(({ place, result }) => [place, result]),
    [["peer", "failed"]],
  );
  assert.deepEqual([stalls.stats.running.peer, stalls.callsWatched], [0, 0]);
  await puller.stop();
});
