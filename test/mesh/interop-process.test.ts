/** Other tools against a replica's mesh, as a person uses them to debug a fill. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, type TestContext, test } from "node:test";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { NotCoordinatorSchema } from "../../gen/orca/v1/errors_pb.ts";
import { MiB } from "../../src/base/units.ts";
import { NotCoordinator } from "../../src/membership/not-coordinator.ts";
import { FillChunkHandler, fillChunkPath } from "../../src/mesh/fill-chunk/fill-chunk-handler.ts";
import { type ChunkAnswer, FillService } from "../../src/mesh/fill-chunk/fill-service.ts";
import { ReflectionService } from "../../src/mesh/services/reflection-service.ts";
import { ClusterCertificates, serverName } from "../support/cluster-certificates.ts";
import { PatternSlices } from "../support/fill-peer.ts";
import { memberOf } from "../support/member-of.ts";
import { meshFixture } from "../support/mesh-fixture.ts";
import { assertPattern } from "../support/pattern.ts";

const cluster = await ClusterCertificates.create();
after(() => cluster.remove());

const chunkBytes = MiB + 12_345;
const objectBytes = 8 * MiB + chunkBytes;
const seed = 1;

/** A replica with TLS that holds chunk 1 of an object. Another replica coordinates all other chunks. */
async function replica(context: TestContext) {
  const { clock, tls, serve } = meshFixture(context);
  const members = [memberOf("r1"), memberOf("r2", { address: "10.0.0.2:8444" })] as const;
  const service = new FillService({
    answer: ({ key, offset, lengthBytes, cachedOnly }): ChunkAnswer | undefined => {
      const { version, index } = key;
      if (index === 1) {
        const slices = new PatternSlices(seed + offset, lengthBytes, 300_000);
        return { lengthBytes, source: "memory", slices, sha256: async () => Buffer.alloc(32, 7) };
      }
      if (cachedOnly) return undefined;
      throw new NotCoordinator(version.chunkPath(index), members[1], members);
    },
  });
  const handler = new FillChunkHandler({ clock, answer: (request) => service.answer(request) });
  const reflection = new ReflectionService();
  const files = await cluster.files("r1");
  const { server, port } = await serve({
    tls: await tls(files),
    handlers: new Map([[fillChunkPath, (stream, headers) => handler.handle(stream, headers)]]),
    routes: (router) => reflection.route(router),
  });
  return { server, port, files, handler, service, reflection };
}

type Replica = Awaited<ReturnType<typeof replica>>;

function requestOf(chunkIndex: number, more: object = {}): object {
  const chunkKey = { originId: "o", bucket: "b", objectKey: "k", etag: "e", chunkSize: 8 * MiB, chunkIndex };
  return { chunkKey, objectSize: objectBytes, ...more };
}

interface CurlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function bufCurl({ port, files }: Replica, path: string, ...flags: string[]): Promise<CurlResult> {
  const { certFile, keyFile, caFile } = files;
  const identity = ["--cacert", caFile, "--cert", certFile, "--key", keyFile];
  const { promise, resolve } = Promise.withResolvers<CurlResult>();
  const args = ["curl", ...identity, ...flags, `https://127.0.0.1:${port}${path}`];
  execFile("node_modules/.bin/buf", args, { timeout: 30_000, maxBuffer: 16 * MiB }, (error, stdout, stderr) =>
    resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
  );
  return promise;
}

interface Message {
  readonly header?: { readonly length: string; readonly source: string };
  readonly data?: string;
  readonly trailer?: { readonly sha256?: string };
}

/** The messages that buf prints, one JSON value after the other. */
function messagesOf(stdout: string): Message[] {
  return JSON.parse(`[${stdout.trim().replaceAll(/\}\s*\{/g, "},{")}]`) as Message[];
}

const schemas: Readonly<Record<string, readonly string[]>> = {
  "by reflection": [],
  "by reflection v1alpha": ["--reflect-protocol", "grpc-v1alpha"],
  "with --schema": ["--schema", "proto"],
};

for (const [how, flags] of Object.entries(schemas)) {
  for (const protocol of ["connect", "grpc"]) {
    test(`buf curl ${how}, over ${protocol}: reads a chunk with a client certificate`, async (context) => {
      const peer = await replica(context);
      const body = ["--protocol", protocol, "--data", JSON.stringify(requestOf(1))];
      const { code, stdout, stderr } = await bufCurl(peer, fillChunkPath, ...flags, ...body);
      assert.equal(code, 0, stderr);
      const messages = messagesOf(stdout);
      assert.deepEqual(messages.at(0)?.header, { length: String(chunkBytes), source: "CHUNK_SOURCE_MEMORY" });
      assert.equal(messages.at(-1)?.trailer?.sha256, Buffer.alloc(32, 7).toString("base64"));
      const received = Buffer.concat(messages.map(({ data = "" }) => Buffer.from(data, "base64")));
      assert.equal(received.length, chunkBytes);
      assertPattern(received, seed, 0);
      assert.equal(peer.reflection.stats.requests > 0, how.startsWith("by"));
      assert.equal(peer.reflection.stats.unanswered, 0);
      assert.equal(peer.handler.stats.sentBytes, chunkBytes);
    });

    test(`buf curl ${how}, over ${protocol}: prints the coordinator of a chunk, and the view`, async (context) => {
      const peer = await replica(context);
      const body = ["--protocol", protocol, "--data", JSON.stringify(requestOf(0))];
      const { code, stderr } = await bufCurl(peer, fillChunkPath, ...flags, ...body);
      // buf exits with the status code of gRPC, FAILED_PRECONDITION, times eight.
      assert.equal(code, 9 * 8, stderr);
      const shown = JSON.parse(stderr) as ShownError;
      assert.equal(shown.code, "failed_precondition");
      const detail = shown.details.find(({ type }) => type === "orca.v1.NotCoordinator");
      const value = fromBinary(NotCoordinatorSchema, Buffer.from(detail?.value ?? "", "base64"));
      assert.equal(value.coordinator?.address, "10.0.0.2:8444");
      assert.deepEqual(value.members.map(({ replicaId }) => replicaId).toSorted(), ["r1", "r2"]);
      assert.equal(value.objectSize, BigInt(objectBytes));
      // Connect repeats the details for people. gRPC has no field for them.
      const readable = protocol === "connect" ? toJson(NotCoordinatorSchema, value) : undefined;
      assert.deepEqual(detail?.debug, readable);
    });
  }
}

interface ShownError {
  readonly code: string;
  readonly details: readonly { readonly type: string; readonly value: string; readonly debug?: object }[];
}

test("buf curl: cannot connect without a client certificate", async (context) => {
  const { port, files, server } = await replica(context);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const args = ["curl", "--cacert", files.caFile, "--list-services", `https://127.0.0.1:${port}`];
  execFile("node_modules/.bin/buf", args, { timeout: 30_000 }, (error) => resolve(error !== null));
  assert.equal(await promise, true);
  assert.ok(server.handshakeFailures.counts.no_certificate > 0);
  assert.equal(server.stats.requests, 0);
});

test("buf curl: lists the services, and prints the reason for an invalid request", async (context) => {
  const peer = await replica(context);
  const list = await bufCurl(peer, "", "--list-services");
  assert.equal(list.code, 0, list.stderr);
  assert.match(list.stdout, /^orca\.v1\.FillService$/m);
  const data = JSON.stringify(requestOf(1, { offset: chunkBytes }));
  const { code, stderr } = await bufCurl(peer, fillChunkPath, "--data", data);
  // buf curl exits with eight times the Connect code: 11 is out_of_range.
  assert.equal(code, 11 * 8, stderr);
  assert.match(stderr, /offset is 1060921 in a chunk of 1060921 bytes/);
  assert.equal(peer.service.stats.invalid, 1);
});

test("buf curl: with cached_only, a chunk that is not cached is not_found", async (context) => {
  const peer = await replica(context);
  const data = JSON.stringify(requestOf(0, { cachedOnly: true }));
  const { code, stderr } = await bufCurl(peer, fillChunkPath, "--data", data);
  assert.equal(code, 5 * 8, stderr);
  assert.match(stderr, /not_held/);
});

test("grpc-js: reads a chunk with a client certificate, and the NotCoordinator detail", async (context) => {
  const { port, files } = await replica(context);
  const definition = loadSync(["orca/v1/fill.proto", "orca/v1/errors.proto"], {
    includeDirs: ["proto"],
    oneofs: true,
  });
  // The clients of proto-loader have no types.
  const { orca } = grpc.loadPackageDefinition(definition) as unknown as {
    orca: { v1: { FillService: grpc.ServiceClientConstructor } };
  };
  const credentials = grpc.credentials.createSsl(
    readFileSync(files.caFile),
    readFileSync(files.keyFile),
    readFileSync(files.certFile),
  );
  const client = new orca.v1.FillService(`127.0.0.1:${port}`, credentials, {
    "grpc.ssl_target_name_override": serverName,
  });
  context.after(() => client.close());
  const read = async (request: object): Promise<Buffer> => {
    const stream = client["fillChunk"]?.(request) as AsyncIterable<{ piece: string; data: Buffer }>;
    const slices: Buffer[] = [];
    for await (const message of stream) if (message.piece === "data") slices.push(message.data);
    return Buffer.concat(slices);
  };
  const received = await read(requestOf(1, { offset: 100, length: 1000 }));
  assert.equal(received.length, 1000);
  assertPattern(received, seed + 100, 0);
  await assert.rejects(read(requestOf(0)), (thrown: grpc.ServiceError) => {
    assert.equal(thrown.code, grpc.status.FAILED_PRECONDITION);
    const [status] = thrown.metadata.get("grpc-status-details-bin");
    assert.ok(String(status).includes("type.googleapis.com/orca.v1.NotCoordinator"));
    return true;
  });
});
