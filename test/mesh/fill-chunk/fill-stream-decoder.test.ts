import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import {
  ChunkSource,
  type FillChunkResponse,
  FillChunkResponseSchema,
} from "../../../gen/orca/v1/fill_pb.ts";
import { AssertionFailure } from "../../../src/base/assert.ts";
import { MiB } from "../../../src/base/units.ts";
import {
  endStreamEnvelope,
  enveloped,
  grpcTrailers,
  type RpcProtocol,
} from "../../../src/mesh/fill-chunk/envelope.ts";
import { FillStreamDecoder } from "../../../src/mesh/fill-chunk/fill-stream-decoder.ts";
import { FillStreamFault, type FillStreamFaultKind } from "../../../src/mesh/fill-chunk/fill-stream-fault.ts";
import { throttled } from "../../support/fill-peer.ts";
import { MemorySink } from "../../support/memory-sink.ts";
import { assertPattern, patternBytes } from "../../support/pattern.ts";

const ok = new Headers(grpcTrailers(undefined));
const end = endStreamEnvelope(undefined);

function message(piece: FillChunkResponse["piece"]): Buffer {
  return enveloped(0, toBinary(FillChunkResponseSchema, create(FillChunkResponseSchema, { piece })));
}
const header = (length: bigint): Buffer =>
  message({ case: "header", value: { length, source: ChunkSource.DISK } as never });
const data = (offset: number, lengthBytes: number): Buffer =>
  message({ case: "data", value: patternBytes(1, offset, lengthBytes) });
const trailer = (sha256 = Buffer.alloc(32, 9)): Buffer =>
  message({ case: "trailer", value: { sha256 } as never });

/** Unknown fields of a newer sender, of every wire type but groups. */
function unknownFields(): Uint8Array {
  return new BinaryWriter()
    .tag(15, WireType.Varint)
    .uint64(2n ** 64n - 1n)
    .tag(1000, WireType.Bit64)
    .fixed64(5n)
    .tag(536_870_911, WireType.LengthDelimited)
    .bytes(Buffer.alloc(300))
    .tag(16, WireType.LengthDelimited)
    .bytes(Buffer.alloc(0))
    .tag(4, WireType.Bit32)
    .fixed32(5)
    .finish();
}

function raw(...parts: Uint8Array[]): Buffer {
  return enveloped(0, Buffer.concat(parts));
}

/** Decodes `bytes`, cut at `cuts`. Returns the sink after the end of the stream. */
function decode(
  bytes: Buffer,
  protocol: RpcProtocol = "connect",
  cuts: readonly number[] = [],
  trailers = ok,
) {
  const sinks: MemorySink[] = [];
  const decoder = new FillStreamDecoder(protocol, (_, lengthBytes) => {
    const sink = new MemorySink(Math.min(lengthBytes, 8 * MiB));
    sinks.push(sink);
    return sink;
  });
  try {
    let from = 0;
    for (const to of [...cuts, bytes.length]) {
      // A copy, wiped afterwards: the decoder must not use a slice after its push.
      const slice = Buffer.from(bytes.subarray(from, to));
      decoder.push(slice);
      slice.fill(0xdb);
      from = to;
    }
    const { sha256 } = decoder.end(trailers);
    return { sink: sinks[0] as MemorySink, sha256, headers: sinks.length };
  } finally {
    for (const sink of sinks) {
      sink.settle();
      sink.assertUntouched();
      assertPattern(sink.received, 1, 0);
    }
  }
}

function faults(
  kind: FillStreamFaultKind,
  bytes: Buffer,
  protocol: RpcProtocol = "connect",
  trailers = ok,
): void {
  for (const cuts of [[], Array.from({ length: Math.min(bytes.length, 200) }, (_, at) => at)]) {
    assert.throws(
      () => decode(bytes, protocol, cuts, trailers),
      (thrown) => {
        assert.ok(thrown instanceof FillStreamFault, String(thrown));
        assert.equal(thrown.kind, kind, thrown.message);
        assert.equal(thrown.code, "peer_unavailable");
        return true;
      },
    );
  }
}

test("FillStreamDecoder: the result does not depend on the cuts between slices", () => {
  const pieces = fc.array(fc.integer({ min: 1, max: 700 }), { maxLength: 8 });
  fc.assert(
    fc.property(
      pieces,
      fc.constantFrom<RpcProtocol>("connect", "grpc"),
      fc.array(fc.nat(6000), { maxLength: 40 }),
      fc.boolean(),
      (lengths, protocol, anyCuts, unknown) => {
        let offset = 0;
        const messages: Buffer[] = [];
        for (const lengthBytes of lengths) {
          const whole = data(offset, lengthBytes);
          messages.push(unknown ? raw(unknownFields(), whole.subarray(5), unknownFields()) : whole);
          if (unknown) messages.push(raw(unknownFields()), raw());
          offset += lengthBytes;
        }
        const ending = protocol === "connect" ? [end] : [];
        const bytes = Buffer.concat([header(BigInt(offset)), ...messages, trailer(), ...ending]);
        const cuts = anyCuts.filter((cut) => cut <= bytes.length).toSorted((left, right) => left - right);
        const { sink, sha256, headers } = decode(bytes, protocol, cuts);
        assert.equal(sink.receivedBytes, offset);
        assert.equal(headers, 1);
        assert.deepEqual(Buffer.from(sha256), Buffer.alloc(32, 9));
      },
    ),
    { numRuns: 300 },
  );
});

test("FillStreamDecoder: decodes a stream that is cut at every byte", () => {
  const bytes = Buffer.concat([header(300n), data(0, 200), data(200, 100), trailer(Buffer.alloc(0)), end]);
  const cuts = Array.from({ length: bytes.length }, (_, at) => at);
  const { sink, sha256 } = decode(bytes, "connect", cuts);
  assert.equal(sink.receivedBytes, 300);
  assert.equal(sha256.length, 0);
});

test("FillStreamDecoder: accepts the largest piece, and rejects one byte more", () => {
  const most = Buffer.concat([header(BigInt(MiB)), data(0, MiB), trailer(), end]);
  assert.equal(decode(most).sink.receivedBytes, MiB);
  faults("oversize", Buffer.concat([header(BigInt(2 * MiB)), data(0, MiB + 1)]));
});

test("FillStreamDecoder: every truncation is a fault, or the error that the peer sent", () => {
  const connect = Buffer.concat([header(300n), data(0, 200), data(200, 100), trailer(), end]);
  for (let at = 0; at < connect.length; at += 1) faults("truncated", connect.subarray(0, at));
  const grpc = connect.subarray(0, connect.length - end.length);
  for (let at = 0; at < grpc.length; at += 1) faults("truncated", grpc.subarray(0, at), "grpc");
  for (let at = 0; at <= grpc.length; at += 1)
    faults("truncated", grpc.subarray(0, at), "grpc", new Headers());
});

test("FillStreamDecoder: throws the status in gRPC trailers, wherever the body stopped", () => {
  const trailers = new Headers(grpcTrailers(throttled()));
  const bytes = Buffer.concat([header(300n), data(0, 200)]);
  for (const at of [0, 3, bytes.length]) {
    assert.throws(
      () => decode(bytes.subarray(0, at), "grpc", [], trailers),
      (thrown) => thrown instanceof ConnectError && thrown.code === Code.Unavailable,
    );
  }
});

test("FillStreamDecoder: throws the error in an end of stream, whatever is missing", () => {
  const bytes = Buffer.concat([header(300n), data(0, 200), endStreamEnvelope(throttled())]);
  assert.throws(
    () => decode(bytes),
    (thrown) =>
      thrown instanceof ConnectError && thrown.code === Code.Unavailable && thrown.details.length === 1,
  );
});

test("FillStreamDecoder: too few and too many bytes differ from truncation", () => {
  faults("too_few", Buffer.concat([header(300n), data(0, 200), trailer(), end]));
  faults("too_many", Buffer.concat([header(300n), data(0, 200), data(200, 101)]));
  faults("too_many", Buffer.concat([header(0n), data(0, 1)]));
});

test("FillStreamDecoder: rejects a compressed message, and never inflates it", () => {
  const bomb = gzipSync(Buffer.alloc(4 * MiB));
  faults("compressed", enveloped(1, bomb));
  faults("compressed", enveloped(1, bomb), "grpc");
  faults("compressed", enveloped(3, bomb));
  faults("compressed", Buffer.from([1, 0xff, 0xff, 0xff, 0xff]));
});

test("FillStreamDecoder: rejects pieces out of order", () => {
  faults("disorder", data(0, 1));
  faults("disorder", trailer());
  faults("disorder", Buffer.concat([header(1n), header(1n)]));
  faults("disorder", Buffer.concat([header(0n), trailer(), trailer()]));
  faults("disorder", Buffer.concat([header(1n), data(0, 1), trailer(), header(1n)]));
  faults("disorder", Buffer.concat([header(0n), trailer(), data(0, 1)]));
  faults("disorder", Buffer.concat([header(0n), raw(trailer().subarray(5), trailer().subarray(5))]));
  faults("disorder", Buffer.concat([header(2n), raw(data(0, 1).subarray(5), data(1, 1).subarray(5))]));
  faults("disorder", Buffer.concat([header(0n), trailer(), end, Buffer.alloc(1)]));
});

test("FillStreamDecoder: rejects bytes that are not protobuf, JSON or an envelope", () => {
  const malformed: Buffer[] = [
    enveloped(4, Buffer.alloc(1)),
    enveloped(0x80, Buffer.alloc(1)),
    raw(Buffer.from([0x00])),
    raw(Buffer.from([0x0a])),
    raw(Buffer.from([0x80])),
    raw(Buffer.from([0x08, 1])),
    raw(Buffer.from([0x11, 1, 2, 3, 4, 5, 6, 7, 8])),
    raw(Buffer.from([0x23, 0x24])),
    raw(Buffer.from([0x0a, 5, 1])),
    raw(Buffer.from([0x0a, 2, 0xff, 0xff])),
    raw(Buffer.from([0x22, 5, 1])),
    raw(Buffer.from([0x25, 1])),
    raw(Buffer.from([0x20, ...Buffer.alloc(10, 0x80), 1])),
    raw(Buffer.alloc(11, 0xff)),
    header(2n ** 53n),
    header(2n ** 64n - 1n),
    Buffer.concat([header(5n), message({ case: "data", value: new Uint8Array() })]),
    Buffer.concat([header(0n), trailer(Buffer.alloc(31))]),
    enveloped(2, Buffer.from("{")),
    enveloped(2, Buffer.from("[]")),
    enveloped(2, Buffer.alloc(0)),
    enveloped(2, Buffer.from('{"error":{"code":"aborted","details":[{"type":1}]}}')),
  ];
  for (const bytes of malformed) faults("malformed", bytes);
  // gRPC has no end-stream message.
  faults("malformed", end, "grpc");
  faults(
    "malformed",
    header(0n),
    "grpc",
    new Headers({ "grpc-status": "0", "grpc-status-details-bin": "/w" }),
  );
});

test("FillStreamDecoder: limits the bytes that it collects, and those that it skips", () => {
  faults("oversize", Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
  faults("oversize", Buffer.from([2, 0, 1, 0, 1]));
  faults("oversize", raw(Buffer.from([0x0a, 0x81, 0x20]), Buffer.alloc(4097)));
  faults("oversize", Buffer.alloc(5 * 14_000));
  const unknown = raw(
    new BinaryWriter().tag(9, WireType.LengthDelimited).bytes(Buffer.alloc(40_000)).finish(),
  );
  faults("oversize", Buffer.concat([unknown, unknown]));
  const numbers = new BinaryWriter();
  for (let count = 0; count < 70_000; count += 1) numbers.tag(9, WireType.Varint).uint32(1);
  faults("oversize", raw(numbers.finish()));
});

test("FillStreamDecoder: any bytes end in a result or a fault, and never in a bug", () => {
  const valid = Buffer.concat([header(300n), data(0, 200), data(200, 100), trailer(), end]);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (changes) => {
        const bytes = Buffer.from(valid);
        for (const [at, byte] of changes) bytes[at] = byte;
        const decoder = new FillStreamDecoder("connect", (_, lengthBytes) => {
          assert.ok(lengthBytes <= Number.MAX_SAFE_INTEGER);
          return new RepeatingSink(lengthBytes);
        });
        try {
          decoder.push(bytes);
          decoder.end(ok);
        } catch (thrown) {
          assert.ok(!(thrown instanceof AssertionFailure), String(thrown));
          assert.ok(thrown instanceof FillStreamFault || thrown instanceof ConnectError, String(thrown));
        }
      },
    ),
    { numRuns: 2000 },
  );
});

/** Accepts any number of bytes with one page of memory. */
class RepeatingSink {
  readonly #page = Buffer.alloc(4096);
  #owedBytes: number;

  constructor(lengthBytes: number) {
    this.#owedBytes = lengthBytes;
  }

  space(): Buffer {
    return this.#page.subarray(0, this.#owedBytes);
  }

  advance(lengthBytes: number): void {
    this.#owedBytes -= lengthBytes;
  }
}

test("FillStreamDecoder: does not use a sink that has stopped it", () => {
  const sink = new MemorySink(300);
  const decoder = new FillStreamDecoder("connect", () => sink);
  sink.onAdvance = () => {
    decoder.stop();
    sink.settle();
  };
  decoder.push(Buffer.concat([header(300n), data(0, 200), data(200, 100), trailer(), end]));
  assert.equal(sink.receivedBytes, 200);
  sink.assertUntouched();
});

test("FillStreamDecoder: an exception of the receiver ends it", () => {
  const refusal = new Error("another length");
  const decoder = new FillStreamDecoder("connect", (received, lengthBytes) => {
    assert.equal(received.source, ChunkSource.DISK);
    assert.equal(lengthBytes, 300);
    throw refusal;
  });
  assert.throws(() => decoder.push(header(300n)), refusal);
});
