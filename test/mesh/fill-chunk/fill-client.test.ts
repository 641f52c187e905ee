import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { ServerHttp2Stream } from "node:http2";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ChunkSource, FillChunkResponseSchema } from "../../../gen/orca/v1/fill_pb.ts";
import { type ErrorCode, OrcaError } from "../../../src/base/orca-error.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import type { PeerRead, PeerSource } from "../../../src/fill/chunk-peers.ts";
import { NotCoordinator } from "../../../src/membership/not-coordinator.ts";
import { contentTypeOf, endStreamEnvelope, enveloped } from "../../../src/mesh/fill-chunk/envelope.ts";
import { LocalFillCalls } from "../../../src/mesh/fill-chunk/fill-calls.ts";
import { FillChunkHandler, fillChunkPath } from "../../../src/mesh/fill-chunk/fill-chunk-handler.ts";
import { FillClient } from "../../../src/mesh/fill-chunk/fill-client.ts";
import { type ChunkAnswer, FillService } from "../../../src/mesh/fill-chunk/fill-service.ts";
import { FillStreamFault, type FillStreamFaultKind } from "../../../src/mesh/fill-chunk/fill-stream-fault.ts";
import { streamsPerSessionMax } from "../../../src/mesh/session/http2-limits.ts";
import type { StreamHandler } from "../../../src/mesh/session/mesh-server.ts";
import { callsOfThread } from "../../support/chunk-receivers.ts";
import { PatternSlices } from "../../support/fill-peer.ts";
import { memberOf } from "../../support/member-of.ts";
import { MemorySink } from "../../support/memory-sink.ts";
import { type MeshFixture, meshFixture } from "../../support/mesh-fixture.ts";
import { assertPattern, patternBytes } from "../../support/pattern.ts";
import { rejectsWith } from "../../support/rejects-with.ts";
import { until } from "../../support/until.ts";

const version = new ObjectVersion({
  originId: "origin-a",
  bucket: "b",
  objectKey: "dir/ключ",
  etag: "e1",
  sizeBytes: 20 * MiB,
  chunkSizeBytes: 8 * MiB,
  contentCoding: "gzip",
  versionId: "v1",
});

function readOf(fields: Partial<PeerRead> = {}): PeerRead {
  const key = { version, index: 1 };
  return { key, offset: 0, lengthBytes: 1000, passedOver: [], cachedOnly: false, ...fields };
}

const never = new AbortController().signal;

/** Who receives the chunks of a client: the thread that asks, or another one. */
type Way = "here" | "in a thread";

/** A test of what holds whoever receives. */
function eachWay(name: string, run: (context: TestContext, way: Way) => Promise<void>): void {
  for (const way of ["here", "in a thread"] as const)
    test(`${name} (received ${way})`, (context) => run(context, way));
}

function clientOf(context: TestContext, way: Way, { clock, logger, peers }: MeshFixture) {
  const mesh = peers();
  const local = new LocalFillCalls({ peers: mesh, clock });
  const calls = way === "here" ? local : callsOfThread(context, { clock, logger });
  return { mesh, client: new FillClient({ calls }) };
}

/** A client, and a peer whose FillChunk streams `handler` answers. */
async function meshOf(context: TestContext, way: Way, handler: StreamHandler) {
  const fixture = meshFixture(context);
  const { clock, serve } = fixture;
  const { server, address } = await serve({ handlers: new Map([[fillChunkPath, handler]]) });
  return { ...clientOf(context, way, fixture), clock, server, peer: memberOf("r1", { address }) };
}

/** The same with Orca's own handler, and a service over `answer`. */
function answering(context: TestContext, way: Way, answer: (request: PeerRead) => ChunkAnswer | undefined) {
  const { promise, resolve } = Promise.withResolvers<FillChunkHandler>();
  const made = meshOf(context, way, (stream, headers) => {
    void promise.then((handler) => handler.handle(stream, headers));
  });
  const service = new FillService({ answer });
  return made.then((mesh) => {
    resolve(new FillChunkHandler({ clock: mesh.clock, answer: (request) => service.answer(request) }));
    return mesh;
  });
}

function holding(source: PeerSource, sha256?: Uint8Array): (request: PeerRead) => ChunkAnswer {
  return ({ lengthBytes, offset }) => ({
    lengthBytes,
    source,
    slices: new PatternSlices(1 + offset, lengthBytes),
    sha256: async () => sha256,
  });
}

eachWay("FillClient.read: reads the bytes, their source and their digest", async (context, way) => {
  const digest = createHash("sha256").update("chunk").digest();
  const { client, peer } = await answering(context, way, holding("disk", digest));
  const sink = new MemorySink(5 * MiB);
  const end = await client.read(peer, readOf({ lengthBytes: 5 * MiB }), sink, never);
  sink.settle();
  assertPattern(sink.received, 1, 0);
  assert.equal(end.source, "disk");
  assert.deepEqual(Buffer.from(end.sha256 ?? []), digest);
  sink.assertUntouched();
  assert.equal(client.stats.requests, 1);
  assert.equal(client.stats.complete, 1);
  assert.equal(client.stats.receivedBytes, 5 * MiB);
});

eachWay(
  "FillClient.read: returns every source, and undefined for an unknown digest",
  async (context, way) => {
    const sources: PeerSource[] = ["memory", "disk", "flight", "origin", "cachestore"];
    const left = [...sources];
    const { client, peer } = await answering(context, way, (read) =>
      holding(left.shift() as PeerSource)(read),
    );
    for (const source of sources) {
      const end = await client.read(peer, readOf(), new MemorySink(1000), never);
      assert.deepEqual(end, { source, sha256: undefined });
    }
  },
);

eachWay("FillClient.read: the peer receives the request unchanged", async (context, way) => {
  const asked: PeerRead[] = [];
  const { client, peer } = await answering(context, way, (read) => {
    asked.push(read);
    return holding("memory")(read);
  });
  const request = readOf({ offset: 7 * MiB, lengthBytes: 10, passedOver: ["r8", "r9"], cachedOnly: true });
  const sink = new MemorySink(10);
  await client.read(peer, request, sink, never);
  assertPattern(sink.received, 1 + 7 * MiB, 0);
  const [{ key, ...rest } = assert.fail("never asked")] = asked;
  const { key: ours, ...expected } = request;
  assert.deepEqual(rest, expected);
  assert.equal(key.version.memoryKey(key.index), version.memoryKey(ours.index));
  assert.equal(key.version.contentCoding, "gzip");
  assert.equal(key.version.versionId, "v1");
  // A caller that could not reach more replicas than a request can name still gets an answer.
  const many = Array.from({ length: 100 }, (_, index) => `r${index}`);
  await client.read(peer, readOf({ passedOver: many }), new MemorySink(1000), never);
  assert.deepEqual(asked[1]?.passedOver, many.slice(0, 64));
});

eachWay(
  "FillClient.read: throws the peer's error with its code, and counts it by its code",
  async (context, way) => {
    let thrown: Error = new Error("none");
    const { client, peer } = await answering(context, way, () => {
      throw thrown;
    });
    const fails = async (code: ErrorCode): Promise<OrcaError> => {
      thrown = new OrcaError(code, "origin", `Cannot read: ${code}`, { retryAfterSeconds: 7 });
      return rejectsWith(code, client.read(peer, readOf(), new MemorySink(1000), never));
    };
    assert.equal((await fails("origin_throttled")).retryAfterSeconds, 7);
    for (const code of ["origin_etag_changed", "no_such_key", "origin_denied", "overloaded"] as const) {
      assert.equal((await fails(code)).source, "origin");
    }
    for (const code of ["shutting_down", "internal"] as const) await fails(code);
    assert.equal(client.stats.peerError, 7);
    const members = [memberOf("r1"), memberOf("r2")] as const;
    thrown = new NotCoordinator("the chunk", members[1], members);
    const told = await rejectsWith(
      "not_coordinator",
      client.read(peer, readOf(), new MemorySink(1000), never),
    );
    assert.ok(told instanceof NotCoordinator);
    assert.deepEqual(told.coordinator, members[1]);
    assert.deepEqual(told.members.toSorted(byId), members.toSorted(byId));
    assert.equal(client.stats.notCoordinator, 1);
    assert.equal(client.stats.receivedBytes, 0);
  },
);

function byId(left: { replicaId: string }, right: { replicaId: string }): number {
  return left.replicaId < right.replicaId ? -1 : 1;
}

eachWay("FillClient.read: with cachedOnly, a chunk that is not cached is not_held", async (context, way) => {
  const { client, peer } = await answering(context, way, () => undefined);
  const read = client.read(peer, readOf({ cachedOnly: true }), new MemorySink(1000), never);
  await rejectsWith("not_held", read);
  assert.equal(client.stats.notHeld, 1);
});

eachWay(
  "FillClient.read: an origin's error after the first byte is typed, and the sink holds a true prefix",
  async (context, way) => {
    const slices = new PatternSlices(1, 3 * MiB);
    slices.failAt = MiB;
    slices.failure = new OrcaError("origin_unavailable", "origin", "Cannot read: gone");
    const { client, peer } = await answering(context, way, ({ lengthBytes }) => ({
      lengthBytes,
      source: "origin",
      slices,
      sha256: async () => undefined,
    }));
    const sink = new MemorySink(3 * MiB);
    const read = client.read(peer, readOf({ lengthBytes: 3 * MiB }), sink, never);
    await rejectsWith("origin_unavailable", read);
    sink.settle();
    assert.equal(sink.receivedBytes, MiB);
    assertPattern(sink.received, 1, 0);
    assert.equal(client.stats.receivedBytes, MiB);
    assert.ok(slices.closed);
  },
);

function message(piece: MessageInitShape<typeof FillChunkResponseSchema>["piece"] & {}): Buffer {
  return enveloped(0, toBinary(FillChunkResponseSchema, create(FillChunkResponseSchema, { piece })));
}
const header = (length: number): Buffer =>
  message({ case: "header", value: { length: BigInt(length), source: ChunkSource.MEMORY } });
const data = (offset: number, bytes: number): Buffer =>
  message({ case: "data", value: patternBytes(1, offset, bytes) });
const trailer = message({ case: "trailer", value: {} });
const end = endStreamEnvelope(undefined);
const bomb = gzipSync(Buffer.alloc(8 * MiB));

/** Streams that a hostile peer may send, the number of their bytes that count, and the fault. */
const illWilled: Readonly<Record<string, [Buffer[], number, FillStreamFaultKind]>> = {
  "fewer bytes than the request asked for": [[header(999)], 0, "wrong_length"],
  "more bytes than the request asked for": [[header(1001)], 0, "wrong_length"],
  "no bytes": [[header(0), trailer, end], 0, "wrong_length"],
  "fewer bytes than it promised": [[header(1000), data(0, 999), trailer, end], 999, "too_few"],
  "more bytes than it promised": [[header(1000), data(0, 999), data(999, 2), trailer, end], 999, "too_many"],
  "a stream that breaks off": [[header(1000), data(0, 500)], 500, "truncated"],
  "a stream that ends without its trailer": [[header(1000), data(0, 1000), end], 1000, "truncated"],
  "a compressed bomb": [[header(1000), enveloped(1, bomb)], 0, "compressed"],
  "a message of 4 GiB": [[header(1000), Buffer.from([0, 0xff, 0xff, 0xff, 0xff])], 0, "oversize"],
  "data before its header": [[data(0, 10)], 0, "disorder"],
  "two headers": [[header(1000), data(0, 10), header(1000)], 10, "disorder"],
  "no protobuf": [[enveloped(0, Buffer.from("<html>"))], 0, "malformed"],
  "a flood of heartbeats": [[header(1000), data(0, 10), Buffer.alloc(70 * KiB)], 10, "oversize"],
};

for (const [what, [pieces, receivedBytes, kind]] of Object.entries(illWilled)) {
  eachWay(
    `FillClient.read: ${what} is peer_unavailable, counted, and the sink holds a true prefix`,
    async (context, way) => {
      const { client, peer } = await meshOf(context, way, (stream: ServerHttp2Stream) => {
        stream.respond({ ":status": 200, "content-type": contentTypeOf("connect") });
        stream.end(Buffer.concat(pieces));
      });
      const sink = new MemorySink(1000);
      const fault = await rejectsWith("peer_unavailable", client.read(peer, readOf(), sink, never));
      sink.settle();
      assert.ok(fault instanceof FillStreamFault);
      assert.equal(fault.kind, kind, fault.message);
      assert.equal(sink.receivedBytes, receivedBytes);
      assertPattern(sink.received, 1, 0);
      sink.assertUntouched();
      assert.equal(client.stats.broken, 1);
      assert.equal(client.stats.receivedBytes, receivedBytes);
    },
  );
}

eachWay(
  "FillClient.read: an answer that is not Orca's is peer_unavailable, whatever its status",
  async (context, way) => {
    const statuses = [404, 429, 500, 503];
    const left = [...statuses];
    const { client, peer } = await meshOf(context, way, (stream) => {
      const status = left.shift();
      if (status !== undefined) return stream.respond({ ":status": status }, { endStream: true });
      stream.respond({ ":status": 200, "content-type": contentTypeOf("connect") });
      stream.end(endStreamEnvelope(new ConnectError("who are you", Code.Unauthenticated)));
    });
    for (let reads = 0; reads <= statuses.length; reads += 1) {
      await rejectsWith("peer_unavailable", client.read(peer, readOf(), new MemorySink(1000), never));
    }
    assert.equal(client.stats.broken, statuses.length + 1);
  },
);

eachWay("FillClient.read: an unreachable peer is peer_unavailable", async (context, way) => {
  const { client } = clientOf(context, way, meshFixture(context));
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  for (const address of [`127.0.0.1:${port}`, "nowhere"]) {
    const read = client.read(memberOf("r1", { address }), readOf(), new MemorySink(1000), never);
    await rejectsWith("peer_unavailable", read);
  }
  assert.equal(client.stats.unreachable, 2);
});

test("FillClient.read: one stream more than the limit to a peer is peer_unavailable", async (context) => {
  const { client, peer, mesh } = await meshOf(context, "here", () => undefined);
  const opener = await mesh.at(peer.address).bytes();
  for (let streams = 0; streams < streamsPerSessionMax; streams += 1) {
    opener.request({ ":method": "POST", ":path": fillChunkPath });
  }
  await rejectsWith("peer_unavailable", client.read(peer, readOf(), new MemorySink(1000), never));
});

eachWay("FillClient.read: a peer that ignores a request costs one stall deadline", async (context, way) => {
  let swallowed = 0;
  const { client, peer, clock } = await meshOf(context, way, () => void (swallowed += 1));
  let settledMs = Number.NaN;
  const read = client.read(peer, readOf(), new MemorySink(1000), never).finally(() => {
    settledMs = clock.monotonic();
  });
  const refused = rejectsWith("peer_unavailable", read);
  await until(() => swallowed === 1);
  const startMs = clock.monotonic();
  await clock.advance(5000);
  await refused;
  assert.equal(settledMs - startMs, 5000);
  assert.equal(client.stats.broken, 1);
});

eachWay(
  "FillClient.read: a caller that cancels gets its own reason, and the peer releases its slice",
  async (context, way) => {
    const slices = new PatternSlices(1, 3 * MiB);
    const { client, peer } = await answering(context, way, ({ lengthBytes }) => ({
      lengthBytes,
      source: "flight",
      slices,
      sha256: async () => undefined,
    }));
    const abort = new AbortController();
    const sink = new MemorySink(3 * MiB);
    const reason = new Error("enough");
    sink.onAdvance = () => abort.abort(reason);
    const read = client.read(peer, readOf({ lengthBytes: 3 * MiB }), sink, abort.signal);
    await assert.rejects(read, reason);
    sink.settle();
    sink.assertUntouched();
    await assert.rejects(client.read(peer, readOf(), new MemorySink(1000), abort.signal), reason);
    assert.equal(client.stats.abandoned, 2);
    await until(() => slices.closed);
  },
);
