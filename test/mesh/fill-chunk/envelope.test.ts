import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import {
  endStreamEnvelope,
  endStreamError,
  enveloped,
  envelopeSizeBytes,
  grpcTrailers,
  readGrpcTrailers,
  rpcProtocolOf,
} from "../../../src/mesh/fill-chunk/envelope.ts";
import { anyText } from "../../support/any-text.ts";
import { throttled } from "../../support/fill-peer.ts";

test("enveloped: flags, a big-endian length, the message", () => {
  const message = Buffer.alloc(0x010203, 7);
  const bytes = enveloped(2, message);
  assert.equal(bytes.subarray(0, envelopeSizeBytes).toString("hex"), "0200010203");
  assert.deepEqual(bytes.subarray(envelopeSizeBytes), message);
});

test("rpcProtocolOf: only binary streams have a protocol", () => {
  assert.equal(rpcProtocolOf("application/connect+proto"), "connect");
  assert.equal(rpcProtocolOf("application/grpc"), "grpc");
  assert.equal(rpcProtocolOf("Application/gRPC+proto"), "grpc");
  for (const other of [
    undefined,
    "",
    "application/proto",
    "application/connect+json",
    "application/grpc-web",
  ]) {
    assert.equal(rpcProtocolOf(other), undefined);
  }
});

test("endStreamEnvelope, grpcTrailers: any message and its details can be decoded", () => {
  fc.assert(
    fc.property(anyText(), (message) => {
      const error = new ConnectError(message, Code.DataLoss, undefined, throttled().details as []);
      const envelope = endStreamEnvelope(error);
      for (const read of [
        endStreamError(envelope.subarray(envelopeSizeBytes)),
        readGrpcTrailers(new Headers(grpcTrailers(error))).error,
      ]) {
        assert.equal(read?.code, Code.DataLoss);
        assert.equal(read?.rawMessage, message);
        assert.equal(read?.details.length, error.details.length);
      }
    }),
  );
});

test("endStreamEnvelope, grpcTrailers: a lone surrogate is replaced", () => {
  const error = new ConnectError("key \ud800", Code.NotFound);
  assert.equal(readGrpcTrailers(new Headers(grpcTrailers(error))).error?.rawMessage, "key \ufffd");
  assert.ok(endStreamError(endStreamEnvelope(error).subarray(envelopeSizeBytes)));
});

test("readGrpcTrailers: without a status the stream has not ended", () => {
  assert.deepEqual(readGrpcTrailers(new Headers()), { ended: false, error: undefined });
  assert.deepEqual(readGrpcTrailers(new Headers(grpcTrailers(undefined))), { ended: true, error: undefined });
});
