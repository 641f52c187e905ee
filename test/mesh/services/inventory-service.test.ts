/** Inventory pages over real sockets, between an InventoryClient and the service of another replica. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { FillService } from "../../../gen/orca/v1/fill_pb.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import type { InventoryPage, InventoryRequest } from "../../../src/fill/replication/inventory-peers.ts";
import { InventoryClient } from "../../../src/mesh/services/inventory-client.ts";
import { type InventoryAnswers, routeInventory } from "../../../src/mesh/services/inventory-service.ts";
import { ServiceCalls } from "../../../src/mesh/session/service-calls.ts";
import { memberOf } from "../../support/member-of.ts";
import { meshFixture } from "../../support/mesh-fixture.ts";
import { rejectsWith } from "../../support/rejects-with.ts";

const version = new ObjectVersion({
  originId: "o",
  bucket: "b",
  objectKey: "dir/k \u{1F40B}",
  etag: "e",
  sizeBytes: 20 * MiB + 1,
  chunkSizeBytes: 8 * MiB,
});
const path = version.chunkPath(2);
const request: InventoryRequest = { after: "", chunksMax: 10, keptBy: "r0" };
const page: InventoryPage = { chunks: [{ version, index: 2 }], nextAfter: path, passed: 7, total: 9 };

async function served(context: TestContext, answer: InventoryAnswers["list"]) {
  const mesh = meshFixture(context);
  const calls = new ServiceCalls();
  const { address } = await mesh.serve({
    routes: (router) => routeInventory(router, { list: answer }, calls),
  });
  const peers = mesh.peers();
  const client = new InventoryClient({ peers, clock: mesh.clock });
  const raw = createClient(FillService, peers.at(address).transport);
  return { calls, client, raw, peer: memberOf("r1", { address }) };
}

test("InventoryClient: request and page arrive as they were sent", async (context) => {
  const asked: InventoryRequest[] = [];
  const { client, peer } = await served(context, async (given) => {
    asked.push(given);
    return page;
  });
  const full = { after: path, chunksMax: 10, keptBy: "" };
  for (const each of [request, full]) assert.deepEqual(await client.list(peer, each), page);
  assert.deepEqual(asked, [request, full]);
});

test("InventoryClient: an error keeps its meaning", async (context) => {
  const { client, peer } = await served(context, async () => {
    throw new OrcaError("overloaded", "memory", "Cannot list: too much to do");
  });
  await rejectsWith("overloaded", client.list(peer, request));
});

for (const [fault, message] of [
  ["no chunks are wanted", { pageSize: 0 }],
  ["its token is not a chunk path", { pageSize: 1, pageToken: "somewhere" }],
  ["its token is too long", { pageSize: 1, pageToken: `${"o".repeat(300)}/${"0".repeat(64)}/0` }],
  ["a replica's id is too long", { pageSize: 1, forReplica: "r".repeat(513) }],
] as const) {
  test(`routeInventory: a request is rejected where ${fault}`, async (context) => {
    const { raw, calls } = await served(context, async () => page);
    await assert.rejects(raw.listChunks(message), {
      rawMessage: /Cannot decode a message from a peer/,
    });
    assert.equal(calls.stats.malformed, 1);
  });
}

for (const [fault, answer] of [
  ["a chunk lies outside its object", { ...page, chunks: [{ version, index: 3 }] }],
  ["its token is not a chunk path", { ...page, nextAfter: "somewhere" }],
  ["a count is more than a number holds", { ...page, total: 2 ** 60 }],
] as const) {
  test(`InventoryClient: a page is rejected where ${fault}`, async (context) => {
    const { client, peer } = await served(context, async () => answer);
    await rejectsWith("peer_unavailable", client.list(peer, request));
    assert.equal(client.stats.malformed, 1);
  });
}
