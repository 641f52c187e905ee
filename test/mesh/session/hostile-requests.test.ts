/** Requests that no replica sends. Each of them may cost its own stream, and never the process or the session of another. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, constants, type ServerHttp2Stream } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { after, type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { create } from "@bufbuild/protobuf";
import { MembershipService, PingResponseSchema } from "../../../gen/orca/v1/membership_pb.ts";
import { FillChunkHandler, fillChunkPath } from "../../../src/mesh/fill-chunk/fill-chunk-handler.ts";
import type { MeshTls } from "../../../src/mesh/session/mesh-tls.ts";
import { ClusterCertificates } from "../../support/cluster-certificates.ts";
import { frame, http2Preface, literalHeader, settingsFrame } from "../../support/http2-frames.ts";
import { type MeshFixture, membershipOf, meshFixture } from "../../support/mesh-fixture.ts";
import { until } from "../../support/until.ts";

const cluster = await ClusterCertificates.create();
after(() => cluster.remove());

const pingPath = "/orca.v1.MembershipService/Ping";

const endStream = 0x1;
const endHeaders = 0x4;

const transports = ["plain", "TLS"] as const;

async function tlsFor(
  fixture: MeshFixture,
  transport: (typeof transports)[number],
): Promise<MeshTls | undefined> {
  return transport === "TLS" ? fixture.tls(await cluster.files("a")) : undefined;
}

function dial(context: TestContext, port: number, tls: MeshTls | undefined): Socket {
  const socket = tls
    ? connectTls({ ...tls.clientOptions, host: "127.0.0.1", port })
    : connectTcp(port, "127.0.0.1");
  context.after(() => socket.destroy());
  return socket.on("error", () => undefined).resume();
}

/** A HEADERS frame of a request, with exactly these fields. */
function request(
  streamId: number,
  fields: Readonly<Record<string, string>>,
  flags = endHeaders | endStream,
): Buffer {
  const block = Buffer.concat(Object.entries(fields).map(([name, value]) => literalHeader(name, value)));
  return frame(1, streamId, block, flags);
}

/** The types of the frames that arrive, until `isEnough` of them have. */
async function answerTypes(socket: Socket, isEnough: (types: number[]) => boolean): Promise<number[]> {
  let received: Buffer = Buffer.alloc(0);
  let types: number[] = [];
  socket.on("data", (slice: Buffer) => {
    received = Buffer.concat([received, slice]);
    types = [];
    for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3)) {
      types.push(received[at + 3] as number);
    }
  });
  await until(() => isEnough(types));
  return types;
}

/** A handler with a fault, before its answer on one stream and after the head of its answer on the other. */
function fail(stream: ServerHttp2Stream): void {
  if (stream.id === 3) stream.respond({ ":status": 200 });
  throw new TypeError("Invalid URL");
}

const resetFrame = (streamId: number): Buffer =>
  frame(3, streamId, Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL]));

const oddAuthorities = ["[", "]", "a b", "%", "::::", "host:99999", "[::1", "\u0080", "user@[", "/", "?", ""];

for (const transport of transports) {
  test(`MeshServer: a request with an odd :authority is answered (${transport})`, async (context) => {
    const fixture = meshFixture(context);
    const tls = await tlsFor(fixture, transport);
    const { server, port, address } = await fixture.serve({ tls });
    const fields = {
      ":method": "POST",
      ":scheme": "http",
      ":path": pingPath,
      "content-type": "application/proto",
    };
    for (const authority of oddAuthorities) {
      const served = server.stats.requests;
      const socket = dial(context, port, tls);
      const headers = request(1, { ":authority": authority, ...fields });
      socket.write(Buffer.concat([http2Preface, settingsFrame, headers]));
      // Some of them nghttp2 rejects by itself: it resets the stream.
      const type = { answer: 1, reset: 3, goaway: 7 };
      const answers = await answerTypes(socket, (types) =>
        Object.values(type).some((each) => types.includes(each)),
      );
      assert.equal(answers.includes(type.answer), server.stats.requests > served, JSON.stringify(authority));
    }
    assert.ok(server.stats.requests > 5, `${server.stats.requests} requests`);
    assert.ok(await membershipOf(fixture.peers({ tls }), address).ping({}));
    assert.equal(server.stats.requestsFailed, 0);
  });

  test(`MeshServer: a request that is reset before it is served costs nothing (${transport})`, async (context) => {
    const fixture = meshFixture(context);
    const tls = await tlsFor(fixture, transport);
    const fills = new FillChunkHandler({ answer: () => assert.fail("no fill begins"), clock: fixture.clock });
    const { server, port, address } = await fixture.serve({
      tls,
      handlers: new Map([[fillChunkPath, (stream, headers) => fills.handle(stream, headers)]]),
    });
    const socket = dial(context, port, tls);
    const frames: Buffer[] = [];
    for (const [index, path] of [pingPath, fillChunkPath, "/nowhere", fillChunkPath].entries()) {
      const method = index === 3 ? "POST" : "GET";
      const fields = { ":method": method, ":scheme": "http", ":path": path, ":authority": "a" };
      const type = index === 3 ? { "content-type": "application/grpc" } : {};
      frames.push(request(index * 2 + 1, { ...fields, ...type }), resetFrame(index * 2 + 1));
    }
    socket.write(Buffer.concat([http2Preface, settingsFrame, ...frames]));
    await until(() => server.stats.requests === 4);
    assert.ok(await membershipOf(fixture.peers({ tls }), address).ping({}));
    assert.equal(server.stats.requestsFailed, 0);
  });

  test(`MeshServer: what a handler throws ends its own request (${transport})`, async (context) => {
    const fixture = meshFixture(context);
    const tls = await tlsFor(fixture, transport);
    const { server, port, address } = await fixture.serve({ tls, handlers: new Map([["/fail", fail]]) });
    const session = tls
      ? connectHttp2(`https://127.0.0.1:${port}`, { ...tls.clientOptions })
      : connectHttp2(`http://127.0.0.1:${port}`);
    context.after(() => session.destroy());
    const first = session.request({ ":path": "/fail" }).resume();
    const [headers] = (await once(first, "response")) as [Record<string, unknown>];
    assert.equal(headers[":status"], 500);
    const second = session
      .request({ ":path": "/fail" })
      .on("error", () => undefined)
      .resume();
    await until(() => second.closed);
    assert.equal(second.rstCode, constants.NGHTTP2_INTERNAL_ERROR);
    assert.equal(server.stats.requestsFailed, 2);
    assert.equal(session.destroyed, false);
    assert.ok(await membershipOf(fixture.peers({ tls }), address).ping({}));
    assert.ok(fixture.logger.count("error") >= 1);
  });
}

test("MeshServer: odd methods, types, timeouts and headers of a call are answered", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { server, port, address } = await serve();
  const session = connectHttp2(`http://127.0.0.1:${port}`).on("error", () => undefined);
  context.after(() => session.destroy());
  const odd = [
    { ":method": "GET" },
    { ":method": "BREW", "content-type": "application/proto" },
    { "content-type": "application/proto; charset=\u00ff" },
    { "content-type": "application/grpc", "grpc-timeout": "99999999H" },
    { "content-type": "application/proto", "connect-timeout-ms": "99999999999" },
    { "content-type": "application/proto", "connect-timeout-ms": "9999999999" },
    { "content-type": "application/proto", "content-length": "0", "x-odd": "\u0080\u00ff" },
    { "content-type": "application/proto", "content-encoding": "br" },
    { "content-type": "application/json" },
    { ":path": `${pingPath}?\u00ff%`, "content-type": "application/proto" },
    { ":path": "*", ":method": "OPTIONS" },
    { ":path": "//[" },
  ];
  for (const headers of odd) {
    const stream = session
      .request({ ":method": "POST", ":path": pingPath, ...headers })
      .on("error", () => undefined)
      .resume();
    stream.end();
    await until(() => stream.closed);
  }
  assert.equal(session.destroyed, false);
  assert.ok(await membershipOf(peers(), address).ping({}));
  assert.equal(server.stats.requestsFailed, 0);
});

test("MeshServer: a call whose stream closes while it is answered ends without a trace", async (context) => {
  const gate = Promise.withResolvers<void>();
  const { serve, peers } = meshFixture(context);
  let called = 0;
  const { server, port, address } = await serve({
    routes: (router) =>
      router.service(MembershipService, {
        ping: async ({ targetId }) => {
          called += 1;
          if (targetId === "") await gate.promise;
          return create(PingResponseSchema, {});
        },
      }),
  });
  const session = connectHttp2(`http://127.0.0.1:${port}`).on("error", () => undefined);
  context.after(() => session.destroy());
  for (const type of ["application/proto", "application/grpc"]) {
    const stream = session
      .request({ ":method": "POST", ":path": pingPath, "content-type": type })
      .on("error", () => undefined);
    stream.end(type === "application/grpc" ? Buffer.alloc(5) : undefined);
  }
  await until(() => called === 2);
  session.destroy();
  await until(() => server.stats.sessionsOpen === 0);
  gate.resolve();
  assert.ok(await membershipOf(peers(), address).ping({ targetId: "a" }));
  assert.equal(server.stats.requestsFailed, 0);
});
