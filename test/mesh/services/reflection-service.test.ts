import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { type Client, Code, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ReflectionService } from "../../../src/mesh/services/reflection-service.ts";
import { meshFixture } from "../../support/mesh-fixture.ts";

type Request = MessageInitShape<typeof ServerReflectionRequestSchema>;

async function reflecting(context: TestContext) {
  const service = new ReflectionService();
  const { serve } = meshFixture(context);
  const { address } = await serve({ routes: (router) => service.route(router) });
  const transport = createGrpcTransport({ baseUrl: `http://${address}`, idleConnectionTimeoutMs: 1 });
  return { service, transport, client: createClient(ServerReflection, transport) };
}

async function* stream(requests: readonly Request[]): AsyncGenerator<Request> {
  yield* requests;
}

async function ask(client: Client<typeof ServerReflection>, ...requests: Request[]) {
  const answers: ServerReflectionResponse[] = [];
  for await (const answer of client.serverReflectionInfo(stream(requests))) answers.push(answer);
  return answers;
}

const symbol = (value: string): Request => ({ messageRequest: { case: "fileContainingSymbol", value } });
const fileNamed = (value: string): Request => ({ messageRequest: { case: "fileByFilename", value } });

/** The files of an answer as descriptors, the requested one first. */
function filesOf(answer: ServerReflectionResponse | undefined): FileDescriptorProto[] {
  assert.ok(answer?.messageResponse.case === "fileDescriptorResponse");
  const { fileDescriptorProto } = answer.messageResponse.value;
  return fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

function errorOf(answer: ServerReflectionResponse | undefined): number {
  assert.ok(answer?.messageResponse.case === "errorResponse");
  return answer.messageResponse.value.errorCode;
}

test("ReflectionService: lists the services of the mesh", async (context) => {
  const { client } = await reflecting(context);
  const [answer] = await ask(client, { host: "h", messageRequest: { case: "listServices", value: "*" } });
  assert.ok(answer?.messageResponse.case === "listServicesResponse");
  assert.deepEqual(
    answer.messageResponse.value.service.map(({ name }) => name),
    [
      "orca.v1.CacheService",
      "orca.v1.FillService",
      "orca.v1.MembershipService",
      "orca.v1.ObjectService",
      "grpc.reflection.v1.ServerReflection",
    ],
  );
  assert.equal(answer.validHost, "h");
  assert.equal(answer.originalRequest?.messageRequest.case, "listServices");
});

test("ReflectionService: a symbol returns its file and all imports, each once", async (context) => {
  const { client, service } = await reflecting(context);
  const expected: readonly (readonly [string, readonly string[]])[] = [
    ["orca.v1.FillService", ["orca/v1/fill.proto", "orca/v1/chunk.proto"]],
    ["orca.v1.FillService.FillChunk", ["orca/v1/fill.proto", "orca/v1/chunk.proto"]],
    ["orca.v1.FillHeader.source", ["orca/v1/fill.proto", "orca/v1/chunk.proto"]],
    ["orca.v1.FillChunkResponse.piece", ["orca/v1/fill.proto", "orca/v1/chunk.proto"]],
    ["orca.v1.ChunkSource", ["orca/v1/fill.proto", "orca/v1/chunk.proto"]],
    ["orca.v1.CHUNK_SOURCE_DISK", ["orca/v1/fill.proto", "orca/v1/chunk.proto"]],
    ["orca.v1.ChunkKey", ["orca/v1/chunk.proto"]],
    ["orca.v1.NotCoordinator", ["orca/v1/errors.proto", "orca/v1/chunk.proto", "orca/v1/membership.proto"]],
    ["grpc.reflection.v1.ServerReflection", ["grpc/reflection/v1/reflection.proto"]],
  ];
  const answers = await ask(client, ...expected.map(([name]) => symbol(name)));
  for (const [index, [name, fileNames]] of expected.entries()) {
    const files = filesOf(answers[index]);
    assert.deepEqual(
      files.map((file) => file.name),
      fileNames,
      name,
    );
    for (const { dependency } of files)
      assert.ok(
        dependency.every((each) => fileNames.includes(each)),
        name,
      );
  }
  assert.deepEqual(service.stats, { requests: expected.length, unanswered: 0 });
});

test("ReflectionService: finds a file by its name; an unknown name is NOT_FOUND, and the stream goes on", async (context) => {
  const { client, service } = await reflecting(context);
  const answers = await ask(
    client,
    fileNamed("orca/v1/nothing.proto"),
    symbol("orca.v1.Nothing"),
    symbol("orca.v1.FillService.Nothing"),
    symbol("FillService"),
    symbol(""),
    {},
    fileNamed("orca/v1/object.proto"),
  );
  assert.deepEqual(
    answers.slice(0, 5).map(errorOf),
    Array.from({ length: 5 }, () => Code.NotFound),
  );
  assert.equal(errorOf(answers[5]), Code.Unimplemented);
  assert.equal(filesOf(answers[6])[0]?.name, "orca/v1/object.proto");
  assert.deepEqual(service.stats, { requests: 7, unanswered: 6 });
});

test("ReflectionService: v1alpha is the same service under its former name", async (context) => {
  const { transport } = await reflecting(context);
  const typeName = "grpc.reflection.v1alpha.ServerReflection";
  const renamed: Transport = {
    unary: () => assert.fail("it is a stream"),
    stream: (method, ...rest) =>
      transport.stream({ ...method, parent: { ...method.parent, typeName } }, ...rest),
  };
  const [answer] = await ask(createClient(ServerReflection, renamed), symbol("orca.v1.ChunkKey"));
  assert.equal(filesOf(answer)[0]?.name, "orca/v1/chunk.proto");
});

test("ReflectionService: names that are too long, and too many requests, end the stream", async (context) => {
  const { client, service } = await reflecting(context);
  const refused = { code: Code.ResourceExhausted };
  await assert.rejects(ask(client, symbol("x".repeat(513))), refused);
  await assert.rejects(ask(client, { ...symbol("x"), host: "h".repeat(513) }), refused);
  assert.equal(service.stats.requests, 0);
  await assert.rejects(ask(client, ...Array.from({ length: 1001 }, () => symbol("x"))), refused);
  assert.deepEqual(service.stats, { requests: 1000, unanswered: 1000 });
});
