import assert from "node:assert/strict";
import type { ClientHttp2Stream } from "node:http2";
import { Duplex } from "node:stream";
import { type TestContext, test } from "node:test";
import { SystemClock } from "../../../src/base/clock.ts";
import { MiB } from "../../../src/base/units.ts";
import { callFillChunk } from "../../../src/mesh/fill-chunk/fill-chunk-call.ts";
import {
  defaultFillTimings,
  FillChunkHandler,
  fillChunkPath,
} from "../../../src/mesh/fill-chunk/fill-chunk-handler.ts";
import type { StreamOpener } from "../../../src/mesh/session/peer-session.ts";
import { ClusterCertificates } from "../../support/cluster-certificates.ts";
import { answerOf, anyRequest, PatternSlices } from "../../support/fill-peer.ts";
import { MemorySink } from "../../support/memory-sink.ts";
import { meshFixture } from "../../support/mesh-fixture.ts";
import { assertPattern } from "../../support/pattern.ts";

const lengthBytes = 3 * MiB + 12_345;
const calls = 8;

/** A session to a peer whose chunks have the pattern of their request's offset. */
async function sessionTo(context: TestContext, hasTls: boolean): Promise<StreamOpener> {
  const mesh = meshFixture(context);
  const certificates = await ClusterCertificates.create();
  context.after(() => certificates.remove());
  const tls = async (name: string) => (hasTls ? mesh.tls(await certificates.files(name)) : undefined);
  const handler = new FillChunkHandler({
    clock: new SystemClock(),
    answer: ({ offset }) => answerOf(new PatternSlices(Number(offset), lengthBytes), lengthBytes),
  });
  const { address } = await mesh.serve({
    tls: await tls("asked"),
    handlers: new Map([[fillChunkPath, (stream, headers) => handler.handle(stream, headers)]]),
  });
  return mesh
    .peers({ tls: await tls("asking") })
    .at(address)
    .bytes();
}

function bytesOf(sizes: Iterable<number>): number {
  return [...sizes].reduce((sum, size) => sum + size, 0);
}

for (const hasTls of [false, true]) {
  test(`callFillChunk: calls of one session ${hasTls ? "with" : "without"} TLS free what the session has read, and each gets its own bytes`, async (context) => {
    const session = await sessionTo(context, hasTls);
    const reads = new Map<ArrayBufferLike, number>();
    const watched: StreamOpener = {
      request: (...args) =>
        session.request(...args).on("data", ({ buffer }: Buffer) => reads.set(buffer, buffer.byteLength)),
    };
    const sinks = Array.from({ length: calls }, () => new MemorySink(lengthBytes));
    await Promise.all(
      sinks.map((sink, index) =>
        callFillChunk({
          session: watched,
          request: { ...anyRequest, offset: BigInt(index + 1) },
          onHeader: () => sink,
          signal: new AbortController().signal,
          clock: new SystemClock(),
          ...defaultFillTimings,
        }),
      ),
    );
    for (const [index, sink] of sinks.entries()) {
      sink.settle();
      assert.equal(sink.receivedBytes, lengthBytes);
      assertPattern(sink.received, index + 1, 0);
      sink.assertUntouched();
    }
    const kept = [...reads].filter(([buffer]) => buffer.byteLength > 0).map(([, sizeBytes]) => sizeBytes);
    const readBytes = bytesOf(reads.values());
    assert.ok(readBytes >= calls * lengthBytes, `${readBytes} bytes were read`);
    // A read that ends within the head of a frame or in a message of another kind is left to the garbage collector.
    assert.ok(bytesOf(kept) < readBytes / 20, `${bytesOf(kept)} of ${readBytes} bytes are kept`);
  });
}

test("callFillChunk: a slice of memory that was freed breaks the call, and is not left out", async () => {
  const stream = new Duplex({ read() {}, write: (_bytes, _encoding, done) => done() });
  const call = callFillChunk({
    session: { request: () => stream as unknown as ClientHttp2Stream },
    request: anyRequest,
    onHeader: () => new MemorySink(lengthBytes),
    signal: new AbortController().signal,
    clock: new SystemClock(),
    ...defaultFillTimings,
  });
  stream.emit("response", { ":status": 200, "content-type": "application/connect+proto" });
  const read = new ArrayBuffer(16);
  const slice = Buffer.from(read);
  read.transfer(0);
  stream.emit("data", slice);
  await assert.rejects(call, /a slice came after its read had been freed/);
});
