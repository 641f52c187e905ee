/** InspectObject over real sockets, between a CacheClient and the service of another replica. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { CacheService } from "../../../gen/orca/v1/cache_pb.ts";
import { MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { type CacheAnswers, inspectedChunksMax } from "../../../src/fill/inspection/cache-peers.ts";
import { HeldChunks } from "../../../src/fill/inspection/held-chunks.ts";
import { fromConnectError } from "../../../src/mesh/codec/connect-error.ts";
import { CacheClient, routeCache } from "../../../src/mesh/services/cache.ts";
import { ServiceCalls } from "../../../src/mesh/session/service-calls.ts";
import { memberOf } from "../../support/member-of.ts";
import { meshFixture } from "../../support/mesh-fixture.ts";
import { rejectsWith } from "../../support/rejects-with.ts";

function versionOf(sizeBytes: number): ObjectVersion {
  return new ObjectVersion({
    originId: "o",
    bucket: "b",
    objectKey: "dir/k \u{1F40B}",
    etag: "e",
    sizeBytes,
    chunkSizeBytes: MiB,
  });
}

async function served(context: TestContext, cache: CacheAnswers) {
  const mesh = meshFixture(context);
  const calls = new ServiceCalls();
  const { address } = await mesh.serve({ routes: (router) => routeCache(router, cache, calls) });
  const peers = mesh.peers();
  const client = new CacheClient({ peers, clock: mesh.clock, timeoutMs: 400 });
  const raw = createClient(CacheService, peers.at(address).transport);
  return { ...mesh, calls, client, raw, peer: memberOf("r1", { address }) };
}

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
