/** Comparisons of disks over real sockets, between an InventoryClient and the service of another replica. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { FillService } from "../../../gen/orca/v1/fill_pb.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import type {
  ComparePage,
  CompareRequest,
  InventoryPage,
  InventoryRequest,
} from "../../../src/fill/replication/inventory-peers.ts";
import { ShelfDigests } from "../../../src/fill/replication/shelf.ts";
import { encodeAnnounced, encodeInventoryPage } from "../../../src/mesh/codec/inventory-codec.ts";
import { InventoryClient } from "../../../src/mesh/services/inventory-client.ts";
import { type InventoryAnswers, routeInventory } from "../../../src/mesh/services/inventory-service.ts";
import { ServiceCalls } from "../../../src/mesh/session/service-calls.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { memberOf } from "../../support/member-of.ts";
import { meshFixture } from "../../support/mesh-fixture.ts";
import { rejectsWith } from "../../support/rejects-with.ts";

const fields = {
  originId: "o",
  bucket: "b",
  objectKey: "dir/k \u{1F40B}",
  etag: "e",
  sizeBytes: 20 * MiB + 1,
  chunkSizeBytes: 8 * MiB,
};
const version = new ObjectVersion(fields);
const path = version.chunkPath(2);
const chunk = { version, index: 2 };

function digestsOf(...paths: string[]): ShelfDigests {
  const digests = new ShelfDigests();
  for (const each of paths) digests.toggle(each);
  return digests;
}

const common = digestsOf(path);
const extra = digestsOf(version.chunkPath(0), version.chunkPath(1));
const request: CompareRequest = { after: "", chunksMax: 200, keptBy: "r0", common, extra: undefined };
const page: ComparePage = { paths: [path], chunks: undefined, extra, nextAfter: path, passed: 7, total: 9 };
const listPage: InventoryPage = { chunks: [chunk], nextAfter: path, passed: 7, total: 9 };

async function served(context: TestContext, answers: Partial<InventoryAnswers>) {
  const mesh = meshFixture(context);
  const calls = new ServiceCalls();
  const inventory: InventoryAnswers = {
    compare: async () => page,
    nameChunks: async () => [chunk],
    list: async () => listPage,
    announced: () => {},
    ...answers,
  };
  const { address } = await mesh.serve({ routes: (router) => routeInventory(router, inventory, calls) });
  const peers = mesh.peers();
  const client = new InventoryClient({ peers, clock: mesh.clock });
  const raw = createClient(FillService, peers.at(address).transport);
  return { calls, client, raw, peer: memberOf("r1", { address }) };
}

test("InventoryClient: request and page arrive as they were sent", async (context) => {
  const asked: CompareRequest[] = [];
  const compare = async (given: CompareRequest) => {
    asked.push(given);
    return page;
  };
  const { client, peer } = await served(context, { compare });
  const next = { ...request, after: path, extra };
  for (const each of [request, next]) assert.deepEqual(await client.compare(peer, each), page);
  assert.deepEqual(asked, [request, next]);
});

test("InventoryClient.nameChunks: the chunks of 128 long paths arrive, without those of an earlier layout", async (context) => {
  const asked: (readonly string[])[] = [];
  const earlier = new ObjectVersion({ ...fields, chunkSizeBytes: 4 * MiB });
  const nameChunks = async (paths: readonly string[]) => {
    asked.push(paths);
    return [chunk, { version: earlier, index: 0 }];
  };
  const { client, peer } = await served(context, { nameChunks });
  const paths = Array.from(
    { length: 128 },
    (_, index) => `${"o".repeat(24)}/${"0".repeat(64)}/${10 ** 12 + index}`,
  );
  assert.deepEqual(await client.nameChunks(peer, paths), [chunk]);
  assert.deepEqual(asked, [paths]);
});

test("InventoryClient.announce: chunks arrive, and a peer of an earlier version is told from one that does not answer", async (context) => {
  const heard: ChunkKey[] = [];
  const { client, raw, calls, peer } = await served(context, {
    announced: (chunks) => void heard.push(...chunks),
  });
  assert.equal(await client.announce(peer, [chunk]), true);
  assert.deepEqual(heard, [chunk]);
  const [listed] = encodeAnnounced([chunk]).chunks ?? [];
  await assert.rejects(raw.announceChunks({ chunks: new Array(129).fill(listed) }), {
    rawMessage: /at most 128 are accepted/,
  });
  assert.equal(calls.stats.malformed, 1);
  const mesh = meshFixture(context);
  const earlier = await mesh.serve({ routes: (router) => router.service(FillService, {}) });
  const other = new InventoryClient({ peers: mesh.peers(), clock: mesh.clock });
  assert.equal(await other.announce(memberOf("r1", { address: earlier.address }), [chunk]), false);
  await rejectsWith("peer_unavailable", other.announce(memberOf("r2", { address: "127.0.0.1:1" }), [chunk]));
});

test("InventoryClient: a peer of an earlier version is asked for its list, and so is this replica by it", async (context) => {
  const mesh = meshFixture(context);
  const asked: string[] = [];
  const { address } = await mesh.serve({
    routes: (router) =>
      router.service(FillService, {
        listChunks: ({ forReplica, pageSize, pageToken }) => {
          asked.push(`${forReplica} ${pageSize} ${pageToken}`);
          return encodeInventoryPage(listPage);
        },
      }),
  });
  const client = new InventoryClient({ peers: mesh.peers(), clock: mesh.clock });
  const answer = await client.compare(memberOf("r1", { address }), { ...request, after: path });
  assert.deepEqual(answer, { ...listPage, paths: [path], chunks: [chunk], extra: undefined });
  assert.deepEqual(asked, [`r0 128 ${path}`]);
  const lists: InventoryRequest[] = [];
  const { raw } = await served(context, {
    list: async (given) => {
      lists.push(given);
      return listPage;
    },
  });
  const { chunks } = await raw.listChunks({ pageSize: 10, pageToken: path, forReplica: "r0" });
  assert.equal(chunks[0]?.chunkKey?.objectKey, version.objectKey);
  assert.deepEqual(lists, [{ after: path, chunksMax: 10, keptBy: "r0" }]);
});

test("InventoryClient: an error keeps its meaning", async (context) => {
  const { client, peer } = await served(context, {
    compare: async () => {
      throw new OrcaError("overloaded", "memory", "Cannot list: too much to do");
    },
  });
  await rejectsWith("overloaded", client.compare(peer, request));
});

const digestBytes = new Uint8Array(ShelfDigests.lengthBytes);
const asked = { pageSize: 1, forReplica: "r0", commonDigests: digestBytes };

for (const [fault, message] of [
  ["no chunks are wanted", { ...asked, pageSize: 0 }],
  ["its token is not a chunk path", { ...asked, pageToken: "somewhere" }],
  ["its token is too long", { ...asked, pageToken: `${"o".repeat(300)}/${"0".repeat(64)}/0` }],
  ["a replica's id is too long", { ...asked, forReplica: "r".repeat(513) }],
  ["no replica asks", { ...asked, forReplica: "" }],
  ["digests are missing", { ...asked, commonDigests: new Uint8Array() }],
  ["digests are too long", { ...asked, extraDigests: new Uint8Array(2056) }],
] as const) {
  test(`routeInventory: a request to compare is rejected where ${fault}`, async (context) => {
    const { raw, calls } = await served(context, {});
    await assert.rejects(raw.compareChunks(message), { rawMessage: /Cannot decode a message from a peer/ });
    assert.equal(calls.stats.malformed, 1);
  });
}

for (const [fault, chunkPaths] of [
  ["names more paths than are accepted", new Array<string>(129).fill("o/0/0").map(() => path)],
  ["names something else", ["../../etc/passwd"]],
] as const) {
  test(`routeInventory: a request that ${fault} is rejected`, async (context) => {
    const { raw, calls } = await served(context, {});
    await assert.rejects(raw.nameChunks({ chunkPaths: [...chunkPaths] }), {
      rawMessage: /Cannot decode a message from a peer/,
    });
    assert.equal(calls.stats.malformed, 1);
  });
}

for (const [fault, message] of [
  ["no chunks are wanted", { pageSize: 0 }],
  ["its token is not a chunk path", { pageSize: 1, pageToken: "somewhere" }],
  ["its token is too long", { pageSize: 1, pageToken: `${"o".repeat(300)}/${"0".repeat(64)}/0` }],
  ["a replica's id is too long", { pageSize: 1, forReplica: "r".repeat(513) }],
] as const) {
  test(`routeInventory: a request is rejected where ${fault}`, async (context) => {
    const { raw, calls } = await served(context, {});
    await assert.rejects(raw.listChunks(message), {
      rawMessage: /Cannot decode a message from a peer/,
    });
    assert.equal(calls.stats.malformed, 1);
  });
}

for (const [fault, answer] of [
  ["a path is none", { ...page, paths: ["somewhere"] }],
  ["its token is not a chunk path", { ...page, nextAfter: "somewhere" }],
  ["a count is more than a number holds", { ...page, total: 2 ** 60 }],
  ["its digests are missing", { ...page, extra: undefined }],
] as const) {
  test(`InventoryClient: a page is rejected where ${fault}`, async (context) => {
    const { client, peer } = await served(context, { compare: async () => answer });
    await rejectsWith("peer_unavailable", client.compare(peer, request));
    assert.equal(client.stats.malformed, 1);
  });
}

test("InventoryClient.nameChunks: an answer with a chunk outside its object is rejected", async (context) => {
  const { client, peer } = await served(context, { nameChunks: async () => [{ version, index: 3 }] });
  await rejectsWith("peer_unavailable", client.nameChunks(peer, [path]));
  assert.equal(client.stats.malformed, 1);
});
