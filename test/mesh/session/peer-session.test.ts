import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { streamsPerSessionMax } from "../../../src/mesh/session/http2-limits.ts";
import { membershipOf, meshFixture } from "../../support/mesh-fixture.ts";
import { until } from "../../support/until.ts";

function unreachable(reason: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof ConnectError, String(error));
    assert.equal(error.code, Code.Unavailable, error.message);
    assert.match(error.message, reason);
    return true;
  };
}

const hold = new Map([
  ["/hold", (stream: ServerHttp2Stream) => stream.respond({ ":status": 200 })],
  ["/end", (stream: ServerHttp2Stream) => stream.respond({ ":status": 200 }, { endStream: true })],
]);

/** A server that accepts connections, and never answers. */
async function blackHole(
  context: TestContext,
): Promise<{ readonly address: string; readonly accepted: Socket[] }> {
  const accepted: Socket[] = [];
  const server: Server = createServer((socket) => void accepted.push(socket.on("error", () => undefined)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.close();
    for (const socket of accepted) socket.destroy();
  });
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, accepted };
}

interface Cable {
  readonly address: string;
  /** Bytes received from the server. */
  bytes(): number;
  /** Drops all bytes of the open connections, without closing them. */
  cut(): void;
}

/** A connection to `port` that a test can interrupt. */
async function between(context: TestContext, port: number): Promise<Cable> {
  const connected = new Set<Socket>();
  let bytes = 0;
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1").on("error", () => undefined);
    connected.add(near.on("error", () => undefined));
    near.on("data", (data) => void (connected.has(near) && far.write(data)));
    far.on("data", (data) => {
      if (!connected.has(near)) return;
      bytes += data.length;
      near.write(data);
    });
    near.on("close", () => far.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => void server.close());
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    bytes: () => bytes,
    cut: () => connected.clear(),
  };
}

test("PeerSession: control and bytes have a session each, opened at the first use and then shared", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { server, address } = await serve({ handlers: hold });
  const mesh = peers();
  assert.equal(mesh.at(address).streams, 0);
  assert.equal(server.stats.sessionsOpen, 0);
  const control = membershipOf(mesh, address);
  await Promise.all([control.ping({}), control.ping({}), control.ping({})]);
  assert.equal(server.stats.sessions, 1);
  await Promise.all([1, 2, 3].map(() => mesh.at(address).request("/hold", {})));
  assert.equal(mesh.at(address).streams, 3);
  assert.deepEqual(
    { ...mesh.stats },
    {
      sessions: 2,
      sessionsOpen: 2,
      sessionsDead: 0,
      connectFailures: 0,
      requestsWhileDown: 0,
      streams: 6,
    },
  );
});

test("PeerSession: a connection attempt ends at the connect deadline", async (context) => {
  const { clock, peers } = meshFixture(context);
  const sockets: Socket[] = [];
  const dial = (): Socket => {
    // The name is never resolved. The socket waits as it does for a host that does not answer.
    const socket = new Socket().connect({ host: "peer.invalid", port: 1, lookup: () => undefined });
    sockets.push(socket);
    return socket;
  };
  const mesh = peers({ dial, connectTimeoutMs: 1000 });
  const asked = assert.rejects(
    mesh.at("192.0.2.1:8444").request("/hold", {}),
    unreachable(/Cannot reach 192\.0\.2\.1:8444: no connection within 1000 ms/),
  );
  await clock.advance(999);
  assert.equal(sockets[0]?.destroyed, false);
  await clock.advance(1);
  await asked;
  assert.equal(sockets[0]?.destroyed, true);
  assert.equal(mesh.handshakeFailures.counts.timeout, 1);
});

test("PeerSession: a peer that accepts and never answers costs its first caller a deadline, the next ones nothing", async (context) => {
  const { clock, peers } = meshFixture(context);
  const { address, accepted } = await blackHole(context);
  const mesh = peers({ handshakeTimeoutMs: 2000 });
  const ask = (): Promise<unknown> => mesh.at(address).request("/hold", {});
  const first = assert.rejects(ask(), unreachable(/no HTTP\/2 SETTINGS within 2000 ms/));
  await until(() => accepted.length === 1);
  await clock.advance(2000);
  await first;
  await assert.rejects(
    ask(),
    unreachable(/no HTTP\/2 SETTINGS within 2000 ms; the next attempt is in \d+ ms/),
  );
  assert.equal(mesh.stats.connectFailures, 1);
  assert.equal(mesh.stats.requestsWhileDown, 1);
  assert.equal(accepted.length, 1);
  assert.equal(clock.pendingTimers, 0);
});

test("PeerSession: an unreachable peer is tried again after a growing backoff, and found when it is back", async (context) => {
  const { clock, serve, peers } = meshFixture(context);
  const { server, port, address } = await serve();
  const drained = server.drain(0);
  await clock.advance(0);
  await drained;
  const mesh = peers({ backoffInitialMs: 100, backoffMaxMs: 400 });
  const ping = (): Promise<unknown> => membershipOf(mesh, address).ping({});
  // Each wait is at most the ceiling of its attempt: 100, 200, 400, 400 ms.
  for (const [attempts, ceilingMs] of [100, 200, 400, 400].entries()) {
    await assert.rejects(ping(), unreachable(/ECONNREFUSED/));
    assert.equal(mesh.stats.connectFailures, attempts + 1);
    await clock.advance(ceilingMs / 2 - 1);
    await assert.rejects(ping(), unreachable(/the next attempt is in/));
    assert.equal(mesh.stats.connectFailures, attempts + 1);
    await clock.advance(ceilingMs / 2 + 1);
  }
  await serve({ port });
  assert.ok(await ping());
});

test("PeerSession: pings detect a dead peer, and its streams end", async (context) => {
  const { clock, serve, peers } = meshFixture(context);
  const { port } = await serve({ handlers: hold, pingIntervalMs: 3_600_000 });
  const cable = await between(context, port);
  const mesh = peers({ pingIntervalMs: 5000 });
  const stream = await mesh.at(cable.address).request("/hold", {});
  await once(stream, "response");
  for (let count = 0; count < 10; count += 1) {
    const passed = cable.bytes();
    await clock.advance(5000);
    await until(() => cable.bytes() > passed);
    await clock.advance(0);
  }
  assert.equal(mesh.stats.sessionsDead, 0);
  cable.cut();
  await clock.advance(15_000);
  await until(() => stream.destroyed);
  assert.equal(mesh.stats.sessionsDead, 1);
  await until(() => mesh.stats.sessionsOpen === 0);
  assert.ok(await mesh.at(cable.address).request("/hold", {}));
  assert.equal(mesh.stats.sessions, 2);
});

test("PeerSession: an idle session without streams is closed, one with a stream is not", async (context) => {
  const { clock, serve, peers } = meshFixture(context);
  const { address, server } = await serve({ handlers: hold });
  const mesh = peers({ idleTimeoutMs: 1000 });
  const stream = await mesh.at(address).request("/hold", {});
  await clock.advance(5000);
  assert.equal(mesh.stats.sessionsOpen, 1);
  stream.close();
  await once(stream, "close");
  await clock.advance(999);
  assert.equal(mesh.stats.sessionsOpen, 1);
  await clock.advance(1);
  await until(() => mesh.stats.sessionsOpen === 0 && server.stats.sessionsOpen === 0);
  const again = await mesh.at(address).request("/end", {});
  await once(again.resume(), "close");
  assert.equal(mesh.stats.sessions, 2);
});

test("PeerSession: one stream more than the limit fails, and the others continue", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { address } = await serve({ handlers: hold });
  const peer = peers().at(address);
  const streams = await Promise.all(
    Array.from({ length: streamsPerSessionMax }, () => peer.request("/hold", {})),
  );
  await assert.rejects(peer.request("/hold", {}), { code: Code.ResourceExhausted });
  const [first] = streams;
  assert.ok(first);
  first.close();
  await once(first, "close");
  assert.ok(await peer.request("/hold", {}));
});

test("PeerSession: after GOAWAY, running streams finish, and the next stream opens a new session", async (context) => {
  const { serve, peers } = meshFixture(context);
  const goers: ServerHttp2Stream[] = [];
  const handlers = new Map([
    [
      "/go",
      (stream: ServerHttp2Stream) => {
        stream.respond({ ":status": 200 });
        goers.push(stream);
        stream.session?.close();
      },
    ],
    ...hold,
  ]);
  const { address } = await serve({ handlers });
  const mesh = peers();
  const first = (await mesh.at(address).request("/go", {})).setEncoding("utf8");
  let received = "";
  first.on("data", (text: string) => void (received += text));
  await until(() => goers.length === 1 && first.session?.closed === true);
  assert.ok(await mesh.at(address).request("/hold", {}));
  assert.equal(mesh.stats.sessionsOpen, 2);
  goers[0]?.end("finished");
  await once(first, "close");
  assert.equal(received, "finished");
  await until(() => mesh.stats.sessionsOpen === 1);
});

test("PeerSession: closing while it connects fails the requests that wait", async (context) => {
  const { clock, peers } = meshFixture(context);
  const { address, accepted } = await blackHole(context);
  const mesh = peers();
  const asked = assert.rejects(mesh.at(address).request("/hold", {}), unreachable(/is being closed/));
  await until(() => accepted.length === 1);
  mesh.close();
  await asked;
  assert.equal(mesh.stats.connectFailures, 0);
  assert.equal(clock.pendingTimers, 0);
});
