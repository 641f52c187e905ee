import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { KiB } from "../../src/base/units.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";

let orca: ReplicaFixture | undefined;

afterEach(async () => {
  await orca?.stop();
  orca = undefined;
});

test("with origin.hedge a GET that the origin is slow to answer is sent again, and its bytes are right", async () => {
  orca = await startReplica({ settings: { origin: { hedge: true } } });
  const { origin, get, metric } = orca;
  const sizeBytes = 64 * KiB;
  const read = async (key: string, seed: number): Promise<void> => {
    origin.put(testBucket, key, { seed, sizeBytes });
    const response = await get(key);
    assert.equal(response.status, 200);
    assertPattern(Buffer.from(await response.arrayBuffer()), seed, 0);
  };
  const hedgesSent = () => metric('orca_origin_hedges_total{origin="test"}');
  // On a busy machine reads are slow by chance, and their hedges take credit: one hedge for twenty requests.
  for (let index = 0; index < 80 || (await hedgesSent()) * 20 > index - 20; index += 1)
    await read(`k${index}`, index);
  const before = await metric('orca_origin_hedges_won_total{origin="test"}');
  origin.faults.next("GET", "slow", { delayHeadMs: 20_000 });
  await read("slow", 1000);
  assert.equal(origin.count("GET", "slow"), 2);
  assert.equal((await metric('orca_origin_hedges_won_total{origin="test"}')) - before, 1);
  const hedges = await hedgesSent();
  const requests = origin.requests.length;
  assert.ok(hedges * 20 <= requests, `${hedges} of ${requests}`);
  assert.deepEqual(orca.logger.count("error"), 0);
});
