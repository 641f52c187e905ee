import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import * as http2 from "node:http2";
import { test } from "node:test";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ErrorDetailSchema } from "../../../gen/orca/v1/errors_pb.ts";
import {
  ChunkSource,
  type FillChunkResponse,
  FillChunkResponseSchema,
  FillService,
} from "../../../gen/orca/v1/fill_pb.ts";
import { nextTurn, SystemClock } from "../../../src/base/clock.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import { contentTypeOf, type RpcProtocol } from "../../../src/mesh/fill-chunk/envelope.ts";
import { callFillChunk } from "../../../src/mesh/fill-chunk/fill-chunk-call.ts";
import {
  defaultFillTimings,
  type FillSlices,
  fillChunkPath,
} from "../../../src/mesh/fill-chunk/fill-chunk-handler.ts";
import { FillStreamFault } from "../../../src/mesh/fill-chunk/fill-stream-fault.ts";
import type { StreamOpener } from "../../../src/mesh/session/peer-session.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { answerOf, anyRequest, PatternSlices, Peer, throttled } from "../../support/fill-peer.ts";
import { MemorySink } from "../../support/memory-sink.ts";
import { assertPattern, patternBytes } from "../../support/pattern.ts";
import { until } from "../../support/until.ts";

const protocols: readonly RpcProtocol[] = ["connect", "grpc"];
const { heartbeatMs } = defaultFillTimings;
const lengthBytes = 3 * MiB + 12_345;
const sha256 = createHash("sha256")
  .update(patternBytes(1, 0, lengthBytes))
  .digest();

function call(peer: Peer, sink: MemorySink, overrides: Partial<Parameters<typeof callFillChunk>[0]> = {}) {
  return callFillChunk({
    session: peer.connect(),
    request: anyRequest,
    onHeader: () => sink,
    signal: new AbortController().signal,
    clock: new SystemClock(),
    stallTimeoutMs: 5000,
    waitMaxMs: 60_000,
    ...overrides,
  });
}

async function* stockPieces(bytes: number, pieceBytes: number): AsyncGenerator<{ piece: FillPiece }> {
  yield { piece: { case: "header", value: { length: BigInt(bytes), source: ChunkSource.DISK } as never } };
  for (let at = 0; at < bytes; at += pieceBytes) {
    yield { piece: { case: "data", value: patternBytes(1, at, Math.min(pieceBytes, bytes - at)) } };
  }
  yield { piece: { case: "trailer", value: { sha256 } as never } };
}
type FillPiece = FillChunkResponse["piece"];

/** The status, body and trailers of a raw response. */
async function raw(peer: Peer, contentType: string, body: Buffer, method = "POST") {
  const session = http2.connect(peer.url);
  const stream = session.request({ ":method": method, ":path": fillChunkPath, "content-type": contentType });
  let headers: http2.IncomingHttpHeaders = {};
  let trailers: http2.IncomingHttpHeaders = {};
  stream.on("response", (received) => {
    headers = received;
  });
  stream.on("trailers", (received) => {
    trailers = received;
  });
  stream.end(body);
  const slices: Buffer[] = [];
  for await (const slice of stream) slices.push(slice as Buffer);
  session.destroy();
  return { status: headers[":status"], headers, trailers: { ...trailers }, body: Buffer.concat(slices) };
}

const emptyRequest = Buffer.alloc(5);

for (const protocol of protocols) {
  test(`FillChunkHandler: a stock ${protocol} client reads its stream`, async () => {
    const slices = new PatternSlices(1, lengthBytes);
    await using peer = await Peer.ours(() => answerOf(slices, lengthBytes, sha256));
    const create = protocol === "connect" ? createConnectTransport : createGrpcTransport;
    const client = createClient(FillService, create({ baseUrl: peer.url, httpVersion: "2" }));
    const received: Uint8Array[] = [];
    const others: FillPiece[] = [];
    for await (const { piece } of client.fillChunk(anyRequest)) {
      if (piece.case === "data") received.push(piece.value);
      else others.push(piece);
    }
    assertPattern(Buffer.concat(received), 1, 0);
    assert.deepEqual(
      received.map((slice) => slice.length),
      [MiB, MiB, MiB, 12_345],
    );
    const [header, trailer] = others;
    assert.ok(header?.case === "header" && header.value.length === BigInt(lengthBytes));
    assert.ok(trailer?.case === "trailer" && Buffer.from(trailer.value.sha256).equals(sha256));
    assert.equal(slices.pinned, 0);
  });

  test(`FillChunkHandler: a stock ${protocol} client gets the typed detail, before and after the first byte`, async () => {
    for (const failAt of [-1, 0, MiB]) {
      const slices = new PatternSlices(1, lengthBytes);
      Object.assign(slices, { failAt, failure: throttled() });
      await using peer = await Peer.ours(() => {
        if (failAt < 0) throw throttled();
        return answerOf(slices, lengthBytes);
      });
      const create = protocol === "connect" ? createConnectTransport : createGrpcTransport;
      const client = createClient(FillService, create({ baseUrl: peer.url, httpVersion: "2" }));
      let receivedBytes = 0;
      await assert.rejects(
        async () => {
          for await (const { piece } of client.fillChunk(anyRequest)) {
            if (piece.case === "data") receivedBytes += piece.value.length;
          }
        },
        (thrown: ConnectError) => {
          assert.equal(thrown.code, Code.Unavailable);
          assert.equal(thrown.rawMessage, "Cannot read: “slow down”");
          assert.equal(thrown.findDetails(ErrorDetailSchema)[0]?.retryAfterSeconds, 7);
          return true;
        },
      );
      assert.equal(receivedBytes, Math.max(0, failAt));
    }
  });

  test(`callFillChunk: reads a stock handler over ${protocol}`, async () => {
    await using peer = await Peer.stock((router) =>
      router.service(FillService, {
        async *fillChunk(request) {
          assert.equal(request.chunkKey?.chunkIndex, 7n);
          yield* stockPieces(lengthBytes, 700_001) as AsyncGenerator<never>;
        },
      }),
    );
    const sink = new MemorySink(lengthBytes);
    const trailer = await call(peer, sink, { protocol });
    sink.settle();
    assertPattern(sink.received, 1, 0);
    assert.equal(sink.receivedBytes, lengthBytes);
    assert.ok(Buffer.from(trailer.sha256).equals(sha256));
    sink.assertUntouched();
  });

  test(`callFillChunk: a stock handler's error over ${protocol} keeps its detail`, async () => {
    for (const pieces of [0, 1, 2]) {
      await using peer = await Peer.stock((router) =>
        router.service(FillService, {
          async *fillChunk() {
            let sent = 0;
            for await (const each of stockPieces(1000, 500)) {
              if (sent++ === pieces) throw throttled();
              yield each as never;
            }
          },
        }),
      );
      const sink = new MemorySink(1000);
      await assert.rejects(call(peer, sink, { protocol }), (thrown: ConnectError) => {
        assert.equal(thrown.code, Code.Unavailable);
        const detail = thrown.details[0];
        assert.ok(detail && "type" in detail && detail.type === "orca.v1.ErrorDetail");
        assert.equal(fromBinary(ErrorDetailSchema, detail.value).code, "origin_throttled");
        return true;
      });
      assert.equal(sink.receivedBytes, pieces === 2 ? 500 : 0);
    }
  });

  test(`FillChunkHandler: over ${protocol} it sends the bytes of the stock handler`, async () => {
    await using ours = await Peer.ours(() => answerOf(new PatternSlices(1, 1000, 300), 1000, sha256));
    await using stock = await Peer.stock((router) =>
      router.service(FillService, {
        async *fillChunk() {
          for await (const each of stockPieces(1000, 300)) {
            if (each.piece.case === "header") each.piece.value.source = ChunkSource.MEMORY;
            yield each as never;
          }
        },
      }),
    );
    const contentType = contentTypeOf(protocol);
    const [own, expected] = await Promise.all(
      [ours, stock].map((peer) => raw(peer, contentType, emptyRequest)),
    );
    assert.ok(own && expected);
    assert.deepEqual(own.body, expected.body);
    assert.equal(own.headers["content-type"], expected.headers["content-type"]);
    assert.deepEqual(own.trailers, expected.trailers);
    assert.equal(own.status, 200);
  });

  test(`callFillChunk: over ${protocol} it sends the bytes of the stock client`, async () => {
    const requests: { readonly type: string | undefined; readonly body: string }[] = [];
    const server = http2.createServer();
    server.on("stream", (stream: http2.ServerHttp2Stream, headers) => {
      const slices: Buffer[] = [];
      stream.on("data", (slice: Buffer) => slices.push(slice));
      stream.once("end", () => {
        requests.push({ type: headers["content-type"], body: Buffer.concat(slices).toString("hex") });
        stream.respond({ ":status": 503 }, { endStream: true });
      });
    });
    await using peer = await Peer.listen(server);
    const create = protocol === "connect" ? createConnectTransport : createGrpcTransport;
    const client = createClient(FillService, create({ baseUrl: peer.url, httpVersion: "2" }));
    await assert.rejects(client.fillChunk(anyRequest)[Symbol.asyncIterator]().next());
    await assert.rejects(call(peer, new MemorySink(1), { protocol }));
    assert.equal(requests.length, 2);
    assert.deepEqual(requests[1], requests[0]);
  });

  test(`callFillChunk: over ${protocol}, a cut connection is a truncated stream`, async () => {
    const slices = new PatternSlices(1, 2 * MiB);
    await using peer = await Peer.ours(() => answerOf(slices, 2 * MiB));
    const sink = new MemorySink(2 * MiB);
    const session = peer.connect();
    sink.onAdvance = (receivedBytes) => {
      if (receivedBytes >= MiB) session.destroy();
    };
    await assert.rejects(
      call(peer, sink, { protocol, session }),
      (thrown: FillStreamFault) => thrown instanceof FillStreamFault && thrown.kind === "truncated",
    );
    sink.settle();
    assertPattern(sink.received, 1, 0);
    sink.assertUntouched();
  });
}

test("FillChunkHandler: a grpc-js client reads its stream, and its typed detail", async () => {
  let fails = false;
  await using peer = await Peer.ours((request) => {
    assert.equal(request.objectSize, 1_000_000_000n);
    if (fails) throw throttled();
    return answerOf(new PatternSlices(1, lengthBytes), lengthBytes, sha256);
  });
  const definition = loadSync("orca/v1/fill.proto", { includeDirs: ["proto"], oneofs: true, keepCase: true });
  // The clients of proto-loader have no types.
  const { orca } = grpc.loadPackageDefinition(definition) as unknown as {
    orca: { v1: { FillService: grpc.ServiceClientConstructor } };
  };
  const client = new orca.v1.FillService(`127.0.0.1:${peer.port}`, grpc.credentials.createInsecure());
  const read = async (): Promise<Buffer> => {
    const request = { chunk_key: { object_key: "k" }, object_size: 1_000_000_000 };
    const stream = client["fillChunk"]?.(request) as AsyncIterable<{ piece: string; data: Buffer }>;
    const slices: Buffer[] = [];
    for await (const message of stream) if (message.piece === "data") slices.push(message.data);
    return Buffer.concat(slices);
  };
  try {
    const received = await read();
    assert.equal(received.length, lengthBytes);
    assertPattern(received, 1, 0);
    fails = true;
    await assert.rejects(read(), (thrown: grpc.ServiceError) => {
      assert.equal(thrown.code, grpc.status.UNAVAILABLE);
      assert.equal(thrown.details, "Cannot read: “slow down”");
      assert.ok(thrown.metadata.get("grpc-status-details-bin").length === 1);
      return true;
    });
  } finally {
    client.close();
  }
});

test("FillChunkHandler: the bytes of a whole stream", async () => {
  await using peer = await Peer.ours(() => answerOf(oneSlice(Buffer.from("abc")), 3));
  const { body } = await raw(peer, "application/connect+proto", emptyRequest);
  const expected = ["00000000060a0408031001", "00000000051203616263", "00000000021a00"];
  assert.equal(body.toString("hex"), expected.join("") + `0200000002${Buffer.from("{}").toString("hex")}`);
});

function oneSlice(slice: Buffer): FillSlices {
  let taken = false;
  return {
    get done() {
      return taken;
    },
    take() {
      taken = true;
      return slice;
    },
    ready: async () => {},
    release: () => {},
    close: () => {},
  };
}

test("FillChunkHandler: a malformed request is answered with a typed error", async () => {
  await using peer = await Peer.ours(() => assert.fail("never asked"));
  const answerTo = async (body: Buffer): Promise<string> => {
    const answer = await raw(peer, "application/connect+proto", body);
    assert.equal(answer.body[0], 2);
    return (JSON.parse(answer.body.subarray(5).toString()) as { error: { code: string } }).error.code;
  };
  assert.equal(await answerTo(Buffer.from([1, 0, 0, 0, 1, 0])), "unimplemented");
  assert.equal(await answerTo(Buffer.from([4, 0, 0, 0, 1, 0])), "invalid_argument");
  assert.equal(await answerTo(Buffer.from([0, 0xff, 0, 0, 0, 0])), "resource_exhausted");
  assert.equal(await answerTo(Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff])), "invalid_argument");
  assert.equal(await answerTo(Buffer.from([0, 0, 0, 0, 9, 1])), "invalid_argument");
  assert.equal(await answerTo(Buffer.alloc(0)), "invalid_argument");
  assert.equal((await raw(peer, "application/json", emptyRequest)).status, 415);
  assert.equal((await raw(peer, "application/connect+proto", emptyRequest, "PUT")).status, 405);
});

test("FillChunkHandler: a request that does not arrive is answered at its deadline", async () => {
  const clock = new FakeClock();
  await using peer = await Peer.ours(() => assert.fail("never asked"), clock);
  const session = peer.connect();
  const stream = session.request({
    ":method": "POST",
    ":path": fillChunkPath,
    "content-type": contentTypeOf("connect"),
  });
  stream.write(Buffer.from([0, 0]));
  await until(() => clock.pendingTimers > 0);
  await clock.advance(5000);
  const slices: Buffer[] = [];
  for await (const slice of stream) {
    slices.push(slice as Buffer);
    stream.end();
  }
  assert.match(Buffer.concat(slices).toString(), /deadline_exceeded/);
});

test("FillChunkHandler: a request that arrives in more than 64 pieces is rejected", async () => {
  await using peer = await Peer.ours(() => assert.fail("never asked"));
  const session = peer.connect();
  const stream = session.request({
    ":method": "POST",
    ":path": fillChunkPath,
    "content-type": contentTypeOf("connect"),
  });
  stream.write(Buffer.from([0, 0, 0, 0x10, 0]));
  const answer: Buffer[] = [];
  stream.on("data", (slice: Buffer) => answer.push(slice));
  // Each piece is a frame of its own, because the one before it has been sent.
  for (let piece = 1; answer.length === 0 && piece < 200; piece += 1) {
    await new Promise((resolve) => stream.write(Buffer.alloc(1), resolve));
    await nextTurn();
  }
  assert.match(Buffer.concat(answer).toString(), /resource_exhausted.*more than 64 pieces/s);
  stream.close();
});

test("FillChunkHandler: all requests that have not arrived completely hold 16 MiB at most", async () => {
  await using peer = await Peer.ours(() => assert.fail("never asked"));
  const body = Buffer.alloc(5 + 16 * KiB - 1);
  body.writeUInt32BE(16 * KiB, 1);
  const answers: string[] = [];
  const open = (session: http2.ClientHttp2Session): void => {
    const stream = session.request({
      ":method": "POST",
      ":path": fillChunkPath,
      "content-type": contentTypeOf("connect"),
    });
    stream.on("error", () => {}).on("data", (slice: Buffer) => answers.push(slice.toString()));
    stream.write(body);
  };
  const fitting = 1023;
  const sessions = [peer.connect(), peer.connect()] as const;
  for (let index = 0; index < fitting + 50; index += 1) open(sessions[index < 600 ? 0 : 1]);
  await until(() => answers.length >= 50);
  assert.match(answers.join(""), /too many bytes of other requests/);
  for (const session of sessions) session.destroy();
});

test("FillChunkHandler: when a caller leaves, its slice is released, and nothing more is sent", async () => {
  const clock = new FakeClock();
  const slices = new PatternSlices(1, lengthBytes);
  await using peer = await Peer.ours(() => answerOf(slices, lengthBytes), clock);
  const abort = new AbortController();
  const sink = new MemorySink(lengthBytes);
  const reason = new Error("enough");
  sink.onAdvance = () => abort.abort(reason);
  await assert.rejects(call(peer, sink, { signal: abort.signal }), reason);
  sink.settle();
  await until(() => slices.closed);
  assert.equal(slices.pinned, 0);
  assert.equal(clock.pendingTimers, 0);
  sink.assertUntouched();
});

for (const failing of ["take", "release"] as const) {
  test(`FillChunkHandler: an exception of ${failing}() in the middle ends its stream alone`, async () => {
    let calls = 0;
    const failAt = (method: string): void => {
      if (method !== failing) return;
      calls += 1;
      if (calls === 3) throw new OrcaError("internal", "memory", "Cannot read: broken");
    };
    class FailingSlices extends PatternSlices {
      override take(): Buffer | null {
        failAt("take");
        return super.take();
      }

      override release(): void {
        failAt("release");
        super.release();
      }
    }
    const slices = new FailingSlices(1, lengthBytes);
    await using peer = await Peer.ours(() => answerOf(slices, lengthBytes));
    await assert.rejects(call(peer, new MemorySink(lengthBytes)), { code: Code.Internal });
    await until(() => slices.closed);
    assert.equal(slices.pinned, 0);
  });
}

test("FillChunkHandler: a caller that does not read loses its session, and only then is its slice released", async () => {
  const clock = new FakeClock();
  const slices = new PatternSlices(1, lengthBytes);
  await using peer = await Peer.ours(() => answerOf(slices, lengthBytes), clock);
  const session = peer.connect();
  const headers = { ":method": "POST", ":path": fillChunkPath, "content-type": contentTypeOf("connect") };
  // Nothing reads its data, so its window closes before the first slice is sent.
  const stream = session.request(headers);
  stream.on("error", () => {});
  stream.end(emptyRequest);
  await until(() => slices.pinned > 0);
  await clock.advance(4999);
  assert.equal(slices.pinned, 1);
  await clock.advance(1);
  await until(() => slices.closed);
  assert.equal(clock.pendingTimers, 0);
});

test("FillChunkHandler: a caller that stops reading after a long wait for the origin loses its session, too", async () => {
  const clock = new FakeClock();
  const slices = new PatternSlices(1, lengthBytes);
  const gate = Promise.withResolvers<void>();
  slices.gate = gate.promise;
  await using peer = await Peer.ours(() => answerOf(slices, lengthBytes), clock);
  const session = peer.connect();
  const headers = { ":method": "POST", ":path": fillChunkPath, "content-type": contentTypeOf("connect") };
  const stream = session.request(headers).on("error", () => {});
  stream.end(emptyRequest);
  await once(stream, "response");
  // Several deadlines pass while the handler waits for bytes. The caller is not at fault.
  await clock.advance(20_000);
  assert.equal(session.destroyed, false);
  gate.resolve();
  await until(() => slices.pinned === 1);
  await clock.advance(4999);
  assert.equal(slices.pinned, 1);
  await clock.advance(1);
  await until(() => slices.closed);
  assert.equal(slices.pinned, 0);
  assert.equal(clock.pendingTimers, 0);
});

for (const protocol of protocols) {
  test(`FillChunkHandler: a caller that does not read the end of a stream loses its session (${protocol})`, async () => {
    const clock = new FakeClock();
    const slices = new PatternSlices(1, 1000);
    await using peer = await Peer.ours(() => answerOf(slices, 1000, sha256), clock);
    // The window ends after the last byte of data, so the trailer never leaves.
    const session = http2.connect(peer.url, { settings: { initialWindowSize: 1024 } });
    const headers = { ":method": "POST", ":path": fillChunkPath, "content-type": contentTypeOf(protocol) };
    const stream = session.request(headers).on("error", () => {});
    stream.end(emptyRequest);
    await once(stream, "response");
    await until(() => slices.done && slices.pinned === 0);
    await clock.advance(5000);
    await until(() => slices.closed && session.destroyed);
    assert.equal(clock.pendingTimers, 0);
  });
}

test("callFillChunk: a silent peer costs one stall deadline", async () => {
  const clock = new FakeClock();
  const slices = new PatternSlices(1, lengthBytes);
  slices.gate = Promise.withResolvers<void>().promise;
  await using peer = await Peer.ours(() => answerOf(slices, lengthBytes));
  const begun = Promise.withResolvers<void>();
  const sink = new MemorySink(lengthBytes);
  const onHeader = (): MemorySink => {
    begun.resolve();
    return sink;
  };
  const trailer = call(peer, sink, { clock, stallTimeoutMs: 1000, onHeader });
  await begun.promise;
  await settle();
  const rejected = assert.rejects(
    trailer,
    (thrown: FillStreamFault) => thrown instanceof FillStreamFault && thrown.kind === "truncated",
  );
  await clock.advance(1000);
  await rejected;
  assert.equal(clock.pendingTimers, 0);
});

test("callFillChunk: the caller gets the exception of the header's receiver", async () => {
  await using peer = await Peer.ours(() => answerOf(new PatternSlices(1, lengthBytes), lengthBytes));
  const disagreement = new Error("another length");
  const onHeader = (): never => {
    throw disagreement;
  };
  await assert.rejects(call(peer, new MemorySink(1), { onHeader }), disagreement);
});

test("callFillChunk: an answer of another status or content type is a typed error", async () => {
  const server = http2.createServer();
  let status = 503;
  server.on("stream", (stream: http2.ServerHttp2Stream) =>
    stream.respond({ ":status": status, "content-type": "text/html" }, { endStream: true }),
  );
  await using peer = await Peer.listen(server);
  await assert.rejects(
    call(peer, new MemorySink(1)),
    (thrown) => ConnectError.from(thrown).code === Code.Unavailable,
  );
  status = 200;
  await assert.rejects(
    call(peer, new MemorySink(1)),
    (thrown: FillStreamFault) => thrown instanceof FillStreamFault && thrown.kind === "malformed",
  );
});

for (const protocol of protocols) {
  test(`FillChunkHandler: while it waits, a stock ${protocol} client receives the header and then empty messages`, async () => {
    const clock = new FakeClock();
    const slices = new PatternSlices(1, 1000);
    const gate = Promise.withResolvers<void>();
    slices.gate = gate.promise;
    await using peer = await Peer.ours(() => answerOf(slices, 1000, sha256), clock);
    const create = protocol === "connect" ? createConnectTransport : createGrpcTransport;
    const client = createClient(FillService, create({ baseUrl: peer.url, httpVersion: "2" }));
    const cases: (string | undefined)[] = [];
    for await (const message of client.fillChunk(anyRequest)) {
      cases.push(message.piece.case);
      if (cases.length < 4) await clock.advance(heartbeatMs);
      else gate.resolve();
      if (message.piece.case === undefined) assert.deepEqual(toJson(FillChunkResponseSchema, message), {});
    }
    assert.deepEqual(cases, ["header", undefined, undefined, undefined, "data", "trailer"]);
    await until(() => clock.pendingTimers === 0);
  });
}

test("FillChunkHandler: the timer of heartbeats runs only while it waits", async () => {
  const clock = new FakeClock();
  const timers: number[] = [];
  let left = 3;
  const slices: FillSlices = {
    get done() {
      return left === 0;
    },
    take: () => {
      left -= 1;
      timers.push(clock.pendingTimers);
      return Buffer.alloc(10);
    },
    ready: async () => {},
    release: () => {},
    close: () => {},
  };
  await using peer = await Peer.ours(() => answerOf(slices, 30), clock);
  await call(peer, new MemorySink(30));
  // The one timer is the deadline of the stream.
  assert.deepEqual(timers, [1, 1, 1]);
  await until(() => clock.pendingTimers === 0);
});

test("FillChunkHandler: a caller that does not read gets no heartbeats", async () => {
  const clock = new FakeClock();
  const slices = new PatternSlices(1, lengthBytes);
  slices.gate = Promise.withResolvers<void>().promise;
  let sent: http2.ServerHttp2Stream | undefined;
  await using peer = await Peer.ours(
    () => answerOf(slices, lengthBytes),
    clock,
    (stream) => {
      sent = stream;
    },
  );
  const session = http2.connect(peer.url, { settings: { initialWindowSize: 0 } });
  const stream = session.request({
    ":method": "POST",
    ":path": fillChunkPath,
    "content-type": contentTypeOf("connect"),
  });
  stream.on("error", () => {});
  stream.end(emptyRequest);
  // The header waits for a window, and nothing is queued after it.
  await until(() => (sent?.writableLength ?? 0) > 0);
  const headerBytes = sent?.writableLength;
  await clock.advance(10 * heartbeatMs);
  assert.equal(sent?.writableLength, headerBytes);
  session.destroy();
  await until(() => slices.closed && clock.pendingTimers === 0);
});

test("callFillChunk: with heartbeats, a slow origin does not look like a dead peer", async () => {
  const clock = new FakeClock();
  const slices = new PatternSlices(1, 1000);
  const gate = Promise.withResolvers<void>();
  slices.gate = gate.promise;
  await using peer = await Peer.ours(() => answerOf(slices, 1000), clock);
  const sink = new MemorySink(1000);
  let received = 0;
  const session: StreamOpener = {
    request: (headers) =>
      peer
        .connect()
        .request(headers)
        .on("data", () => void (received += 1)),
  };
  const trailer = call(peer, sink, { clock, stallTimeoutMs: 2 * heartbeatMs, session });
  await until(() => received === 1);
  for (let beats = 1; beats <= 20; beats += 1) {
    await clock.advance(heartbeatMs);
    await until(() => received === 1 + beats);
  }
  gate.resolve();
  await trailer;
  assertPattern(sink.received, 1, 0);
});

test("callFillChunk: a peer that sends only heartbeats is tolerated for waitMaxMs", async () => {
  const clock = new FakeClock();
  const server = http2.createServer();
  const streams: http2.ServerHttp2Stream[] = [];
  server.on("stream", (stream: http2.ServerHttp2Stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200, "content-type": contentTypeOf("connect") });
    stream.resume();
    streams.push(stream);
  });
  await using peer = await Peer.listen(server);
  const trailer = call(peer, new MemorySink(1), { clock, stallTimeoutMs: 5000, waitMaxMs: 30_000 });
  let settled = false;
  const rejected = assert.rejects(
    trailer.finally(() => {
      settled = true;
    }),
    (thrown: FillStreamFault) => thrown instanceof FillStreamFault && thrown.kind === "stalled",
  );
  await until(() => streams.length === 1);
  for (let beats = 0; beats <= 31; beats += 1) {
    assert.equal(settled, false, `after ${beats} heartbeats`);
    await new Promise((resolve) => streams[0]?.write(Buffer.alloc(5), resolve));
    for (let turn = 0; turn < 5; turn += 1) await settle();
    await clock.advance(1000);
  }
  await rejected;
  assert.equal(clock.pendingTimers, 0);
});
