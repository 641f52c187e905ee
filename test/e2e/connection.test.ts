import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import type { SettingsTree } from "../../src/config/load.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

let orca: ReplicaFixture | undefined;
const sockets: Socket[] = [];

async function start(settings: SettingsTree = {}): Promise<ReplicaFixture> {
  orca = await startReplica({ settings });
  return orca;
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await orca?.stop();
  orca = undefined;
});

/** A connection of which this test sees every byte. It stays open when the server has closed its side. */
function open({ endpoint }: ReplicaFixture): { socket: Socket; received: () => Buffer } {
  const pieces: Buffer[] = [];
  const socket = connect({ port: Number(new URL(endpoint).port), host: "127.0.0.1", allowHalfOpen: true });
  socket.on("data", (piece: Buffer) => pieces.push(piece)).on("error", () => {});
  sockets.push(socket);
  return { socket, received: () => Buffer.concat(pieces) };
}

function requestFor(key: string, headers = ""): string {
  return `GET /${testBucket}/${key} HTTP/1.1\r\nHost: h\r\n${headers}\r\n`;
}

/** What follows the first head. */
function bodyOf(answer: Buffer): Buffer {
  return answer.subarray(answer.indexOf("\r\n\r\n") + 4);
}

test("a request that cannot be read ends the connection, and nothing gets into the body before it", async () => {
  const fixture = await start();
  fixture.origin.put(testBucket, "k", { seed: 2, sizeBytes: 8 * MiB });
  const gate = fixture.origin.hold("GET", "k", 4 * MiB);
  const { socket, received } = open(fixture);
  socket.write(requestFor("k"));
  await gate.reached;
  while (received().length < 3 * MiB) await once(socket, "data");
  socket.write("no HTTP\r\n\r\n");
  await once(socket, "end");
  gate.release();
  const body = bodyOf(received());
  assert.ok(body.length < 8 * MiB);
  assertPattern(body, 2, 0);
});

test("a connection that sent no HTTP is closed, also where the client does not close its side", {
  timeout: 5000,
}, async () => {
  const { socket } = open(await start());
  socket.write("no HTTP\r\n\r\n");
  await once(socket, "end");
  // What is sent to a connection that is gone is answered with a reset.
  while (!socket.destroyed) {
    socket.write("?");
    await new Promise((resolve) => setImmediate(resolve));
  }
});

test("clients that send many requests at once and go away leave nothing behind", async () => {
  const fixture = await start();
  fixture.origin.put(testBucket, "k", { seed: 2, sizeBytes: 8 * MiB });
  await (await fixture.get("k")).arrayBuffer();
  const { socket } = open(fixture);
  socket.pause();
  socket.write(requestFor("k").repeat(10));
  // The first is in progress, and the others wait for their turn.
  await until(async () => (await fixture.metric("orca_requests_pipelined")) >= 9);
  assert.equal(await fixture.metric("orca_requests_in_flight"), 1);
  socket.resetAndDestroy();
  await until(async () => (await fixture.metric("orca_requests_in_flight")) === 0);
  assert.equal(await fixture.metric("orca_requests_pipelined"), 0);
});

test("requests sent at once are answered in order, each with its own bytes", async () => {
  const fixture = await start();
  const keys = ["a", "b", "c"];
  for (const [seed, key] of keys.entries())
    fixture.origin.put(testBucket, key, { seed, sizeBytes: 2 * MiB + seed });
  // The last one is known already and could be answered first.
  await (await fixture.get("c")).arrayBuffer();
  const { socket, received } = open(fixture);
  socket.write(requestFor("a") + requestFor("b") + requestFor("c", "Connection: close\r\n"));
  await once(socket, "end");
  let rest = received();
  for (const [seed] of keys.entries()) {
    const body = bodyOf(rest);
    assertPattern(body.subarray(0, 2 * MiB + seed), seed, 0);
    rest = body.subarray(2 * MiB + seed);
  }
  assert.equal(rest.length, 0);
});

test("requests sent at once: those behind do not hold the memory that the first one waits for", async () => {
  const fixture = await start({
    chunking: { size: "1MiB", tiers: [] },
    memory: { max_bytes: "4MiB", queue_timeout: "1s" },
  });
  const keys = ["cold", "b", "c", "d", "e"];
  for (const [seed, key] of keys.entries()) fixture.origin.put(testBucket, key, { seed, sizeBytes: MiB });
  // The last four fill the memory; the first needs one of them to give way.
  for (const key of keys.slice(1)) await (await fixture.get(key)).arrayBuffer();
  const { socket, received } = open(fixture);
  socket.write(keys.map((key, at) => requestFor(key, at === 4 ? "Connection: close\r\n" : "")).join(""));
  await once(socket, "end");
  assert.match(received().toString("latin1", 0, 20), /^HTTP\/1\.1 200 /);
  assertPattern(bodyOf(received()).subarray(0, MiB), 0, 0);
});

test("a TLS client that never says hello does not hold up a stop", { timeout: 5000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "orca-tls-"));
  const [certFile, keyFile] = [join(folder, "tls.crt"), join(folder, "tls.key")];
  const { cert, key } = selfSignedCertificate();
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  const fixture = await start({
    server: { drain_timeout: "50ms", tls: { cert_file: certFile, key_file: keyFile } },
  });
  const { socket } = open(fixture);
  await once(socket, "connect");
  await fixture.replica.stop();
  rmSync(folder, { recursive: true });
});

test("a request that does not arrive within header_timeout is refused as late, and its connection closed", {
  timeout: 5000,
}, async () => {
  const { socket, received } = open(await start({ server: { header_timeout: "200ms" } }));
  socket.write("GET /models/k HTTP/1.1\r\nHost: ");
  await once(socket, "end");
  const answer = received().toString("latin1");
  assert.match(answer, /^HTTP\/1\.1 400 [^]*<Code>RequestTimeout<\/Code>[^]*server\.header_timeout/);
});

for (const [what, head, version] of [
  ["two Hosts", "GET /models/k HTTP/1.1\r\nHost: a\r\nx-other: 1\r\nhoSt: b\r\n", ""],
  ["the same Host twice", "GET /models/k HTTP/1.1\r\nHost: a\r\nHost: a\r\n", ""],
  ["HTTP/2.0", "GET /models/k HTTP/2.0\r\nHost: a\r\n", "HTTP/2.0"],
  ["HTTP/0.9 by name", "GET /models/k HTTP/0.9\r\nHost: a\r\n", "HTTP/0.9"],
  ["HTTP/0.9 without headers", "GET /models/k\r\n", "HTTP/0.9"],
] as const) {
  test(`a request with ${what} is refused, and its connection closed`, { timeout: 5000 }, async () => {
    const fixture = await start();
    fixture.origin.put(testBucket, "k", { seed: 1, sizeBytes: 10 });
    const { socket, received } = open(fixture);
    socket.write(`${head}\r\n`);
    await once(socket, "end");
    const answer = received().toString("latin1");
    assert.match(
      answer,
      /^HTTP\/1\.1 400 Bad Request\r\n[^]*Connection: close\r\n[^]*<Code>InvalidRequest<\/Code>/i,
    );
    assert.match(answer, version === "" ? /more than one Host/ : new RegExp(`: it is ${version}`));
    assert.equal(fixture.origin.count("HEAD", "k"), 0);
  });
}

test("a stop does not wait for a connection on which nothing was ever sent", {
  timeout: 60_000,
}, async () => {
  const timeouts = { drain_timeout: "1h", header_timeout: "1h", keep_alive_timeout: "1h" };
  const fixture = await start({ server: timeouts });
  const { socket } = open(fixture);
  await until(async () => (await fixture.metric("orca_client_connections")) === 1);
  await Promise.all([once(socket, "end"), fixture.replica.stop()]);
  assert.equal(fixture.replica.responsesCut, 0);
});
