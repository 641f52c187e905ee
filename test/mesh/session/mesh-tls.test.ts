import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { ServerHttp2Stream } from "node:http2";
import { connect as connectTcp } from "node:net";
import { after, test } from "node:test";
import { type ConnectionOptions, connect, createServer, type TLSSocket } from "node:tls";
import { Code, ConnectError } from "@connectrpc/connect";
import type { HandshakeFailureReason } from "../../../src/mesh/session/handshake-failures.ts";
import { ClusterCertificates, serverName } from "../../support/cluster-certificates.ts";
import { membershipOf, meshFixture, pollIntervalMs } from "../../support/mesh-fixture.ts";
import { rejectsWith } from "../../support/rejects-with.ts";
import { throwsWith } from "../../support/throws-with.ts";
import { until } from "../../support/until.ts";

const cluster = await ClusterCertificates.create();
const stranger = await ClusterCertificates.create();
after(() => {
  cluster.remove();
  stranger.remove();
});

const hourMs = 3_600_000;
const pastMs = Date.now() - hourMs;
const member = await cluster.issue("member");
const ended = { notBeforeMs: pastMs - hourMs, notAfterMs: pastMs };

/** Certificates that an end that is not a member might present, and the reason to reject each. */
const impostors: readonly [HandshakeFailureReason, { cert?: string; key?: string }][] = [
  ["unknown_authority", await stranger.issue("a")],
  ["expired", await cluster.issue("a", ended)],
  ["expired", await cluster.issue("a", { notBeforeMs: Date.now() + hourMs })],
  ["wrong_identity", await cluster.issue("a", { hosts: ["other.internal", "localhost", "127.0.0.1"] })],
  ["wrong_identity", await cluster.issue(serverName, { hosts: ["*.internal"] })],
];

function attempt(port: number, options: ConnectionOptions): TLSSocket {
  const socket = connect({
    port,
    host: "127.0.0.1",
    servername: serverName,
    ca: cluster.authorityCertificate,
    ALPNProtocols: ["h2"],
    ...options,
  });
  socket.on("error", () => undefined).resume();
  return socket;
}

test("MeshTls: members of one cluster call each other over TLS 1.3", async (context) => {
  const { tls, serve, peers } = meshFixture(context);
  const { server, address } = await serve({ tls: await tls(await cluster.files("a")) });
  const mesh = peers({ tls: await tls(await cluster.files("b")) });
  const { responder } = await membershipOf(mesh, address).ping({ targetId: "a" });
  assert.equal(responder?.replicaId, "a");
  assert.equal(server.stats.sessionsOpen, 1);
  assert.ok(Object.values(server.handshakeFailures.counts).every((count) => count === 0));
});

/** A certificate for one replica alone. */
function named(id: string) {
  return { uris: [`urn:orca:replica:${id}`] };
}

test("MeshTls.bindTo: a certificate of another replica is rejected, at the start and when it is renewed", async (context) => {
  const { tls, clock } = meshFixture(context);
  const other = await tls(await cluster.files("bound", named("r2")));
  throwsWith("config_invalid", () => other.bindTo("r1"));
  const own = await tls(await cluster.files("bound", named("r1")));
  own.bindTo("r1");
  const before = own.expiresMs;
  await cluster.files("bound", { ...named("r2"), notAfterMs: before + 5 * hourMs });
  await clock.advance(pollIntervalMs);
  await until(() => own.stats.reloadFailures === 1);
  assert.equal(own.expiresMs, before);
  await cluster.files("bound", { ...named("r1"), notAfterMs: before + 5 * hourMs });
  await clock.advance(pollIntervalMs);
  await until(() => own.stats.reloads === 1);
  const unnamed = await tls(await cluster.files("unnamed"));
  unnamed.bindTo("r1");
});

test("MeshTls: the server rejects a client that is not a member, and counts the reason", async (context) => {
  const { tls, serve } = meshFixture(context);
  const { server, port } = await serve({ tls: await tls(await cluster.files("a")) });
  const { counts } = server.handshakeFailures;
  const attempts: readonly [HandshakeFailureReason, ConnectionOptions][] = [
    ...impostors,
    ["no_certificate", {}],
    ["protocol", { ...member, maxVersion: "TLSv1.2" }],
    ["protocol", { ...member, ALPNProtocols: ["http/1.1"] }],
  ];
  for (const [reason, options] of attempts) {
    const before = { ...counts };
    const socket = attempt(port, options);
    await until(() => socket.closed);
    await until(() => counts[reason] > before[reason]);
    assert.deepEqual(counts, { ...before, [reason]: before[reason] + 1 });
  }
  assert.equal(server.stats.sessions, 0);
  await until(() => server.stats.sessionsOpen === 0);
});

test("MeshTls: sessions are not resumed, so every connection presents its certificate", async (context) => {
  const { tls, serve } = meshFixture(context);
  const { server, port } = await serve({ tls: await tls(await cluster.files("a")) });
  const first = attempt(port, member);
  const tickets: Buffer[] = [];
  first.on("session", (ticket) => void tickets.push(ticket));
  // The server sends its tickets before its first frame.
  await once(first, "data");
  assert.equal(server.stats.sessionsOpen, 1);
  const again = attempt(port, { ...member, session: tickets.at(-1) ?? first.getSession() });
  await once(again, "secureConnect");
  assert.equal(again.isSessionReused(), false);
  first.destroy();
  again.destroy();
});

test("MeshTls: the server rejects a connection without TLS", async (context) => {
  const { tls, serve } = meshFixture(context);
  const { server, port } = await serve({ tls: await tls(await cluster.files("a")) });
  const socket = connectTcp(port, "127.0.0.1").on("error", () => undefined);
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  await once(socket, "close");
  await until(() => server.handshakeFailures.counts.protocol === 1);
});

test("MeshTls: the client rejects a server that is not a member, and counts the reason", async (context) => {
  const { tls, peers } = meshFixture(context);
  const clientTls = await tls(await cluster.files("b"));
  for (const [reason, pair] of impostors) {
    const server = createServer({ ...pair, ALPNProtocols: ["h2"] }).on("tlsClientError", () => undefined);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const mesh = peers({ tls: clientTls });
    const { port } = server.address() as { port: number };
    await assert.rejects(membershipOf(mesh, `127.0.0.1:${port}`).ping({}), (error: unknown) => {
      assert.ok(error instanceof ConnectError);
      assert.equal(error.code, Code.Unavailable, error.message);
      return true;
    });
    assert.equal(mesh.handshakeFailures.counts[reason], 1, reason);
    assert.equal(mesh.handshakeFailures.notice, `no TLS with 127.0.0.1:${port}: certificate (${reason})`);
    assert.equal(mesh.stats.connectFailures, 1);
    server.close();
  }
});

test("MeshTls: a client that the server rejects gets unavailable", async (context) => {
  const { tls, serve, peers } = meshFixture(context);
  const { server, address } = await serve({ tls: await tls(await cluster.files("a")) });
  // This client trusts both authorities, so only the server rejects.
  const files = await stranger.files("b");
  writeFileSync(files.caFile, stranger.authorityCertificate + cluster.authorityCertificate);
  const mesh = peers({ tls: await tls(files) });
  await assert.rejects(membershipOf(mesh, address).ping({}), { code: Code.Unavailable });
  await until(() => server.handshakeFailures.counts.unknown_authority === 1);
  assert.equal(mesh.stats.sessions, 0);
  assert.equal(server.handshakeFailures.notice, "no TLS with 127.0.0.1: certificate (unknown_authority)");
  assert.equal(mesh.handshakeFailures.notice, `no TLS with ${address}: certificate (rejected)`);
});

test("MeshTls: a renewed certificate and a new authority apply to new connections, and cut no stream", async (context) => {
  const { clock, tls, serve, peers } = meshFixture(context);
  const files = await cluster.files("renewed");
  const serverTls = await tls(files);
  const begun: ServerHttp2Stream[] = [];
  const begin = (stream: ServerHttp2Stream): void => {
    stream.respond({ ":status": 200 });
    stream.write("begun");
    begun.push(stream);
  };
  const handlers = new Map([["/slow", begin]]);
  const { server, address } = await serve({ tls: serverTls, handlers });
  const before = peers({ tls: await tls(await cluster.files("b")) });
  const stream = (await before.at(address).request("/slow", {})).setEncoding("utf8");
  let received = "";
  stream.on("data", (text: string) => void (received += text));
  await until(() => received === "begun");

  const successor = await ClusterCertificates.create();
  context.after(() => successor.remove());
  const { cert, key } = await successor.issue("renewed");
  writeFileSync(files.caFile, successor.authorityCertificate);
  writeFileSync(files.certFile, cert);
  writeFileSync(files.keyFile, key);
  await clock.advance(pollIntervalMs);
  await until(() => serverTls.stats.reloads === 1);

  const next = peers({ tls: await tls(await successor.files("c")) });
  assert.ok(await membershipOf(next, address).ping({}));
  const late = peers({ tls: await tls(await cluster.files("d")) });
  await assert.rejects(membershipOf(late, address).ping({}), { code: Code.Unavailable });
  begun[0]?.end(" and ended");
  await once(stream, "close");
  assert.equal(received, "begun and ended");
  assert.equal(server.stats.sessions, 2);
});

test("MeshTls: a client presents its renewed certificate to the next peer", async (context) => {
  const { clock, tls, serve, peers } = meshFixture(context);
  const successor = await ClusterCertificates.create();
  context.after(() => successor.remove());
  const { address } = await serve({ tls: await tls(await successor.files("a")) });
  const files = await cluster.files("client");
  const clientTls = await tls(files);
  const mesh = peers({ tls: clientTls });
  await assert.rejects(membershipOf(mesh, address).ping({}), { code: Code.Unavailable });
  const { cert, key } = await successor.issue("client");
  writeFileSync(files.caFile, successor.authorityCertificate);
  writeFileSync(files.certFile, cert);
  writeFileSync(files.keyFile, key);
  await clock.advance(pollIntervalMs);
  await until(() => clientTls.stats.reloads === 1);
  assert.ok(await membershipOf(mesh, address).ping({}));
});

test("MeshTls.load: rejects a certificate that every peer would reject, and names the reason", async (context) => {
  const { tls } = meshFixture(context);
  const files = await cluster.files("own");
  const message = async (name?: string): Promise<string> =>
    (await rejectsWith("config_invalid", tls(files, name))).message;
  assert.match(
    await message("other.internal"),
    /^Cannot use certificate ".*own\.crt" on the mesh: "other\.internal" .* not among its names: DNS:orca\.internal/,
  );
  writeFileSync(files.caFile, stranger.authorityCertificate);
  assert.match(await message(), /it was not issued by an authority in cluster\.internal_tls\.ca_file$/);
  await cluster.files("own", ended);
  assert.match(await message(), /it expired at 20/);
});

test("MeshTls: a renewed certificate that peers would reject is not loaded", async (context) => {
  const { clock, logger, tls } = meshFixture(context);
  const own = await tls(await cluster.files("careful"));
  await cluster.files("careful", { hosts: ["other.internal"] });
  await clock.advance(pollIntervalMs);
  await until(() => own.stats.reloadFailures === 1);
  assert.equal(own.stats.reloads, 0);
  assert.equal(logger.count("warn"), 1);
});
