/** Figures over real sockets, between a CacheClient and the service of another replica. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ReplicaFigures } from "../../../src/figures/replica-figures.ts";
import { CacheClient, routeCache } from "../../../src/mesh/services/cache.ts";
import { ServiceCalls } from "../../../src/mesh/session/service-calls.ts";
import { figuresOf, originFigures } from "../../ops/figures/figures-of.ts";
import { memberOf } from "../../support/member-of.ts";
import { meshFixture } from "../../support/mesh-fixture.ts";
import { rejectsWith } from "../../support/rejects-with.ts";

const unasked = () => Promise.reject(new Error("it is not asked"));

async function served(context: TestContext, figures: (historySlotsMax: number) => ReplicaFigures) {
  const mesh = meshFixture(context);
  const nothing = { inspect: () => Promise.resolve(new Uint8Array()) };
  const others = {
    held: nothing,
    explained: { explain: unasked },
    pins: () => {
      throw new Error("it is not asked");
    },
    warmer: { warm: unasked },
    warmUps: { take: unasked },
    purger: { purge: unasked },
    clock: mesh.clock,
    chunkTiers: [],
  };
  const calls = new ServiceCalls();
  const { address } = await mesh.serve({
    routes: (router) => routeCache(router, { ...others, figures }, calls),
  });
  const client = new CacheClient({ peers: mesh.peers(), clock: mesh.clock });
  return { client, peer: memberOf("r1", { address }) };
}

const full = figuresOf("r1", {
  served_bytes: 2 ** 52,
  sources: { memory: { bytes: 1, requests: 2 } },
  first_byte: [{ bound_ms: 0.1, count: 1 }, { count: 2 }],
  tiers: [
    { tier: "memory", chunks: 1, used_bytes: 2, max_bytes: 3, evictions: 4 },
    { tier: "cachestore", chunks: 1, used_bytes: 0, evictions: 0 },
  ],
  origins: [originFigures(3, 4, 0.09)],
  replication: {
    rounds: 1,
    running: true,
    compared: 2,
    missing: 3,
    pulls_waiting: 4,
    pulls_running: 5,
    pulled: 6,
    pulled_bytes: 7,
    failed: 8,
  },
  scrub: { state: "idle", checked_bytes: 0, total_bytes: 1, bad_chunks: 0, next_ms: 5 },
  cachestore: { driver: "s3", breaker: "open", hints: 1, hits: 2, misses: 3, bytes_read: 4, stored: 5 },
  notices: { disk: "it hangs" },
  errors: [{ place: "o", code: "internal", count: 1, last_hour: 1, last_ms: 2 }],
  hot_objects: [{ bucket: "b", key: "k \u{1F40B}", requests: 2, overcount: 1, bytes: 3 }],
  history: { start_ms: 5000, slot_ms: 5000, served_bytes: [1, 0], origin_bytes: [0, 2], requests: [1, 1] },
});

test("Figures: arrive unchanged, with as many slots as were asked for", async (context) => {
  const asked: number[] = [];
  const { client, peer } = await served(context, (slots) => {
    asked.push(slots);
    return full;
  });
  assert.deepEqual(await client.figures(peer, 7), full);
  assert.deepEqual(await client.figures(peer, 720), full);
  assert.deepEqual(asked, [7, 720]);
});

test("Figures: a replica that has done nothing is told as such", async (context) => {
  const { client, peer } = await served(context, () => figuresOf("r1"));
  assert.deepEqual(await client.figures(peer, 1), figuresOf("r1"));
});

for (const [what, changed] of [
  // The JSON of protobuf has these as texts.
  ["a number that is none", { requests: "NaN" as unknown as number }],
  ["a count below 0", { origins: [originFigures(-1, 0, 0)] }],
  ["an endless number", { fills: { flights: "Infinity" as unknown as number, relays: 0 } }],
  ["too many values", { errors: new Array(2000).fill(full.errors[0]) }],
  ["texts that are too long", { notices: { a: "x".repeat(300_000) } }],
] as const) {
  test(`Figures: an answer with ${what} is malformed`, async (context) => {
    const { client, peer } = await served(context, () => ({ ...figuresOf("r1"), ...changed }));
    await rejectsWith("peer_unavailable", client.figures(peer, 1));
    assert.equal(client.stats.malformed, 1);
  });
}
