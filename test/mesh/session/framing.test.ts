/** The mesh speaks HTTP/2 alone, where frames say where a request ends: what frames HTTP/1.1 has no place there. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { frame, http2Preface, literalHeader, settingsFrame } from "../../support/http2-frames.ts";
import { meshFixture } from "../../support/mesh-fixture.ts";

/** What the server sends to `bytes` until it closes, or until it has answered on stream 1. */
async function exchange(context: TestContext, port: number, bytes: string | Buffer): Promise<Buffer> {
  const socket = connect(port, "127.0.0.1");
  context.after(() => socket.destroy());
  const pieces: Buffer[] = [];
  const answered = Promise.withResolvers<void>();
  socket.on("error", () => {});
  socket.on("close", () => answered.resolve());
  socket.on("data", (piece: Buffer) => {
    pieces.push(piece);
    if (framesIn(Buffer.concat(pieces)).some(({ streamId }) => streamId === 1)) answered.resolve();
  });
  await once(socket, "connect");
  socket.write(bytes);
  await answered.promise;
  return Buffer.concat(pieces);
}

interface Frame {
  readonly type: number;
  readonly streamId: number;
  readonly code: number;
}

const dataType = 0;
const headersType = 1;
const resetType = 3;
const protocolError = 1;

function framesIn(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    const code = bytes.length >= at + 13 ? bytes.readUInt32BE(at + 9) : -1;
    frames.push({ type: bytes.readUInt8(at + 3), streamId: bytes.readUInt32BE(at + 5), code });
  }
  return frames;
}

test("MeshServer: a request of HTTP/1.1 closes the connection, and none is served", {
  timeout: 10_000,
}, async (context) => {
  const { serve } = meshFixture(context);
  const { server, port } = await serve();
  const text = "POST /orca.v1.MembershipService/Ping HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
  const received = (await exchange(context, port, text.repeat(2))).toString("latin1");
  assert.doesNotMatch(received, /HTTP\/1\.1 [245]/);
  assert.equal(server.stats.requests, 0);
});

const fields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/orca.v1.MembershipService/Ping"],
  [":authority", "h"],
  ["content-type", "application/proto"],
] as const;

for (const [what, ...more] of [
  ["a Transfer-Encoding", ["transfer-encoding", "chunked"]],
  ["a Connection", ["connection", "keep-alive"]],
  ["two different Content-Lengths", ["content-length", "0"], ["content-length", "5"]],
  ["a Content-Length that its frames do not have", ["content-length", "5"]],
  ["a name in capitals", ["X", "y"]],
] as const) {
  test(`MeshServer: a request with ${what} is reset, and not served`, {
    timeout: 10_000,
  }, async (context) => {
    const { serve } = meshFixture(context);
    const { server, port } = await serve();
    const headers = [...fields, ...more].map(([name, value]) => literalHeader(name, value));
    // END_STREAM and END_HEADERS.
    const request = frame(headersType, 1, Buffer.concat(headers), 5);
    const received = await exchange(context, port, Buffer.concat([http2Preface, settingsFrame, request]));
    const first = framesIn(received).find(({ streamId }) => streamId === 1);
    assert.deepEqual(first, { type: resetType, streamId: 1, code: protocolError });
    assert.equal(
      framesIn(received).some(({ type, streamId }) => type === dataType && streamId === 1),
      false,
    );
    assert.equal(server.stats.requests, 0);
  });
}
