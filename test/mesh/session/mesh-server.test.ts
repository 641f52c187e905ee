import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, constants, type ServerHttp2Stream } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { after, type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { MembershipService, PingRequestSchema } from "../../../gen/orca/v1/membership_pb.ts";
import { MiB } from "../../../src/base/units.ts";
import { messageBytesMax, streamsPerSessionMax } from "../../../src/mesh/session/http2-limits.ts";
import { MeshServer } from "../../../src/mesh/session/mesh-server.ts";
import { ClusterCertificates } from "../../support/cluster-certificates.ts";
import { frame, http2Preface, settingsFrame } from "../../support/http2-frames.ts";
import { membershipOf, meshFixture, zeros } from "../../support/mesh-fixture.ts";
import { neverDies } from "../../support/never-dies.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { until } from "../../support/until.ts";

const cluster = await ClusterCertificates.create();
after(() => cluster.remove());

const pingPath = "/orca.v1.MembershipService/Ping";
function dial(context: TestContext, port: number): Socket {
  const socket = connectTcp(port, "127.0.0.1").on("error", () => undefined);
  context.after(() => socket.destroy());
  return socket;
}

/** A stream that the test ends. */
function held(): {
  readonly streams: ServerHttp2Stream[];
  readonly handlers: Map<string, (stream: ServerHttp2Stream) => void>;
} {
  const streams: ServerHttp2Stream[] = [];
  const hold = (stream: ServerHttp2Stream): void => {
    stream.respond({ ":status": 200 });
    streams.push(stream);
  };
  return { streams, handlers: new Map([["/hold", hold]]) };
}

test("MeshServer: without TLS it serves, and warns that any client is a member", async (context) => {
  const { serve, peers, logger } = meshFixture(context);
  const { server, address } = await serve();
  const { responder } = await membershipOf(peers(), address).ping({ targetId: "a" });
  assert.equal(responder?.replicaId, "a");
  assert.equal(server.stats.requests, 1);
  assert.equal(logger.count("warn"), 1);
});

test("MeshServer: a path with a handler goes to its handler, all others go to Connect", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { address } = await serve({ handlers: new Map([["/raw", zeros(3)]]) });
  const mesh = peers();
  const raw = await mesh.at(address).request("/raw", {});
  let bytes = 0;
  raw.on("data", (data: Buffer) => void (bytes += data.length));
  await once(raw, "close");
  assert.equal(bytes, 3);
  const unknown = await mesh.at(address).request("/nowhere", {});
  unknown.end();
  const [headers] = (await once(unknown, "response")) as [Record<string, unknown>];
  assert.equal(headers[":status"], 404);
  unknown.resume();
  await once(unknown, "close");
});

test("MeshServer: serves gRPC clients, too", async (context) => {
  const { serve } = meshFixture(context);
  const { port } = await serve();
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  context.after(() => session.destroy());
  const transport = createGrpcTransport({
    baseUrl: `http://127.0.0.1:${port}`,
    sessionManager: {
      authority: `http://127.0.0.1:${port}`,
      request: async (method, path, headers, options) =>
        session.request({ ...headers, ":method": method, ":path": path }, options),
      notifyResponseByteRead: () => undefined,
    },
  });
  const { responder } = await createClient(MembershipService, transport).ping({ targetId: "g" });
  assert.equal(responder?.replicaId, "g");
});

test("MeshServer: rejects a message over the limit and a compressed one, and the session lives", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { server, address } = await serve();
  const mesh = peers();
  const large = create(PingRequestSchema, { targetId: "x".repeat(messageBytesMax + 1) });
  const post = async (body: Uint8Array, headers: Record<string, string>): Promise<number> => {
    const stream = await mesh
      .at(address)
      .request(pingPath, { "content-type": "application/proto", ...headers });
    stream.end(body);
    stream.resume();
    const [answer] = (await once(stream, "response")) as [{ ":status": number }];
    return answer[":status"];
  };
  assert.equal(await post(toBinary(PingRequestSchema, large), {}), 429);
  const bomb = gzipSync(toBinary(PingRequestSchema, large));
  assert.ok(bomb.length < 10_000);
  assert.equal(await post(bomb, { "content-encoding": "gzip" }), 501);
  await assert.rejects(membershipOf(mesh, address).ping(large), { code: Code.ResourceExhausted });
  assert.ok(await membershipOf(mesh, address).ping({}));
  assert.equal(server.stats.sessionsBroken, 0);
});

test("MeshServer: sends 256 MiB over TLS, within the receiver's window and without ENHANCE_YOUR_CALM", async (context) => {
  const { tls, serve, peers } = meshFixture(context);
  const size = 256 * MiB;
  const files = await cluster.files("a");
  const { address } = await serve({ tls: await tls(files), handlers: new Map([["/zeros", zeros(size)]]) });
  const mesh = peers({ tls: await tls(files) });
  const stream = await mesh.at(address).request("/zeros", {});
  let [bytes, bufferedMax, pieces] = [0, 0, 0];
  stream.on("data", (data: Buffer) => {
    bytes += data.length;
    bufferedMax = Math.max(bufferedMax, stream.readableLength);
    pieces += 1;
    // The reader stops for a moment every 16 MiB. The window of the stream bounds the bytes that arrive meanwhile.
    if (pieces % 1024 === 0) {
      stream.pause();
      setImmediate(() => stream.resume());
    }
  });
  await once(stream, "close");
  assert.equal(bytes, size);
  assert.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR);
  assert.ok(bufferedMax <= MiB, `${bufferedMax} bytes were buffered`);
});

test("MeshServer: many unread streams block neither another stream nor the session", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { address } = await serve({ handlers: new Map([["/zeros", zeros(4 * MiB)]]) });
  const peer = peers().at(address);
  const stalled = await Promise.all(Array.from({ length: 100 }, () => peer.request("/zeros", {})));
  const read = async (): Promise<number> => {
    const stream = await peer.request("/zeros", {});
    let bytes = 0;
    stream.on("data", (data: Buffer) => void (bytes += data.length));
    await once(stream, "close");
    return bytes;
  };
  assert.equal(await read(), 4 * MiB);
  for (const stream of stalled) stream.close(constants.NGHTTP2_CANCEL);
  assert.equal(await read(), 4 * MiB);
});

test("MeshServer: a client that does not finish the HTTP/2 handshake is cut at the deadline, and counted", async (context) => {
  const { serve, clock } = meshFixture(context);
  const { server, port } = await serve({ handshakeTimeoutMs: 3000 });
  const silent = dial(context, port).resume();
  await until(() => server.stats.sessionsOpen === 1);
  await clock.advance(2999);
  assert.equal(server.stats.sessionsOpen, 1);
  await clock.advance(1);
  await until(() => silent.closed);
  assert.equal(server.handshakeFailures.counts.timeout, 1);
  assert.equal(server.stats.sessions, 0);
});

test("MeshServer: a client that does not finish TLS is cut at the deadline, and counted", async (context) => {
  const { serve, tls } = meshFixture(context);
  // This deadline is Node's own, and uses the system's time.
  const { server, port } = await serve({ tls: await tls(await cluster.files("a")), handshakeTimeoutMs: 20 });
  await once(dial(context, port), "close");
  await until(() => server.handshakeFailures.counts.timeout === 1);
});

test("MeshServer: a flood of pings whose answers are not read ends the session", async (context) => {
  const { serve } = meshFixture(context);
  const { server, port } = await serve();
  const socket = dial(context, port);
  socket.write(Buffer.concat([http2Preface, settingsFrame]));
  await until(() => server.stats.sessions === 1);
  const pings = Buffer.concat(Array.from({ length: 5000 }, () => frame(6, 0, Buffer.alloc(8))));
  let ended = false;
  socket.once("close", () => {
    ended = true;
  });
  const flood = (): void => {
    if (!ended && server.stats.sessionsOpen > 0) socket.write(pings, flood);
  };
  flood();
  await until(() => server.stats.sessionsOpen === 0);
  assert.equal(server.stats.sessionsBroken, 1);
});

test("MeshServer: a flood of streams that are reset at once ends the session (CVE-2023-44487)", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { server, port, address } = await serve();
  const session = connectHttp2(`http://127.0.0.1:${port}`).on("error", () => undefined);
  context.after(() => session.destroy());
  await until(() => server.stats.sessions === 1);
  const flood = setInterval(() => {
    for (let count = 0; count < 1000 && !session.destroyed && !session.closed; count += 1) {
      const stream = session.request({ ":path": pingPath, ":method": "POST" }).on("error", () => undefined);
      stream.close(constants.NGHTTP2_CANCEL);
    }
  });
  context.after(() => clearInterval(flood));
  await until(() => server.stats.sessionsOpen === 0);
  assert.ok(await membershipOf(peers(), address).ping({}));
});

test("MeshServer: an address that reconnects after each flood has few connections left", async (context) => {
  const { serve, peers, clock } = meshFixture(context);
  const connectionRate = { perSecond: 1, burst: 10, brokenCost: 4 };
  const { server, port, address } = await serve({ connectionRate });
  const tooMany = Buffer.concat(Array.from({ length: 100 }, () => Buffer.from([0, 3, 0, 0, 1, 0])));
  for (let count = 0; count < 30; count += 1) {
    const socket = dial(context, port).resume();
    socket.write(Buffer.concat([http2Preface, settingsFrame, frame(4, 0, tooMany)]));
    await until(() => socket.closed);
  }
  assert.ok(server.stats.connectionsOverRate >= 27, `${server.stats.connectionsOverRate} were dropped`);
  await clock.advance(30_000);
  assert.ok(await membershipOf(peers(), address).ping({}));
});

test("MeshServer: resets over their rate end the session, and count as a broken one", async (context) => {
  const { serve } = meshFixture(context);
  const connectionRate = { perSecond: 1, burst: 5, brokenCost: 100 };
  const { server, port } = await serve({ connectionRate });
  const headers = Buffer.from("\x82\x86\x01\x01a\x04\x05/hold", "latin1");
  const resets: Buffer[] = [];
  for (let streamId = 1; streamId < 20_000; streamId += 2) {
    resets.push(frame(1, streamId, headers, 5), frame(3, streamId, Buffer.from([0, 0, 0, 8])));
  }
  const socket = dial(context, port).resume();
  socket.write(Buffer.concat([http2Preface, settingsFrame, ...resets]));
  await until(() => socket.closed);
  await until(() => server.stats.sessionsOpen === 0);
  assert.equal(server.stats.sessionsBroken, 1);
  await once(dial(context, port).resume(), "close");
  assert.equal(server.stats.connectionsOverRate, 1);
});

test("MeshServer: a peer that crashes and comes back is not held to a budget for floods", async (context) => {
  const { serve } = meshFixture(context);
  const connectionRate = { perSecond: 1, burst: 30, brokenCost: 100 };
  const { server, port } = await serve({ connectionRate });
  for (let count = 1; count <= 20; count += 1) {
    const socket = dial(context, port).resume();
    socket.write(Buffer.concat([http2Preface, settingsFrame]));
    await until(() => server.stats.sessions === count);
    socket.resetAndDestroy();
    await until(() => server.stats.sessionsOpen === 0);
  }
  assert.equal(server.stats.connectionsOverRate, 0);
});

test("MeshServer: a flood of settings and a broken frame end the session", async (context) => {
  const { serve } = meshFixture(context);
  const { server, port } = await serve();
  const tooMany = Buffer.concat(Array.from({ length: 100 }, () => Buffer.from([0, 3, 0, 0, 1, 0])));
  const oversize = Buffer.concat([
    frame(0, 1).subarray(0, 0),
    Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]),
  ]);
  for (const [index, bytes] of [frame(4, 0, tooMany), oversize].entries()) {
    const socket = dial(context, port).resume();
    socket.write(Buffer.concat([http2Preface, settingsFrame]));
    await until(() => server.stats.sessions === index + 1);
    socket.write(bytes);
    await once(socket, "close");
    await until(() => server.stats.sessionsOpen === 0);
  }
});

test("MeshServer: headers over the limit are rejected before the handler", async (context) => {
  const { serve } = meshFixture(context);
  const { streams, handlers } = held();
  const { port } = await serve({ handlers });
  const session = connectHttp2(`http://127.0.0.1:${port}`).on("error", () => undefined);
  context.after(() => session.destroy());
  await once(session, "remoteSettings");
  // The limit applies when the client has acknowledged it. The answer to a ping comes later.
  await new Promise<void>((resolve) => void session.ping(() => resolve()));
  const stream = session
    .request({ ":path": "/hold", large: "x".repeat(20_000) })
    .on("error", () => undefined)
    .resume();
  await until(() => stream.destroyed);
  assert.equal(stream.rstCode, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  assert.equal(streams.length, 0);
});

test("MeshServer: streams over the limit wait for others to end", async (context) => {
  const { serve } = meshFixture(context);
  const { streams, handlers } = held();
  const { port } = await serve({ handlers });
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  context.after(() => session.destroy());
  await once(session, "remoteSettings");
  assert.equal(session.remoteSettings.maxConcurrentStreams, streamsPerSessionMax);
  const asked = Array.from({ length: streamsPerSessionMax + 1 }, () =>
    session.request({ ":path": "/hold" }).resume(),
  );
  await until(() => streams.length === streamsPerSessionMax);
  for (const stream of asked.slice(0, 1)) stream.close();
  streams[0]?.end();
  await until(() => streams.length === streamsPerSessionMax + 1);
});

test("MeshServer: connections over the limit are closed without an answer", async (context) => {
  const { serve } = meshFixture(context);
  const { server, port } = await serve({ connectionsMax: 2 });
  for (let count = 0; count < 2; count += 1)
    dial(context, port).write(Buffer.concat([http2Preface, settingsFrame]));
  await until(() => server.stats.sessions === 2);
  await once(dial(context, port).resume(), "close");
  assert.equal(server.stats.connectionsDropped, 1);
  assert.equal(server.stats.sessionsOpen, 2);
});

test("MeshServer: pings detect a dead client, and its streams end", async (context) => {
  const { serve, clock } = meshFixture(context);
  const { streams, handlers } = held();
  const { server, port } = await serve({ handlers, pingIntervalMs: 5000 });
  const socket = dial(context, port);
  // HPACK (RFC 7541): GET and http from the static table, then :authority "a" and :path "/hold" as literals.
  const headers = Buffer.from("\x82\x86\x01\x01a\x04\x05/hold", "latin1");
  socket.write(Buffer.concat([http2Preface, settingsFrame, frame(1, 1, headers, 5)]));
  await until(() => streams.length === 1);
  await clock.advance(14_999);
  assert.equal(server.stats.sessionsOpen, 1);
  await clock.advance(1);
  await until(() => server.stats.sessionsOpen === 0);
  assert.equal(server.stats.sessionsDead, 1);
  assert.equal(streams[0]?.destroyed, true);
});

test("MeshServer.drain: running streams finish, and new ones go to another replica", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { streams, handlers } = held();
  const { server, address } = await serve({ handlers });
  const mesh = peers();
  const stream = (await mesh.at(address).request("/hold", {})).setEncoding("utf8");
  let received = "";
  stream.on("data", (text: string) => void (received += text));
  await until(() => streams.length === 1);
  const drained = server.drain(10_000);
  await assert.rejects(
    (async () => {
      for (;;) {
        (await mesh.at(address).request("/hold", {})).close();
        await new Promise((resolve) => setImmediate(resolve));
      }
    })(),
    { code: Code.Unavailable },
  );
  streams[0]?.end("to its end");
  await once(stream, "close");
  assert.equal(await drained, 0);
  assert.equal(received, "to its end");
});

test("MeshServer.drain: streams that run past the deadline are cut, and counted", async (context) => {
  const { serve, peers, clock } = meshFixture(context);
  const { streams, handlers } = held();
  const { server, address } = await serve({ handlers });
  const stream = await peers().at(address).request("/hold", {});
  await until(() => streams.length === 1);
  const drained = server.drain(10_000);
  await clock.advance(10_000);
  assert.equal(await drained, 1);
  if (!stream.closed) await once(stream, "close");
});

test("MeshServer.close: cuts running streams, any number of times, and also closes a server that never started", async (context) => {
  const { serve, peers, clock } = meshFixture(context);
  const { streams, handlers } = held();
  const { server, address } = await serve({ handlers });
  const stream = await peers().at(address).request("/hold", {});
  await until(() => streams.length === 1);
  await Promise.all([server.close(), server.close()]);
  await server.close();
  if (!stream.closed) await once(stream, "close");
  assert.equal(server.stats.sessionsOpen, 0);
  const never = new MeshServer({
    host: "127.0.0.1",
    port: 0,
    tls: undefined,
    handlers,
    routes: () => {},
    clock,
    logger: new RecordedLogger(),
    onDied: neverDies,
  });
  await never.close();
});

test("MeshServer.start: an address in use is config_invalid", async (context) => {
  const { serve } = meshFixture(context);
  const { port } = await serve();
  await assert.rejects(serve({ port }), {
    code: "config_invalid",
    message: /^Cannot listen for other replicas on "127\.0\.0\.1:\d+": .*EADDRINUSE/,
  });
});
