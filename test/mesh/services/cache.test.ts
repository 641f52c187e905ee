/** InspectObject, WarmChunk, PurgeObjects and Pins over real sockets, between a CacheClient and the service of another replica. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { CacheService } from "../../../gen/orca/v1/cache_pb.ts";
import { MiB } from "../../../src/base/units.ts";
import { ObjectVersion, type ObjectVersionFields } from "../../../src/chunk/object-version.ts";
import { type CacheAnswers, inspectedChunksMax } from "../../../src/fill/inspection/cache-peers.ts";
import { HeldChunks } from "../../../src/fill/inspection/held-chunks.ts";
import {
  type HandedWarmUp,
  manifestBytesMax,
  type WarmUpTakers,
} from "../../../src/fill/warming/handed-warm-up.ts";
import type { WarmAnswers } from "../../../src/fill/warming/warm-peers.ts";
import { fromConnectError } from "../../../src/mesh/codec/connect-error.ts";
import { CacheClient, routeCache } from "../../../src/mesh/services/cache.ts";
import { ServiceCalls } from "../../../src/mesh/session/service-calls.ts";
import type {
  ExplainAnswer,
  ExplainAnswers,
  ExplainQuestion,
} from "../../../src/object/explaining/explain-peers.ts";
import type { PurgeAnswers, PurgedReplica } from "../../../src/object/freshness/purge-peers.ts";
import { type PinAnswers, replicaPins } from "../../../src/store/disk/pins/replica-pins.ts";
import { figuresOf } from "../../ops/figures/figures-of.ts";
import { memberOf } from "../../support/member-of.ts";
import { meshFixture } from "../../support/mesh-fixture.ts";
import { rejectsWith } from "../../support/rejects-with.ts";

function versionOf(sizeBytes: number, fields: Partial<ObjectVersionFields> = {}): ObjectVersion {
  return new ObjectVersion({
    originId: "o",
    bucket: "b",
    objectKey: "dir/k \u{1F40B}",
    etag: "e",
    sizeBytes,
    chunkSizeBytes: MiB,
    ...fields,
  });
}

const silent: ExplainAnswers = { explain: () => Promise.reject(new Error("not asked")) };
const unasked: PurgeAnswers = { purge: () => Promise.reject(new Error("not asked")) };
const unpinned: PinAnswers = () => {
  throw new Error("not asked");
};
const notTaken: WarmUpTakers = { take: () => Promise.reject(new Error("not asked")) };
const idle: WarmAnswers = { warm: () => Promise.resolve("held") };

async function served(
  context: TestContext,
  held: CacheAnswers,
  {
    explained = silent,
    warmer = idle,
    purger = unasked,
    pins = unpinned,
    warmUps = notTaken,
  }: {
    explained?: ExplainAnswers;
    warmer?: WarmAnswers;
    purger?: PurgeAnswers;
    pins?: PinAnswers;
    warmUps?: WarmUpTakers;
  } = {},
) {
  const mesh = meshFixture(context);
  const calls = new ServiceCalls();
  const { address } = await mesh.serve({
    routes: (router) =>
      routeCache(
        router,
        {
          held,
          explained,
          pins,
          warmer,
          warmUps,
          purger,
          chunkTiers,
          figures: () => figuresOf("r1"),
          clock: mesh.clock,
        },
        calls,
      ),
  });
  const peers = mesh.peers();
  const client = new CacheClient({ peers, clock: mesh.clock, timeoutMs: 400 });
  const raw = createClient(CacheService, peers.at(address).transport);
  return { ...mesh, calls, client, raw, peer: memberOf("r1", { address }) };
}

const chunkTiers = [{ minObjectSizeBytes: 0, chunkSizeBytes: MiB }];
const nothing = { memory: { peek: () => undefined }, disk: undefined, cachestore: undefined };
const alwaysHeld = (): "held" => "held";
const noFlights = { has: () => false };

test("InspectObject: the version arrives unchanged, and the answer has a byte for each chunk", async (context) => {
  const asked: ObjectVersion[] = [];
  const { client, peer, calls } = await served(context, {
    inspect: (version) => {
      asked.push(version);
      return Promise.resolve(Uint8Array.of(0, 3, 8));
    },
  });
  const version = versionOf(2 * MiB + 1);
  assert.deepEqual([...(await client.inspect(peer, version))], [0, 3, 8]);
  assert.deepEqual(
    asked.map(({ hash, sizeBytes, objectKey }) => [hash, sizeBytes, objectKey]),
    [[version.hash, version.sizeBytes, version.objectKey]],
  );
  assert.deepEqual(calls.stats, { calls: 1, failed: 0, malformed: 0, notCoordinator: 0 });
});

test("InspectObject: an answer holds up to 100,000 chunks, one more is rejected, and an empty object has none", async (context) => {
  const held = new HeldChunks({ ...nothing, disk: { presence: alwaysHeld }, flights: noFlights });
  const { client, peer } = await served(context, held);
  const tiers = await client.inspect(peer, versionOf(inspectedChunksMax * MiB));
  assert.equal(tiers.length, inspectedChunksMax);
  assert.ok(tiers.every((bits) => bits === 2));
  await rejectsWith("invalid_argument", client.inspect(peer, versionOf(inspectedChunksMax * MiB + 1)));
  assert.equal((await client.inspect(peer, versionOf(0))).length, 0);
});

test("InspectObject: a malformed request is not passed on", async (context) => {
  let asked = 0;
  const { raw, calls } = await served(context, {
    inspect: () => {
      asked += 1;
      return Promise.resolve(new Uint8Array());
    },
  });
  const object = { originId: "o", bucket: "b", objectKey: "k" };
  const good = { object, etag: "e", objectSize: 1n, chunkSize: 1n };
  for (const request of [
    {},
    { ...good, object: { ...object, objectKey: "" } },
    { ...good, etag: "" },
    { ...good, chunkSize: 0n },
    { ...good, chunkSize: 2n ** 40n },
    { ...good, objectSize: 2n ** 60n },
  ]) {
    await assert.rejects(
      raw.inspectObject(request),
      (thrown) => fromConnectError(thrown, "x").code === "invalid_argument",
    );
  }
  assert.deepEqual([asked, calls.stats.malformed], [0, 6]);
});

test("CacheClient: an answer of another length, late or missing is peer_unavailable", async (context) => {
  const answers = [Promise.resolve(new Uint8Array(2)), new Promise<Uint8Array>(() => undefined)];
  const { client, clock, peer } = await served(context, {
    inspect: () => answers.shift() ?? Promise.resolve(new Uint8Array()),
  });
  const short = await rejectsWith("peer_unavailable", client.inspect(peer, versionOf(3 * MiB)));
  assert.match(short.message, /reports 2 chunks, the object has 3/);
  const late = rejectsWith("peer_unavailable", client.inspect(peer, versionOf(MiB)));
  await clock.advance(400);
  assert.match((await late).message, /^Cannot ask "r1" what it holds of ".*": no answer within 400 ms/);
  assert.deepEqual(client.stats, { calls: 2, peerError: 0, unavailable: 1, malformed: 1 });
});

test("ExplainObject: question and answer arrive unchanged, also of an object of which nothing is known", async (context) => {
  const asked: ExplainQuestion[] = [];
  const version = { etag: "e", sizeBytes: 3 * MiB, chunkSizeBytes: 2 * MiB };
  let answer: ExplainAnswer = {
    metadata: { state: "fresh", remainingMs: Infinity, version, isAsking: true, request: "GET" },
    origin: { inFlight: 1, inFlightMax: 2, waiting: 3, throttledTo: 1 },
    blocks: Uint8Array.of(3),
  };
  const explains: ExplainAnswers = {
    explain: (question) => {
      asked.push(question);
      return Promise.resolve(answer);
    },
  };
  const { client, peer } = await served(
    context,
    { inspect: () => Promise.reject(new Error()) },
    { explained: explains },
  );
  const location = { bucket: "b", key: "dir/k \u{1F40B}" };
  const place = { originId: "o", bucket: location.bucket, objectKey: location.key };
  const firstBytes = { offset: 0, lengthBytes: MiB, withChecksums: false };
  const question = {
    originId: "o",
    location,
    firstBytes,
    version: new ObjectVersion({ ...place, ...version }),
  };
  assert.deepEqual(await client.explain(peer, { ...question, firstChunk: 1, chunkCount: 1 }), answer);
  assert.equal(asked[0]?.version?.hash, question.version.hash);
  assert.deepEqual([asked[0]?.firstChunk, asked[0]?.chunkCount, asked[0]?.firstBytes], [1, 1, firstBytes]);
  const late = client.explain(peer, { ...question, firstChunk: 0, chunkCount: 2 });
  assert.match((await rejectsWith("peer_unavailable", late)).message, /reports 1 blocks, 3 were asked about/);
  await rejectsWith(
    "invalid_argument",
    client.explain(peer, { ...question, version: undefined, firstChunk: 0, chunkCount: 1 }),
  );
  answer = {
    metadata: { state: "unknown", remainingMs: 0, isAsking: false, request: "HEAD" },
    origin: { inFlight: 0, inFlightMax: 2, waiting: 0 },
    blocks: new Uint8Array(),
  };
  const unknown = { originId: "o", location, firstChunk: 0, chunkCount: 0 };
  assert.deepEqual(await client.explain(peer, unknown), answer);
  assert.deepEqual([asked[2]?.version, asked[2]?.firstBytes], [undefined, undefined]);
});

test("WarmChunk: the chunk arrives unchanged, and every result comes back", async (context) => {
  const asked: unknown[] = [];
  const results = ["held", "filled", "missing", "busy"] as const;
  const { client, peer } = await served(
    context,
    { inspect: () => Promise.resolve(Uint8Array.of()) },
    {
      warmer: {
        warm: ({ version, index }, fills) => {
          asked.push([
            version.hash,
            version.sizeBytes,
            version.contentCoding,
            version.versionId,
            index,
            fills,
          ]);
          return Promise.resolve(results[index] ?? "held");
        },
      },
    },
  );
  const version = versionOf(4 * MiB, { contentCoding: "gzip", versionId: "v1" });
  for (const [index, result] of results.entries())
    assert.equal(
      await client.warm(peer, { version, index }, index > 1, new AbortController().signal),
      result,
    );
  assert.deepEqual(
    asked,
    results.map((_, index) => [version.hash, 4 * MiB, "gzip", "v1", index, index > 1]),
  );
});

test("WarmChunk: the peer is asked for a pin, and tells a look whether there is one", async (context) => {
  const asked: unknown[] = [];
  const results = ["held", "unpinned", "held"] as const;
  const { client, peer } = await served(
    context,
    { inspect: () => Promise.reject(new Error("no")) },
    {
      warmer: {
        warm: ({ index }, _fills, _signal, pinUntilMs) => {
          asked.push(pinUntilMs);
          return Promise.resolve(results[index] ?? "held");
        },
      },
    },
  );
  const version = versionOf(4 * MiB);
  const signal = new AbortController().signal;
  assert.equal(await client.warm(peer, { version, index: 0 }, false, signal, 1234), "held");
  assert.equal(await client.warm(peer, { version, index: 1 }, false, signal, 1234), "unpinned");
  assert.equal(await client.warm(peer, { version, index: 2 }, false, signal), "held");
  assert.deepEqual(asked, [1234, 1234, 0]);
});

test("WarmChunk: a chunk of a size that is not agreed is rejected, because a fill reserves memory for it", async (context) => {
  const { client, peer, calls } = await served(context, { inspect: () => Promise.reject(new Error("no")) });
  const version = versionOf(4 * MiB, { chunkSizeBytes: 2 * MiB });
  const call = client.warm(peer, { version, index: 0 }, true, new AbortController().signal);
  const { message } = await rejectsWith("invalid_argument", call);
  assert.match(message, /chunk_size is 2097152, chunks of such an object have 1048576/);
  assert.equal(calls.stats.malformed, 1);
});

test("WarmChunk: a caller that cancels ends the work of the peer", async (context) => {
  const ended = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const { client, peer } = await served(
    context,
    { inspect: () => Promise.reject(new Error("no")) },
    {
      warmer: {
        warm: (_key, _fills, signal) => {
          begun.resolve();
          const { promise, reject } = Promise.withResolvers<"held">();
          signal.addEventListener("abort", () => {
            reject(signal.reason);
            ended.resolve();
          });
          return promise;
        },
      },
    },
  );
  const stop = new AbortController();
  const call = client.warm(peer, { version: versionOf(MiB), index: 0 }, true, stop.signal);
  await begun.promise;
  stop.abort(new Error("stopped"));
  await assert.rejects(call);
  await ended.promise;
});

test("PurgeObjects: the prefix and its scope arrive unchanged, and so does what was forgotten", async (context) => {
  const asked: unknown[] = [];
  const answers = [
    {
      objects: 3,
      memory: { chunks: 1, bytes: 7 },
      disk: { chunks: 2, bytes: 9 },
      cachestore: { chunks: 4, failed: 1 },
    },
    { objects: 0, memory: { chunks: 0, bytes: 0 }, disk: null, cachestore: null },
    { objects: 0, memory: { chunks: 0, bytes: 0 }, disk: { chunks: 2, bytes: 9 }, cachestore: null },
  ];
  const { client, peer } = await served(
    context,
    { inspect: () => Promise.reject(new Error("no")) },
    { purger: { purge: async (prefix, scope) => answers[asked.push([prefix, scope]) - 1] as PurgedReplica } },
  );
  const place = { originId: "o", bucket: "b", keyPrefix: "dir/", match: "prefix" } as const;
  const one = { ...place, keyPrefix: "", match: "key" } as const;
  const all = { what: "all", cachestore: true } as const;
  const metadata = { what: "metadata", cachestore: false } as const;
  const pins = { what: "pins", cachestore: false } as const;
  const { signal } = new AbortController();
  assert.deepEqual(await client.purge(peer, place, all, signal), answers[0]);
  assert.deepEqual(await client.purge(peer, one, metadata, signal), answers[1]);
  assert.deepEqual(await client.purge(peer, place, pins, signal), answers[2]);
  assert.deepEqual(asked, [
    [place, all],
    [one, metadata],
    [place, pins],
  ]);
});

test("Pins: counts and objects arrive unchanged, and those that do not fit are counted", async (context) => {
  const objects = Array.from({ length: 1500 }, (_, index) => ({
    originId: "o",
    bucket: "b",
    objectKey: `dir/${index} \u{1F40B}`,
    chunks: 2,
    bytes: 10_000 - index,
    untilMs: 1_700_000_000_000 + index,
  }));
  const asked: number[] = [];
  const counts = { count: 3000, countMax: 4000, bytes: 2 ** 50, bytesMax: 2 ** 51 };
  const { client, peer } = await served(
    context,
    { inspect: () => Promise.reject(new Error("no")) },
    {
      pins: (objectsMax) => {
        asked.push(objectsMax);
        return replicaPins({ ...counts, objects: () => objects }, objectsMax);
      },
    },
  );
  const { objects: first, ...all } = await client.pins(peer, 2);
  assert.deepEqual(first, objects.slice(0, 2));
  assert.deepEqual(all, {
    chunks: 3000,
    chunksMax: 4000,
    bytes: 2 ** 50,
    bytesMax: 2 ** 51,
    objectsLeftOff: 1498,
  });
  assert.equal((await client.pins(peer, 1000)).objects.length, 1000);
  assert.deepEqual(asked, [2, 1000]);
});

test("Pins: names that are too long together are left off, so that the answer is a message", async (context) => {
  const objects = Array.from({ length: 1000 }, (_, index) => ({
    originId: "o",
    bucket: "b",
    objectKey: `${String(index).padStart(4, "0")}${"k".repeat(4092)}`,
    chunks: 1,
    bytes: 1,
    untilMs: 1,
  }));
  const counts = { count: 1000, countMax: 1000, bytes: 1000, bytesMax: 1000 };
  const { client, peer } = await served(
    context,
    { inspect: () => Promise.reject(new Error("no")) },
    { pins: (objectsMax) => replicaPins({ ...counts, objects: () => objects }, objectsMax) },
  );
  const shown = await client.pins(peer, 1000);
  // 500 KiB for 1,000 objects, of 4,098 bytes each.
  assert.deepEqual([shown.objects.length, shown.objectsLeftOff], [124, 876]);
});

test("Pins: an answer with more objects than were asked for is malformed", async (context) => {
  const object = { originId: "o", bucket: "b", objectKey: "k", chunks: 1, bytes: 1, untilMs: 1 };
  const { client, peer } = await served(
    context,
    { inspect: () => Promise.reject(new Error("no")) },
    {
      pins: () => ({
        chunks: 2,
        chunksMax: 2,
        bytes: 2,
        bytesMax: 2,
        objects: [object, object],
        objectsLeftOff: 0,
      }),
    },
  );
  const { message } = await rejectsWith("peer_unavailable", client.pins(peer, 1));
  assert.match(message, /names 2 objects, 1 were asked for/);
});

test("TakeWarmUp: a prefix arrives unchanged, and the answer says where people can follow it", async (context) => {
  const taken: HandedWarmUp[] = [];
  const { client, peer } = await served(
    context,
    { inspect: () => Promise.reject(new Error("no")) },
    {
      warmUps: {
        take: async (warmUp) => {
          taken.push(warmUp);
          return { port: 8442, isTls: true };
        },
      },
    },
  );
  const { signal } = new AbortController();
  const warmUp = {
    runId: "0123456789abcdef".repeat(2),
    source: { prefix: "models/dir \u{1F40B}/" },
    after: "dir/k",
    bytesPerSecond: 5 * MiB,
    pinUntilMs: 1_800_000_000_000,
  };
  assert.deepEqual(await client.takeWarmUp(peer, warmUp, signal), { port: 8442, isTls: true });
  const plain = { ...warmUp, source: { prefix: "m/" }, after: "", bytesPerSecond: undefined, pinUntilMs: 0 };
  await client.takeWarmUp(peer, plain, signal);
  assert.deepEqual(taken, [warmUp, plain]);
  const wrong = { ...warmUp, runId: "x" };
  await rejectsWith("invalid_argument", client.takeWarmUp(peer, wrong, signal));
  assert.equal(taken.length, 2);
});

test("TakeWarmUp: a manifest of 8 MiB arrives in parts of one message each, and a longer one does not", async (context) => {
  const taken: HandedWarmUp[] = [];
  const { client, peer, calls } = await served(
    context,
    { inspect: () => Promise.reject(new Error("no")) },
    {
      warmUps: {
        take: async (warmUp) => {
          taken.push(warmUp);
          return { port: 1, isTls: false };
        },
      },
    },
  );
  const manifest = Buffer.alloc(manifestBytesMax, "s3://models/object\n");
  const runId = "a".repeat(32);
  const warmUp = { runId, source: { manifest }, after: "3", bytesPerSecond: undefined, pinUntilMs: 0 };
  const { signal } = new AbortController();
  await client.takeWarmUp(peer, warmUp, signal);
  assert.equal(calls.stats.calls, 16);
  const [arrived] = taken;
  assert.ok(arrived && "manifest" in arrived.source && manifest.equals(arrived.source.manifest));
  assert.equal(arrived.after, "3");
  const longer = { ...warmUp, source: { manifest: Buffer.alloc(manifestBytesMax + 1) } };
  await rejectsWith("invalid_argument", client.takeWarmUp(peer, longer, signal));
  assert.equal(taken.length, 1);
});

test("TakeWarmUp: parts out of order are rejected, four manifests at once are held, and for 30 s", async (context) => {
  const { raw, clock, calls } = await served(
    context,
    { inspect: () => Promise.reject(new Error("no")) },
    { warmUps: { take: async () => ({ port: 1, isTls: false }) } },
  );
  const part = (run: string, manifestOffset: number, bytes = 1) =>
    raw.takeWarmUp({
      runId: run.repeat(32),
      manifestSize: 3,
      manifestOffset,
      manifestPart: new Uint8Array(bytes),
    });
  for (const run of ["a", "b", "c", "d"]) assert.equal((await part(run, 0)).started, false);
  await assert.rejects(part("e", 0), (thrown) => fromConnectError(thrown, "x").code === "overloaded");
  for (const [offset, bytes] of [
    [2, 1],
    [1, 3],
    [1, 0],
  ] as const) {
    const wrong = part("a", offset, bytes);
    await assert.rejects(wrong, (thrown) => fromConnectError(thrown, "x").code === "invalid_argument");
    assert.equal((await part("a", 0)).started, false, "its place is free again");
  }
  assert.equal((await part("a", 1)).started, false);
  assert.equal((await part("a", 2)).started, true);
  assert.equal((await part("e", 0)).started, false);
  await clock.advance(30_000);
  assert.equal((await part("f", 0)).started, false, "the others have waited too long");
  await assert.rejects(part("b", 1), (thrown) => fromConnectError(thrown, "x").code === "invalid_argument");
  assert.equal(calls.stats.malformed, 4);
});
