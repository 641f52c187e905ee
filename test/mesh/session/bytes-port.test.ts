import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import { connect, Socket } from "node:net";
import { after, before, type TestContext, test } from "node:test";
import { offeredPort } from "../../../src/mesh/session/bytes-port.ts";
import type { MeshServer, StreamHandler } from "../../../src/mesh/session/mesh-server.ts";
import type { MeshTls } from "../../../src/mesh/session/mesh-tls.ts";
import type { Peer } from "../../../src/mesh/session/peer.ts";
import type { Peers } from "../../../src/mesh/session/peers.ts";
import { ClusterCertificates } from "../../support/cluster-certificates.ts";
import { type MeshFixture, meshFixture } from "../../support/mesh-fixture.ts";
import { freePort } from "../../support/process.ts";
import { until } from "../../support/until.ts";

let certificates: ClusterCertificates;

before(async () => {
  certificates = await ClusterCertificates.create();
});

after(() => certificates.remove());

const answer: StreamHandler = (stream: ServerHttp2Stream) =>
  stream.respond({ ":status": 200 }, { endStream: true });
const handlers = new Map([["/bytes", answer]]);

interface Fixture extends MeshFixture {
  readonly own: MeshTls;
  readonly mesh: Peers;
}

async function fixture(context: TestContext): Promise<Fixture> {
  const all = meshFixture(context);
  const own = await all.tls(await certificates.files("r1"));
  return { ...all, own, mesh: all.peers({ tls: own }) };
}

async function read(peer: Peer): Promise<void> {
  const stream = await peer.request("/bytes", {});
  stream.resume();
  await once(stream, "close");
}

/** Resolves when a read has gone to the other server than the first ones. */
function readUntilMoved(peer: Peer, { stats }: MeshServer): Promise<void> {
  return until(async () => {
    await read(peer);
    return stats.requests > 0;
  });
}

test("offeredPort: a port of the same host over HTTP/2, and nothing else", () => {
  assert.equal(offeredPort('h2=":8445"'), 8445);
  for (const offer of [
    "",
    "clear",
    'h2=":0"',
    'h2=":65536"',
    'h2=":08445"',
    'h2="other:8445"',
    'h3=":8445"',
    'h2=":8445"; ma=60',
    'h2=":-1"',
  ]) {
    assert.equal(offeredPort(offer), undefined, offer);
  }
});

test("Peer.bytes: the first read goes to the mesh port, and later ones to the port that it offers", async (context) => {
  const { serve, own, mesh } = await fixture(context);
  const bytes = await serve({ tls: own, handlers });
  const { server, address } = await serve({ tls: own, handlers }, bytes.port);
  const peer = mesh.at(address);
  await read(peer);
  assert.equal(server.stats.requests, 1);
  await readUntilMoved(peer, bytes.server);
  const atMesh = server.stats.requests;
  for (let count = 0; count < 10; count += 1) await read(peer);
  assert.equal(server.stats.requests, atMesh);
  assert.equal(bytes.server.stats.sessions, 1);
});

test("Peer.bytes: a port that cannot be reached fails no read, and is tried again after pauses", async (context) => {
  const { serve, own, mesh, clock } = await fixture(context);
  const { server, address } = await serve({ tls: own, handlers }, await freePort());
  const peer = mesh.at(address);
  await read(peer);
  await until(() => mesh.stats.connectFailures === 1);
  for (let count = 0; count < 10; count += 1) await read(peer);
  assert.equal(mesh.stats.connectFailures, 1, "nobody tries within the pause");
  await clock.advance(1000);
  await read(peer);
  await until(() => mesh.stats.connectFailures === 2);
  assert.equal(server.stats.requests, 12);
  assert.equal(mesh.stats.requestsWhileDown, 0);
});

test("Peer.bytes: no read waits for a port that a firewall drops", async (context) => {
  const { serve, own, peers, clock } = await fixture(context);
  const closedPort = await freePort();
  const { server, address } = await serve({ tls: own, handlers }, closedPort);
  let dropped = 0;
  const mesh = peers({
    tls: own,
    dial: (host, port) => {
      if (port !== closedPort) return connect({ host, port });
      dropped += 1;
      return new Socket();
    },
  });
  const peer = mesh.at(address);
  await read(peer);
  await until(() => dropped === 1);
  // The clock stands still, so a read that waited for the port would never end.
  for (let count = 0; count < 10; count += 1) await read(peer);
  assert.equal(server.stats.requests, 11);
  assert.equal(mesh.stats.connectFailures, 0);
  await clock.advance(1000);
  assert.equal(mesh.stats.connectFailures, 1);
  await read(peer);
  assert.equal(dropped, 1);
});

test("Peer.bytes: a port with another cluster's certificate, or without TLS, is not used", async (context) => {
  const { serve, own, mesh, tls } = await fixture(context);
  const foreign = await tls(await certificates.files("x", { hosts: ["other.internal"] }), "other.internal");
  for (const other of [foreign, undefined]) {
    const bytes = await serve({ tls: other, handlers });
    const { server, address } = await serve({ tls: own, handlers }, bytes.port);
    const failures = mesh.stats.connectFailures;
    const peer = mesh.at(address);
    await read(peer);
    await until(() => mesh.stats.connectFailures > failures);
    await read(peer);
    assert.equal(server.stats.requests, 2);
    assert.equal(bytes.server.stats.requests, 0);
  }
});

test("Peer.bytes: when the port closes, reads go to the mesh port again", async (context) => {
  const { serve, own, mesh } = await fixture(context);
  const bytes = await serve({ tls: own, handlers });
  const { server, address } = await serve({ tls: own, handlers }, bytes.port);
  const peer = mesh.at(address);
  await readUntilMoved(peer, bytes.server);
  await bytes.server.close();
  await until(() => server.stats.sessionsOpen + mesh.stats.sessionsOpen === 2);
  const atMesh = server.stats.requests;
  await read(peer);
  assert.equal(server.stats.requests, atMesh + 1);
});

test("Peer.bytes: after a rest the port is offered anew, and no connection to it is cut", async (context) => {
  const { serve, own, peers, clock } = await fixture(context);
  const bytes = await serve({ tls: own, handlers });
  const { server, address } = await serve({ tls: own, handlers }, bytes.port);
  let dialed = 0;
  const mesh = peers({
    tls: own,
    idleTimeoutMs: 100,
    dial: (host, port) => {
      if (port === bytes.port) dialed += 1;
      return connect({ host, port });
    },
  });
  const peer = mesh.at(address);
  await readUntilMoved(peer, bytes.server);
  await clock.advance(100);
  await until(
    () => mesh.stats.sessionsOpen + server.stats.sessionsOpen + bytes.server.stats.sessionsOpen === 0,
  );
  const atPort = bytes.server.stats.requests;
  await until(async () => {
    await read(peer);
    return bytes.server.stats.requests > atPort;
  });
  assert.equal(dialed, 2);
});

test("Peer.bytes: an offer ends with the process that made it", async (context) => {
  const { serve, own, mesh } = await fixture(context);
  const bytes = await serve({ tls: own, handlers });
  const first = await serve({ tls: own, handlers }, bytes.port);
  const peer = mesh.at(first.address);
  await readUntilMoved(peer, bytes.server);
  await Promise.all([first.server.close(), bytes.server.close()]);
  await until(() => mesh.stats.sessionsOpen === 0);
  const second = await serve({ tls: own, handlers, port: first.port });
  const failures = mesh.stats.connectFailures;
  // The first may find the old port closed; the session that it opens then offers none.
  for (let count = 0; count < 3; count += 1) await read(peer);
  assert.equal(second.server.stats.requests, 3);
  assert.ok(mesh.stats.connectFailures <= failures + 1);
});
