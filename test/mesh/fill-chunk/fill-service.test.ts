import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, type ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import fc from "fast-check";
import { ErrorDetailSchema, NotCoordinatorSchema } from "../../../gen/orca/v1/errors_pb.ts";
import {
  ChunkSource,
  FillChunkRequestSchema,
  FillService as FillServiceSchema,
} from "../../../gen/orca/v1/fill_pb.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { GiB, MiB } from "../../../src/base/units.ts";
import type { ChunkTier } from "../../../src/chunk/chunk-layout.ts";
import type { PeerRead, PeerSource } from "../../../src/fill/chunk-peers.ts";
import { toConnectError } from "../../../src/mesh/codec/connect-error.ts";
import { RecentVersions } from "../../../src/mesh/codec/recent-versions.ts";
import type { FillAnswer } from "../../../src/mesh/fill-chunk/fill-chunk-handler.ts";
import { type ChunkAnswers, FillService } from "../../../src/mesh/fill-chunk/fill-service.ts";
import { clusterFixture } from "../../support/cluster-fixture.ts";
import { PatternSlices, Peer } from "../../support/fill-peer.ts";
import { throwsWith } from "../../support/throws-with.ts";
import { until } from "../../support/until.ts";

type Request = MessageInitShape<typeof FillChunkRequestSchema>;

const key = {
  originId: "origin-a",
  bucket: "b",
  objectKey: "dir/k",
  etag: "e1",
  chunkSize: BigInt(8 * MiB),
  chunkIndex: 2n,
};
/** The third and last chunk has 1000 bytes. */
const valid: Request = { chunkKey: key, objectSize: BigInt(16 * MiB + 1000) };

/** Records its requests, and holds every chunk or none. */
class RecordedChunks implements ChunkAnswers {
  readonly reads: PeerRead[] = [];
  source: PeerSource | undefined = "memory";

  answer(request: PeerRead) {
    this.reads.push(request);
    const { lengthBytes } = request;
    if (!this.source) return undefined;
    const slices = new PatternSlices(1, lengthBytes);
    return { lengthBytes, source: this.source, slices, sha256: async () => undefined };
  }
}

function atOnce(answer: FillAnswer | Promise<FillAnswer>): FillAnswer {
  assert.ok(!(answer instanceof Promise), "the engine answers at once");
  return answer;
}

function layoutOf(chunkSizeBytes: number): readonly ChunkTier[] {
  return [{ minObjectSizeBytes: 0, chunkSizeBytes }];
}

function asked(request: Request, chunkTiers?: readonly ChunkTier[]): PeerRead {
  const chunks = new RecordedChunks();
  atOnce(new FillService(chunks, chunkTiers).answer(create(FillChunkRequestSchema, request)));
  assert.equal(chunks.reads.length, 1);
  return chunks.reads[0] as PeerRead;
}

test("FillService.answer: passes the request on unchanged", () => {
  const chunkKey = { ...key, chunkSize: 1000n, chunkIndex: 7n };
  const request = { objectSize: 7600n, offset: 20n, length: 30n, cachedOnly: true, passedOver: ["r1", "r2"] };
  const read = asked({ chunkKey, ...request }, layoutOf(1000));
  const { version, index } = read.key;
  const { originId, bucket, objectKey, etag, sizeBytes, chunkSizeBytes } = version;
  assert.deepEqual([originId, bucket, objectKey, etag], ["origin-a", "b", "dir/k", "e1"]);
  assert.deepEqual([sizeBytes, chunkSizeBytes, index], [7600, 1000, 7]);
  assert.deepEqual([read.offset, read.lengthBytes, read.cachedOnly], [20, 30, true]);
  assert.deepEqual(read.passedOver, ["r1", "r2"]);
});

test("FillService.answer: only the chunk size that the agreed layout gives is accepted", () => {
  const chunks = new RecordedChunks();
  const tiers = [
    { minObjectSizeBytes: 0, chunkSizeBytes: MiB },
    { minObjectSizeBytes: GiB, chunkSizeBytes: 16 * MiB },
  ];
  const service = new FillService(chunks, tiers);
  const answer = (objectSize: number, chunkSize: number) =>
    atOnce(
      service.answer(
        create(FillChunkRequestSchema, {
          chunkKey: { ...key, chunkIndex: 0n, chunkSize: BigInt(chunkSize) },
          objectSize: BigInt(objectSize),
        }),
      ),
    );
  answer(GiB - 1, MiB);
  answer(GiB, 16 * MiB);
  for (const [objectSize, chunkSize] of [
    [GiB - 1, 16 * MiB],
    [GiB, MiB],
    [GiB, GiB],
    [5, 1],
    [5, MiB + 1],
  ] as const) {
    const error = throwsWith("invalid_argument", () => answer(objectSize, chunkSize));
    assert.match(error.message, /chunk_size is \d+, chunks of an object of \d+ bytes have \d+/);
  }
  assert.equal(chunks.reads.length, 2);
  assert.equal(service.stats.invalid, 5);
});

test("FillService.answer: the content coding of the object's metadata is passed on, and unknown from an older replica", () => {
  assert.equal(asked({ ...valid, contentCoding: "gzip" }).key.version.contentCoding, "gzip");
  assert.equal(asked({ ...valid, contentCoding: "" }).key.version.contentCoding, "");
  assert.equal(asked(valid).key.version.contentCoding, undefined);
  for (const versionId of ["v1", "v2", undefined, "v1"])
    assert.equal(asked({ ...valid, ...(versionId && { versionId }) }).key.version.versionId, versionId);
});

test("FillService.answer: a length of 0 means up to the end of the chunk", () => {
  assert.equal(asked(valid).lengthBytes, 1000);
  assert.equal(asked({ ...valid, offset: 999n }).lengthBytes, 1);
  assert.equal(asked({ ...valid, chunkKey: { ...key, chunkIndex: 0n } }).lengthBytes, 8 * MiB);
});

test("FillService.answer: every source has its ChunkSource", () => {
  const chunks = new RecordedChunks();
  const service = new FillService(chunks);
  const request = create(FillChunkRequestSchema, valid);
  const expected: [PeerSource, ChunkSource][] = [
    ["memory", ChunkSource.MEMORY],
    ["disk", ChunkSource.DISK],
    ["flight", ChunkSource.FLIGHT],
    ["origin", ChunkSource.ORIGIN],
    ["cachestore", ChunkSource.CACHESTORE],
  ];
  for (const [source, chunkSource] of expected) {
    chunks.source = source;
    assert.equal(atOnce(service.answer(request)).source, chunkSource);
  }
});

test("FillService.answer: a chunk that is not held is not_held, and counted", () => {
  const chunks = new RecordedChunks();
  chunks.source = undefined;
  const service = new FillService(chunks);
  throwsWith("not_held", () =>
    service.answer(create(FillChunkRequestSchema, { ...valid, cachedOnly: true })),
  );
  assert.deepEqual(service.stats, { invalid: 0, notHeld: 1 });
});

const huge = 2n ** 64n - 1n;
const malformed: Readonly<Record<string, Request>> = {
  "no chunk": { objectSize: 10n },
  "no origin": { ...valid, chunkKey: { ...key, originId: "" } },
  "no bucket": { ...valid, chunkKey: { ...key, bucket: "" } },
  "no key": { ...valid, chunkKey: { ...key, objectKey: "" } },
  "no ETag": { ...valid, chunkKey: { ...key, etag: "" } },
  "an origin of 65 bytes": { ...valid, chunkKey: { ...key, originId: "o".repeat(65) } },
  "a bucket of 256 bytes": { ...valid, chunkKey: { ...key, bucket: "é".repeat(128) } },
  "a key of 4098 bytes": { ...valid, chunkKey: { ...key, objectKey: "é".repeat(2049) } },
  "an ETag of 1025 bytes": { ...valid, chunkKey: { ...key, etag: "e".repeat(1025) } },
  "chunks of no bytes": { ...valid, chunkKey: { ...key, chunkSize: 0n } },
  "chunks of more than 1 GiB": { ...valid, chunkKey: { ...key, chunkSize: BigInt(GiB) + 1n } },
  "a negative chunk size": { ...valid, chunkKey: { ...key, chunkSize: huge } },
  "a chunk after the end": { ...valid, chunkKey: { ...key, chunkIndex: 3n } },
  "a negative chunk": { ...valid, chunkKey: { ...key, chunkIndex: huge } },
  "the largest chunk index": { ...valid, chunkKey: { ...key, chunkIndex: 2n ** 53n - 1n } },
  "an empty object": { ...valid, objectSize: 0n, chunkKey: { ...key, chunkIndex: 0n } },
  "an object that ends where the chunk begins": { ...valid, objectSize: BigInt(16 * MiB) },
  "a negative object": { ...valid, objectSize: huge },
  "an object of 2^53 bytes": { ...valid, objectSize: 2n ** 53n },
  "a negative offset": { ...valid, offset: huge },
  "a content coding of 129 bytes": { ...valid, contentCoding: "x".repeat(129) },
  "an empty version id": { ...valid, versionId: "" },
  "a version id with a line feed": { ...valid, versionId: "a\nb" },
  "a negative length": { ...valid, length: huge },
  "65 unreachable replicas": { ...valid, passedOver: Array.from({ length: 65 }, (_, n) => `r${n}`) },
  "an unreachable replica without a name": { ...valid, passedOver: [""] },
  "an unreachable replica whose id has 513 bytes": { ...valid, passedOver: ["r".repeat(513)] },
};

const outOfRange: Readonly<Record<string, Request>> = {
  "an offset at the end": { ...valid, offset: 1000n },
  "an offset after the end": { ...valid, offset: 2n ** 53n - 1n },
  "one byte too many": { ...valid, offset: 10n, length: 991n },
};

for (const [what, request] of Object.entries(outOfRange)) {
  test(`FillService.answer: ${what} is out of range, counted, and not passed on`, () => {
    const chunks = new RecordedChunks();
    const service = new FillService(chunks);
    throwsWith("invalid_range", () => service.answer(create(FillChunkRequestSchema, request)));
    assert.equal(toConnectError(new OrcaError("invalid_range", "mesh", "x")).code, Code.OutOfRange);
    assert.deepEqual([service.stats.invalid, chunks.reads.length], [1, 0]);
  });
}

for (const [what, request] of Object.entries(malformed)) {
  test(`FillService.answer: ${what} is invalid_argument, counted, and not passed on`, () => {
    const chunks = new RecordedChunks();
    const service = new FillService(chunks);
    throwsWith("invalid_argument", () => service.answer(create(FillChunkRequestSchema, request)));
    assert.deepEqual(service.stats, { invalid: 1, notHeld: 0 });
    assert.equal(chunks.reads.length, 0);
  });
}

test("FillService.answer: whatever the numbers are, a range that is passed on is in a chunk, and the chunk is in its object", () => {
  const anyNumber = fc.oneof(
    fc.bigInt({ min: 0n, max: 40n }),
    fc.bigInt({ min: 2n ** 53n - 3n, max: 2n ** 53n + 3n }),
    fc.bigInt({ min: 0n, max: huge }),
  );
  fc.assert(
    fc.property(fc.tuple(anyNumber, anyNumber, anyNumber, anyNumber, anyNumber), (numbers) => {
      const [chunkSize, chunkIndex, objectSize, offset, length] = numbers;
      const chunks = new RecordedChunks();
      const agreed = chunkSize > 0n && chunkSize < 2n ** 53n ? Number(chunkSize) : 1;
      const service = new FillService(chunks, layoutOf(agreed));
      const chunkKey = { ...key, chunkSize, chunkIndex };
      const request = create(FillChunkRequestSchema, { chunkKey, objectSize, offset, length });
      const inside =
        [chunkIndex, objectSize, offset].every((number) => number < 2n ** 53n) &&
        chunkSize > 0n &&
        chunkSize <= BigInt(GiB) &&
        chunkIndex * chunkSize < objectSize;
      const left = objectSize - chunkIndex * chunkSize;
      const chunkBytes = left < chunkSize ? left : chunkSize;
      const isNumber = length < 2n ** 53n;
      if (!inside || offset >= chunkBytes || offset + length > chunkBytes) {
        const isOutOfRange = inside && (offset >= chunkBytes || isNumber);
        throwsWith(isOutOfRange ? "invalid_range" : "invalid_argument", () => service.answer(request));
        return;
      }
      atOnce(service.answer(request));
      const { lengthBytes } = chunks.reads[0] as PeerRead;
      assert.equal(BigInt(lengthBytes), length === 0n ? chunkBytes - offset : length);
    }),
    { numRuns: 1000 },
  );
});

test("FillService.answer: over a connection, a malformed request gets a typed error, and the next one is answered", async () => {
  const chunks = new RecordedChunks();
  const service = new FillService(chunks);
  await using peer = await Peer.ours((request) => service.answer(request));
  const client = createClient(
    FillServiceSchema,
    createConnectTransport({ baseUrl: peer.url, httpVersion: "2" }),
  );
  const read = async (request: Request): Promise<number> => {
    let bytes = 0;
    for await (const { piece } of client.fillChunk(request)) {
      if (piece.case === "data") bytes += piece.value.length;
    }
    return bytes;
  };
  for (const [what, request] of Object.entries(malformed)) {
    await assert.rejects(read(request), (thrown: ConnectError) => {
      assert.equal(thrown.code, Code.InvalidArgument, what);
      assert.equal(thrown.findDetails(ErrorDetailSchema)[0]?.code, "invalid_argument");
      return true;
    });
  }
  assert.equal(service.stats.invalid, Object.keys(malformed).length);
  assert.equal(chunks.reads.length, 0);
  assert.equal(await read(valid), 1000);
});

test("FillService.answer: another object_size than that of the held chunk is another object, of which nothing is held", async () => {
  const { replicas, origin, version } = clusterFixture({ replicas: 1, chunkSizeBytes: MiB });
  const [replica] = replicas;
  assert.ok(replica);
  const service = new FillService(replica.server, layoutOf(MiB));
  const request = (objectSize: number): Request => ({
    chunkKey: {
      originId: origin.id,
      bucket: "b",
      objectKey: "k",
      etag: "v1",
      chunkSize: BigInt(MiB),
      chunkIndex: 2n,
    },
    objectSize: BigInt(objectSize),
    cachedOnly: true,
  });
  const answer = (objectSize: number) =>
    atOnce(service.answer(create(FillChunkRequestSchema, request(objectSize))));
  origin.auto = true;
  const fill = create(FillChunkRequestSchema, { ...request(3 * MiB), cachedOnly: false });
  const { slices } = atOnce(service.answer(fill));
  assert.equal(slices.take(), null);
  await slices.ready();
  slices.close();
  await until(() => replica.memory.peek(version("k", 3 * MiB).memoryKey(2)) !== undefined);
  answer(3 * MiB).slices.close();
  throwsWith("not_held", () => answer(3 * MiB - 1));
  throwsWith("not_held", () => answer(4 * MiB));
  assert.equal(origin.reads.length, 1);
});

test("FillService.answer: for another replica's chunk the answer names that replica, the view and the chunk", async () => {
  const { replicas, ranked, version, members } = clusterFixture({ chunkSizeBytes: MiB });
  const of = version("k", 3 * MiB);
  const [coordinator, other] = ranked(of, 1);
  assert.ok(coordinator && other && replicas.length === 3);
  const service = new FillService(other.server, layoutOf(MiB));
  await using peer = await Peer.ours((request) => service.answer(request));
  const client = createClient(
    FillServiceSchema,
    createConnectTransport({ baseUrl: peer.url, httpVersion: "2" }),
  );
  const chunkKey = { originId: of.originId, bucket: "b", objectKey: "k", etag: "v1" };
  const request: Request = {
    chunkKey: { ...chunkKey, chunkSize: BigInt(MiB), chunkIndex: 1n },
    objectSize: BigInt(3 * MiB),
  };
  await assert.rejects(
    async () => {
      for await (const message of client.fillChunk(request)) assert.fail(String(message.piece.case));
    },
    (thrown: ConnectError) => {
      assert.equal(thrown.code, Code.FailedPrecondition);
      const [detail] = thrown.findDetails(NotCoordinatorSchema);
      assert.equal(detail?.coordinator?.replicaId, coordinator.id);
      assert.equal(detail?.members.length, members.length);
      assert.equal(detail?.chunkKey?.objectKey, "k");
      assert.equal(detail?.chunkKey?.chunkIndex, 1n);
      assert.equal(detail?.objectSize, BigInt(3 * MiB));
      return true;
    },
  );
});

const fields = {
  originId: "o",
  bucket: "b",
  objectKey: "k",
  etag: "e",
  sizeBytes: 100,
  chunkSizeBytes: 10,
};

test("RecentVersions.of: hashes the same fields once, and other fields are another version", () => {
  const versions = new RecentVersions();
  const first = versions.of(fields);
  assert.equal(versions.of({ ...fields }), first);
  const others = [
    { ...fields, originId: "p" },
    { ...fields, bucket: "c" },
    { ...fields, objectKey: "l" },
    { ...fields, etag: "f" },
    { ...fields, sizeBytes: 101 },
    { ...fields, chunkSizeBytes: 11 },
  ];
  for (const other of others) {
    const version = versions.of(other);
    assert.notEqual(version, first);
    for (const [field, value] of Object.entries(other)) assert.equal(Reflect.get(version, field), value);
  }
});

test("RecentVersions.of: evicts the oldest first, and keeps no more than allowed", () => {
  const versions = new RecentVersions(2);
  const first = versions.of(fields);
  const second = versions.of({ ...fields, objectKey: "l" });
  versions.of({ ...fields, objectKey: "m" });
  assert.equal(versions.of({ ...fields, objectKey: "l" }), second);
  assert.notEqual(versions.of(fields), first);
});
