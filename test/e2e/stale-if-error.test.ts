/** `metadata.stale_if_error` and `refresh_ahead`, as a client sees them and as the origin is asked. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { KiB } from "../../src/base/units.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { httpGet } from "../support/http-get.ts";
import { assertPattern } from "../support/pattern.ts";
import { startReplica, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

const stalePage = "docs/operations/when-the-store-fails.md#answer-while-the-origin-fails";

async function start(context: TestContext, metadata: object) {
  const clock = new FakeClock();
  const settings = {
    metadata: { ttl: "60s", ...metadata },
    origin: { retry: { attempts: 1 } },
  };
  const fixture = await startReplica({ clock, settings });
  context.after(() => fixture.stop());
  const { origin, get } = fixture;
  origin.put(testBucket, "k", { seed: 1, sizeBytes: 100 * KiB });
  const first = await get("k");
  assertPattern(Buffer.from(await first.arrayBuffer()), 1, 0);
  assert.equal(first.headers.get("age"), null);
  return { ...fixture, clock, etag: first.headers.get("etag") ?? "" };
}

async function head(response: Response): Promise<[number, string | null, string | null]> {
  await response.arrayBuffer();
  const { headers } = response;
  return [response.status, headers.get("cache-status"), headers.get("age")];
}

test("metadata.stale_if_error: cached objects are served while the origin fails, and say that they are old", async (context) => {
  const fixture = await start(context, { stale_if_error: "1h" });
  const { clock, origin, get, endpoint, etag, logger, metric } = fixture;
  origin.faults.always("*", "k", { status: 500 });
  await clock.advance(60_000 + 12_000);
  assert.deepEqual(await head(await get("k")), [200, "orca; fwd=stale; ttl=-12; detail=memory", "72"]);
  const part = await get("k", { Range: "bytes=10-19" });
  assert.deepEqual(await head(part), [206, "orca; fwd=stale; ttl=-12; detail=memory", "72"]);
  const same = await get("k", { "If-None-Match": etag });
  assert.deepEqual(await head(same), [304, "orca; fwd=stale; ttl=-12; detail=directory", "72"]);
  const pinned = await get("k", { "If-Match": etag });
  assert.deepEqual(await head(pinned), [200, "orca; fwd=stale; ttl=-12; detail=memory", "72"]);
  const other = await get("k", { "If-Match": '"another"' });
  assert.deepEqual([other.status, other.headers.get("age")], [502, null]);
  const asked = await fetch(`${endpoint}/${testBucket}/k`, { method: "HEAD" });
  assert.deepEqual(await head(asked), [200, "orca; fwd=stale; ttl=-12; detail=directory", "72"]);
  assert.equal(await metric('orca_directory_stale_answers_total{origin="test"}'), 6);
  const lines = logger.events.filter(({ fields }) => (fields as { see?: string }).see === stalePage);
  assert.deepEqual([lines.length, lines[0]?.level], [1, "warn"]);

  origin.faults.clear();
  origin.put(testBucket, "k", { seed: 2, sizeBytes: 100 * KiB });
  await clock.advance(10_000);
  const fresh = await get("k");
  assert.equal(fresh.headers.get("age"), null);
  assertPattern(Buffer.from(await fresh.arrayBuffer()), 2, 0);
});

test("metadata.stale_if_error: ends with its time, and is off by default", async (context) => {
  for (const [metadata, advanceMs, status] of [
    [{ stale_if_error: "60s" }, 119_999, 200],
    [{ stale_if_error: "60s" }, 120_000, 502],
    [{}, 60_000, 502],
  ] as const) {
    const { clock, origin, get } = await start(context, metadata);
    origin.faults.always("*", "k", { status: 503 });
    await clock.advance(advanceMs);
    const response = await get("k");
    await response.arrayBuffer();
    assert.equal(response.status === 200 ? 200 : 502, status);
  }
});

test("metadata.stale_if_error: what the origin says of an object or of Orca's rights is never hidden", async (context) => {
  for (const status of [403, 404]) {
    const { clock, origin, get } = await start(context, { stale_if_error: "1h" });
    origin.faults.always("*", "k", { status });
    await clock.advance(60_000);
    const expected = status === 404 ? 404 : 502;
    assert.equal((await get("k")).status, expected);
    origin.faults.clear();
    origin.faults.always("*", "k", { status: 500 });
    await clock.advance(60_000);
    assert.equal((await get("k")).status, 502);
  }
});

test("metadata.refresh_ahead: an object in use is asked about once per TTL, and its readers never wait", async (context) => {
  const { clock, origin, endpoint } = await start(context, { refresh_ahead: 0.25 });
  const path = `${endpoint}/${testBucket}/k`;
  origin.forgetRequests();
  const statuses = new Set<string | null>();
  for (let period = 1; period <= 4; period += 1) {
    await clock.advance(45_000);
    for (let reads = 0; reads < 20; reads += 1) {
      const response = await httpGet(path, { "If-None-Match": '"another"' });
      await response.arrayBuffer();
      statuses.add(response.headers.get("cache-status"));
    }
    await until(() => origin.count("HEAD", "k") >= period && origin.inFlight === 0);
  }
  assert.deepEqual([...statuses], ["orca; hit; detail=memory"]);
  assert.deepEqual([origin.count("HEAD", "k"), origin.count("GET", "k")], [4, 0]);
});
