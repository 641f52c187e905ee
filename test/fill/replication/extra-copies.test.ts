/** What becomes of extra copies on a real disk with the real eviction policy, as members come and go. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { KiB } from "../../../src/base/units.ts";
import { AntiEntropy } from "../../../src/fill/replication/anti-entropy.ts";
import { ChunkSurvey } from "../../../src/fill/replication/chunk-survey.ts";
import { Keepers } from "../../../src/fill/replication/keepers.ts";
import { Coordination } from "../../../src/membership/coordination.ts";
import type { Member } from "../../../src/membership/member.ts";
import { chunkFileSize, storedKeyOf } from "../../../src/store/chunk-file/chunk-file.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { DiskFixture, keyOf, newTuned, readChunk } from "../../store/disk/disk-fixture.ts";
import { memberOf } from "../../support/member-of.ts";

const objects = 40;
const debounceMs = 10_000;

function numberedKey(number: number): ChunkKey {
  return keyOf(`key-${1000 + number}`, 64 * KiB);
}

/** A disk that holds 40 chunks and has room for no more, of a replica that is alone until others join. */
async function extraCopiesFixture(context: TestContext) {
  const fixture = new DiskFixture();
  const { clock, logger } = fixture;
  const maxBytes = objects * chunkFileSize(storedKeyOf(numberedKey(0)));
  const disk = await fixture.open({ maxBytes, highWatermark: 1, lowWatermark: 1, policy: newTuned });
  const self = memberOf("r0");
  let live: readonly Member[] = [self];
  const membership = {
    self,
    get live() {
      return live;
    },
    members: () => [...live],
    learn: () => {},
    probeNext: () => {},
  };
  const coordination = new Coordination({ membership, clock });
  const keepers = new Keepers({ coordination, copies: 2 });
  const antiEntropy = new AntiEntropy({
    repairs: { roundBegan() {}, found() {}, roundEnded() {} },
    inventoryPeers: {
      compare: async () => ({
        paths: [],
        chunks: undefined,
        extra: undefined,
        nextAfter: "",
        passed: 0,
        total: 0,
      }),
      nameChunks: async () => [],
    },
    survey: new ChunkSurvey({ store: disk, keepers, coordination, clock }),
    keepers,
    coordination,
    store: disk,
    puller: { enqueue: () => true, isPending: () => false, load: 0, pendingBytes: 0 },
    clock,
    logger,
  });
  antiEntropy.start();
  context.after(async () => {
    await antiEntropy.stop();
    await fixture.close();
  });
  const setPeers = async (...replicaIds: string[]): Promise<void> => {
    const { rounds } = antiEntropy.stats;
    live = [self, ...replicaIds.map((replicaId) => memberOf(replicaId))];
    antiEntropy.membersChanged();
    for (let waits = 0; antiEntropy.stats.rounds === rounds; waits += 1) {
      assert.ok(waits < 10, "a round ends");
      await clock.advance(debounceMs);
    }
  };
  const isExtra = (key: ChunkKey): boolean => !keepers.isKeptHere(key.version.chunkPath(key.index));
  const isHeld = (key: ChunkKey): boolean => disk.presence(key) === "held";
  const keys = Array.from({ length: objects }, (_, number) => numberedKey(number));
  for (const key of keys) assert.equal(await fixture.put(disk, key), "stored");
  /** Chunks that this replica keeps and does not hold yet. */
  const fresh = function* (): Generator<ChunkKey> {
    for (let number = objects; ; number += 1) if (!isExtra(numberedKey(number))) yield numberedKey(number);
  };
  return { fixture, disk, antiEntropy, setPeers, isExtra, isHeld, keys, fresh: fresh() };
}

test("extra copies: under pressure they are evicted before any kept chunk, except one that was used again", async (context) => {
  const { fixture, disk, antiEntropy, setPeers, isExtra, isHeld, keys, fresh } =
    await extraCopiesFixture(context);
  await setPeers("r1", "r2");
  const extra = keys.filter(isExtra);
  const kept = keys.filter((key) => !isExtra(key));
  assert.ok(extra.length > 5 && kept.length > 5);
  assert.equal(antiEntropy.stats.extraCopies, extra.length);
  assert.equal(keys.filter(isHeld).length, objects, "no round deletes anything");
  const [used, ...unused] = extra as [ChunkKey, ...ChunkKey[]];
  assert.ok(await readChunk(disk, used));
  for (let evicted = 1; evicted <= unused.length; evicted += 1) {
    const key = fresh.next().value as ChunkKey;
    assert.equal(await fixture.put(disk, key), "stored");
    kept.push(key);
    assert.equal(
      unused.filter(isHeld).length,
      unused.length - evicted,
      "one extra copy goes for each new chunk",
    );
    assert.deepEqual(
      kept.filter((each) => !isHeld(each)),
      [],
      "and no kept chunk does",
    );
  }
  assert.ok(isHeld(used), "it was used again");
  assert.equal(await fixture.put(disk, fresh.next().value as ChunkKey), "stored");
  assert.equal(kept.filter(isHeld).length, kept.length - 1, "now a kept chunk goes");
});

test("extra copies: those that this replica keeps again are not evicted first any more", async (context) => {
  const { fixture, disk, antiEntropy, setPeers, isExtra, isHeld, keys, fresh } =
    await extraCopiesFixture(context);
  await setPeers("r1", "r2");
  const extra = keys.filter(isExtra);
  await setPeers();
  assert.equal(antiEntropy.stats.extraCopies, 0);
  for (let puts = 0; puts < 10; puts += 1) {
    assert.equal(await fixture.put(disk, fresh.next().value as ChunkKey), "stored");
  }
  assert.deepEqual(
    extra.filter((key) => !isHeld(key)),
    [],
  );
});
