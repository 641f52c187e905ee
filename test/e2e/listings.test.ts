/** Many listings at once, through a whole replica: what is bounded, and that others are answered meanwhile. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { Gate } from "../support/s3-fault.ts";
import { until } from "../support/until.ts";

let orca: ReplicaFixture | undefined;

afterEach(async () => {
  await orca?.stop();
  orca = undefined;
});

test("listings: 1,300 at once are 4 at the origin, cached HEADs are answered meanwhile, and the rest get SlowDown", async () => {
  orca = await startReplica({
    settings: { list_cache: { max_running: 4, max_bytes: "1MiB" }, origin: { queue_timeout: "60s" } },
  });
  const { endpoint, origin, metric } = orca;
  for (let index = 0; index < 100; index += 1)
    origin.put(testBucket, `k${"x".repeat(200)}${index}`, { seed: 1, sizeBytes: 1 });
  const head = (): Promise<Response> =>
    fetch(`${endpoint}/${testBucket}/k${"x".repeat(200)}1`, { method: "HEAD" });
  assert.equal((await head()).status, 200);
  const gate = new Gate();
  origin.faults.always("LIST", "k", { gate });
  const asked = Array.from({ length: 1300 }, (_, index) =>
    fetch(`${endpoint}/${testBucket}?list-type=2&prefix=k&start-after=${index}`),
  );
  const answered = Promise.all(
    asked.map(async (response) => {
      const { status } = await response;
      await (await response).text();
      return status;
    }),
  );
  await until(() => origin.count("LIST", "k") === 4);
  const headsBefore = origin.count("HEAD");
  for (let time = 0; time < 20; time += 1) assert.equal((await head()).status, 200);
  assert.deepEqual([origin.count("LIST", "k"), origin.count("HEAD")], [4, headsBefore]);
  assert.equal(await metric('orca_listing_running{origin="test"}'), 4);
  // 128 are in progress: 4 run, and the others of them wait for that.
  assert.equal(await metric('orca_listing_waiting{origin="test"}'), 124);
  gate.release();
  const statuses = await answered;
  const served = statuses.filter((status) => status === 200).length;
  assert.equal(served + statuses.filter((status) => status === 503).length, 1300);
  assert.ok(served >= 128 && served <= 1128, `${served} served`);
  assert.equal(origin.count("LIST", "k"), served);
  const bytes = await metric('orca_listing_bytes{origin="test"}');
  assert.ok(bytes > 0 && bytes <= 2 ** 20, `${bytes} bytes`);
});
