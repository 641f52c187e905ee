/** Requests for metadata over real sockets, between an ObjectClient and the service of another replica. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { ObjectService } from "../../../gen/orca/v1/object_pb.ts";
import { nextTurn } from "../../../src/base/clock.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { NotCoordinator } from "../../../src/membership/not-coordinator.ts";
import { fromConnectError } from "../../../src/mesh/codec/connect-error.ts";
import { ObjectClient } from "../../../src/mesh/services/object-client.ts";
import { routeObjects } from "../../../src/mesh/services/object-service.ts";
import { ServiceCalls } from "../../../src/mesh/session/service-calls.ts";
import type {
  ObjectAnswers,
  ObjectName,
  PeerListRequest,
  PeerPartRequest,
} from "../../../src/object/object-peers.ts";
import type { ListPage, ObjectHead } from "../../../src/origin/origin.ts";
import { memberOf } from "../../support/member-of.ts";
import { meshFixture } from "../../support/mesh-fixture.ts";
import { rejectsWith } from "../../support/rejects-with.ts";
import { until } from "../../support/until.ts";

const location = { bucket: "b", key: "dir/k \u{1F40B}" };
const headRequest = { originId: "o", location, staleEtag: "old", contradictedEtag: undefined };
const head: ObjectHead = {
  sizeBytes: 2 ** 40,
  etag: "e",
  lastModifiedMs: 1_700_000_000_000,
  contentType: "text/plain",
  contentEncoding: undefined,
  contentLanguage: undefined,
  contentDisposition: undefined,
  cacheControl: undefined,
  expires: undefined,
  versionId: undefined,
  storageClass: undefined,
  websiteRedirectLocation: undefined,
  metadata: { colour: "grey" },
};
const listRequest: PeerListRequest = {
  originId: "o",
  request: {
    bucket: "b",
    prefix: "dir/",
    delimiter: "",
    maxKeys: 1000,
    continuationToken: "",
    startAfter: "",
  },
};
const emptyPage: ListPage = { objects: [], commonPrefixes: [], nextContinuationToken: "" };

/** A replica whose answers the test sets, and a client that knows it as a member. */
async function served(context: TestContext, answers: Partial<ObjectAnswers>) {
  const mesh = meshFixture(context);
  const calls = new ServiceCalls();
  const told: ObjectAnswers = {
    head: () => Promise.resolve({ head, remainingMs: 0 }),
    part: () => Promise.resolve({ part: { kind: "whole" }, remainingMs: 0 }),
    list: () => Promise.resolve({ page: emptyPage, remainingMs: 0 }),
    invalidate: () => "i",
    ...answers,
  };
  const { address } = await mesh.serve({ routes: (router) => routeObjects(router, told, calls) });
  const peers = mesh.peers();
  const client = new ObjectClient({ peers, clock: mesh.clock, timeoutMs: 400 });
  const raw = createClient(ObjectService, peers.at(address).transport);
  return { ...mesh, calls, client, raw, peer: memberOf("r1", { address }) };
}

/** A page of `count` keys, each of `keyBytes`. */
function pageOf(count: number, keyBytes: number): ListPage {
  const objects = Array.from({ length: count }, (_, index) => ({
    key: String(index).padStart(keyBytes, "k"),
    sizeBytes: index,
    etag: "e".repeat(32),
    lastModifiedMs: 1_700_000_000_000,
  }));
  return { objects, commonPrefixes: [], nextContinuationToken: `after ${count}` };
}

const partRequest: PeerPartRequest = {
  originId: "o",
  request: { ...location, etag: "e-3", objectSizeBytes: 100, partNumber: 2 },
  requestId: "0011AABBCCDDEEFF",
};

test("part: the coordinator's answer has the rest of its time to live, and metadata is not asked for", async (context) => {
  const asked: unknown[] = [];
  const part = { kind: "range", start: 60, end: 90, count: 3 } as const;
  const { client, calls, peer } = await served(context, {
    part: (request) => {
      asked.push(request);
      return Promise.resolve({ part, remainingMs: 1234 });
    },
    head: () => assert.fail("metadata was asked for"),
  });
  assert.deepEqual(await client.part(peer, partRequest), { part, remainingMs: 1234 });
  // Without its own requestIds the service does not take over the caller's.
  const { requestId: _, ...received } = partRequest;
  assert.deepEqual(asked, [received]);
  assert.equal(calls.stats.calls, 1);
});

test("part: the error of a peer is passed on", async (context) => {
  const changed = new OrcaError("origin_etag_changed", "origin", "x");
  const { client, peer } = await served(context, { part: () => Promise.reject(changed) });
  await rejectsWith("origin_etag_changed", client.part(peer, partRequest));
});

test("part: a peer of a version without parts answers with metadata, which is no part, and no absence", async (context) => {
  const mesh = meshFixture(context);
  const { address } = await mesh.serve({
    routes: (router) =>
      router.service(ObjectService, {
        headObject: () => ({ answer: { case: "head", value: { size: 100n, etag: "e-3" } } }),
      }),
  });
  const client = new ObjectClient({ peers: mesh.peers(), clock: mesh.clock, timeoutMs: 400 });
  const error = await rejectsWith("not_held", client.part(memberOf("r1", { address }), partRequest));
  assert.deepEqual([error.isPeerTrouble, error.isPeerAbsence], [true, false]);
});

test("HEAD: the coordinator's answer has the rest of its time to live, and nothing is asked twice", async (context) => {
  const asked: unknown[] = [];
  const { client, calls, peer } = await served(context, {
    head: (request) => {
      asked.push(request);
      return Promise.resolve({ head, remainingMs: 1234.5 });
    },
  });
  assert.deepEqual(await client.head(peer, headRequest), { head, remainingMs: 1234 });
  assert.deepEqual(asked, [headRequest]);
  assert.deepEqual(client.stats, { calls: 1, peerError: 0, unavailable: 0, malformed: 0 });
  assert.deepEqual(calls.stats, { calls: 1, failed: 0, malformed: 0, notCoordinator: 0 });
});

test("HEAD: absence and lasting errors are answers, passing errors of the origin are errors", async (context) => {
  const results: (OrcaError | Error)[] = [
    new OrcaError("no_such_key", "object", "none"),
    new OrcaError("origin_unsupported", "origin", "an append blob"),
  ];
  const throttled = new OrcaError("origin_throttled", "origin", "slow down", { retryAfterSeconds: 30 });
  const { client, peer } = await served(context, {
    head: () => {
      const result = results.shift();
      return result instanceof OrcaError
        ? Promise.resolve({ head: result, remainingMs: 60_000 })
        : Promise.reject(throttled);
    },
  });
  for (const code of ["no_such_key", "origin_unsupported"]) {
    const answer = await client.head(peer, headRequest);
    assert.ok(answer.head instanceof OrcaError);
    assert.deepEqual([answer.head.code, answer.remainingMs], [code, 60_000]);
  }
  const error = await rejectsWith("origin_throttled", client.head(peer, headRequest));
  assert.deepEqual([error.source, error.message, error.retryAfterSeconds], ["origin", "slow down", 30]);
  assert.equal(client.stats.peerError, 1);
});

test("HEAD, LIST: a replica that is not the coordinator names the coordinator and the subject", async (context) => {
  const coordinator = memberOf("r7");
  const refusal = new NotCoordinator("x", coordinator, [coordinator, memberOf("r1")]);
  const { client, calls, peer } = await served(context, {
    head: () => Promise.reject(refusal),
    list: () => Promise.reject(refusal),
  });
  for (const [call, name] of [
    [client.head(peer, headRequest), `o/b/${location.key}`],
    [client.list(peer, listRequest), "o/b/dir/"],
  ] as const) {
    const error = await rejectsWith("not_coordinator", call);
    assert.ok(error instanceof NotCoordinator);
    assert.deepEqual([error.coordinator, error.members], [coordinator, refusal.members]);
    assert.equal(error.message, `Cannot answer for "${name}": "r7" coordinates it`);
  }
  assert.equal(calls.stats.notCoordinator, 2);
});

test("LIST: a page arrives unchanged", async (context) => {
  const page = { ...pageOf(1000, 20), commonPrefixes: ["a/", "b/"] };
  const asked: PeerListRequest[] = [];
  const { client, peer } = await served(context, {
    list: (request) => {
      asked.push(request);
      return Promise.resolve({ page, remainingMs: 5 });
    },
  });
  assert.deepEqual(await client.list(peer, listRequest), { page, remainingMs: 5 });
  assert.deepEqual(asked, [listRequest]);
});

test("LIST: a page that is too large for a message is requested again with half as many keys", async (context) => {
  const asked: number[] = [];
  const { client, peer } = await served(context, {
    list: ({ request }) => {
      asked.push(request.maxKeys);
      return Promise.resolve({ page: pageOf(request.maxKeys, 4096), remainingMs: 5 });
    },
  });
  const { page } = await client.list(peer, listRequest);
  assert.deepEqual(asked, [1000, 500, 250]);
  assert.equal(page.objects.length, 250);
  assert.equal(page.nextContinuationToken, "after 250");
});

test("LIST: a key that is too large for a message is an error on which the caller asks another replica", async (context) => {
  let asked = 0;
  const { client, peer } = await served(context, {
    list: () => {
      asked += 1;
      return Promise.resolve({ page: pageOf(1, 2 ** 21), remainingMs: 5 });
    },
  });
  const error = await rejectsWith("internal", client.list(peer, listRequest));
  assert.match(error.message, /one key of it takes \d+ bytes/);
  assert.equal(asked, 11);
});

test("Invalidate: the service gets the object, and the caller gets the id", async (context) => {
  const names: ObjectName[] = [];
  const { raw, calls } = await served(context, {
    invalidate: (name) => {
      names.push(name);
      return "i-1";
    },
  });
  const object = { originId: "o", bucket: "b", objectKey: location.key };
  assert.equal((await raw.invalidate({ object })).invalidationId, "i-1");
  assert.deepEqual(names, [{ originId: "o", location }]);
  await assert.rejects(raw.invalidate({}), (thrown) => {
    return fromConnectError(thrown, "x").code === "invalid_argument";
  });
  assert.equal(calls.stats.malformed, 1);
});

test("ObjectService: a malformed request is not passed on, and is counted", async (context) => {
  let asked = 0;
  const never = (): never => {
    asked += 1;
    throw new Error("asked");
  };
  const { raw, calls } = await served(context, { head: never, list: never, invalidate: never });
  const object = { originId: "o", bucket: "b", objectKey: "k".repeat(5000) };
  for (const call of [
    raw.headObject({}),
    raw.headObject({ object }),
    raw.listObjects({ originId: "o", bucket: "b", maxKeys: 1001 }),
    raw.listObjects({ bucket: "b", maxKeys: 1 }),
    raw.invalidate({ object }),
  ]) {
    await assert.rejects(call, (thrown) => fromConnectError(thrown, "x").code === "invalid_argument");
  }
  assert.deepEqual([asked, calls.stats.malformed, calls.stats.failed], [0, 5, 0]);
});

test("ObjectClient: an answer that is malformed, late or missing is peer_unavailable", async (context) => {
  const mesh = meshFixture(context);
  const { address } = await mesh.serve({
    routes: (router) =>
      router.service(ObjectService, {
        headObject: () => ({ answer: { case: "head", value: { size: 2n ** 63n, etag: "e" } } }),
        listObjects: () => new Promise(() => undefined),
      }),
  });
  const client = new ObjectClient({ peers: mesh.peers(), clock: mesh.clock, timeoutMs: 400 });
  const peer = memberOf("r1", { address });
  const malformed = await rejectsWith("peer_unavailable", client.head(peer, headRequest));
  assert.match(malformed.message, /^Cannot ask "r1" about ".*": its answer is malformed: .* the size is 92/);
  const late = rejectsWith("peer_unavailable", client.list(peer, listRequest));
  await mesh.clock.advance(400);
  assert.match((await late).message, /no answer within 400 ms/);
  await rejectsWith("peer_unavailable", client.head({ ...peer, address: "127.0.0.1:1" }, headRequest));
  assert.deepEqual(client.stats, { calls: 3, peerError: 0, unavailable: 2, malformed: 1 });
});

test("ObjectClient: a peer that does not know the method yet is peer_unavailable", async (context) => {
  const mesh = meshFixture(context);
  const { address } = await mesh.serve();
  const client = new ObjectClient({ peers: mesh.peers(), clock: mesh.clock });
  await rejectsWith("peer_unavailable", client.head(memberOf("r1", { address }), headRequest));
});

test("routeObjects: pages that are ready together are encoded one in a turn of the event loop", async (context) => {
  const asked = 20;
  const held = Promise.withResolvers<void>();
  let waiting = 0;
  let turn = 0;
  const encodedIn: number[] = [];
  const page: ListPage = {
    objects: [],
    commonPrefixes: [],
    /** Read once to count the bytes of the page, in the turn of all, and once to encode it. */
    get nextContinuationToken() {
      encodedIn.push(turn);
      return "";
    },
  };
  const { client, peer } = await served(context, {
    list: async () => {
      waiting += 1;
      await held.promise;
      return { page, remainingMs: 0 };
    },
  });
  const answers = Array.from({ length: asked }, () => client.list(peer, listRequest));
  await until(() => waiting === asked);
  held.resolve();
  for (; encodedIn.length < 2 * asked; turn += 1) await nextTurn();
  const turns = encodedIn.slice(asked);
  assert.equal(new Set(turns).size, asked, `encoded in turns ${turns.join(" ")}`);
  await Promise.all(answers);
});
