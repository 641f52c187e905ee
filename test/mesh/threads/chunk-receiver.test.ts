import assert from "node:assert/strict";
import type { ServerHttp2Stream } from "node:http2";
import { type TestContext, test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ChunkSource, FillChunkResponseSchema } from "../../../gen/orca/v1/fill_pb.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import { contentTypeOf, endStreamEnvelope, enveloped } from "../../../src/mesh/fill-chunk/envelope.ts";
import { fillChunkPath } from "../../../src/mesh/fill-chunk/fill-chunk-handler.ts";
import { callsOfThread } from "../../support/chunk-receivers.ts";
import { MemorySink } from "../../support/memory-sink.ts";
import { meshFixture } from "../../support/mesh-fixture.ts";
import { assertPattern, patternBytes } from "../../support/pattern.ts";
import { until } from "../../support/until.ts";

const never = new AbortController().signal;

function message(piece: MessageInitShape<typeof FillChunkResponseSchema>["piece"] & {}): Buffer {
  return enveloped(0, toBinary(FillChunkResponseSchema, create(FillChunkResponseSchema, { piece })));
}
const data = (offset: number, bytes: number): Buffer =>
  message({ case: "data", value: patternBytes(1, offset, bytes) });

/** A read of `lengthBytes` from a peer that sends what the test says, after the header. */
async function readFrom(context: TestContext, lengthBytes: number) {
  const fixture = meshFixture(context);
  const { promise: asked, resolve } = Promise.withResolvers<ServerHttp2Stream>();
  const { address } = await fixture.serve({ handlers: new Map([[fillChunkPath, resolve]]) });
  const sink = new MemorySink(lengthBytes);
  const told: number[] = [];
  sink.onAdvance = (bytes) => told.push(bytes);
  const calls = callsOfThread(context, { clock: fixture.clock, logger: fixture.logger });
  const read = calls.read({ address, request: {}, lengthBytes, headers: {} }, sink, never);
  const stream = await asked;
  stream.respond({ ":status": 200, "content-type": contentTypeOf("connect") });
  const value = { length: BigInt(lengthBytes), source: ChunkSource.DISK };
  stream.write(message({ case: "header", value }));
  const end = async (): Promise<void> => {
    stream.end(Buffer.concat([message({ case: "trailer", value: {} }), endStreamEnvelope(undefined)]));
    assert.equal((await read).source, "disk");
    sink.settle();
    sink.assertUntouched();
    assertPattern(sink.received, 1, 0);
  };
  return { clock: fixture.clock, stream, sink, told, end };
}

test("ChunkReceiver: first bytes are told at once, and what follows in a block after 10 ms", async (context) => {
  const { clock, stream, told, sink, end } = await readFrom(context, 1000);
  stream.write(data(0, 100));
  await until(() => sink.receivedBytes === 100);
  for (const at of [100, 200, 300]) stream.write(data(at, 100));
  // Its bytes arrive at a time of their own, so the clock goes on until they have.
  await until(async () => {
    await clock.advance(10);
    return sink.receivedBytes === 400;
  });
  stream.write(data(400, 600));
  await end();
  assert.deepEqual(told.at(0), 100);
  assert.deepEqual(told.at(-1), 1000);
});

test("ChunkReceiver: a peer that sends fast costs a message for its first bytes and one for each block", async (context) => {
  const { stream, told, end } = await readFrom(context, 4 * MiB);
  for (let at = 0; at < 4 * MiB; at += 64 * KiB) stream.write(data(at, 64 * KiB));
  await end();
  const [first, ...rest] = told;
  assert.ok(first !== undefined && first < MiB, `${first}`);
  assert.deepEqual(rest, [MiB, 2 * MiB, 3 * MiB, 4 * MiB]);
});

test("ChunkReceiver: no timer is left when all bytes are told", async (context) => {
  const { clock, stream, end, sink } = await readFrom(context, 1000);
  stream.write(data(0, 100));
  await until(() => sink.receivedBytes === 100);
  const timers = clock.pendingTimers;
  stream.write(data(100, 100));
  await until(async () => {
    await clock.advance(10);
    return sink.receivedBytes === 200;
  });
  assert.equal(clock.pendingTimers, timers);
  stream.write(data(200, 800));
  await end();
});
