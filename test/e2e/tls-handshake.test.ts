import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { MiB } from "../../src/base/units.ts";
import { selfSignedCertificate, type TestCertificate } from "../support/certificate.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";

const headerTimeoutMs = 1000;
/** The handshake ends after one header_timeout, a request that does not come after two. */
const goneWithinMs = 5 * headerTimeoutMs;
const perKind = 12;

let folder: string;
let certificate: TestCertificate;
let tls: { cert_file: string; key_file: string };

before(() => {
  folder = mkdtempSync(join(tmpdir(), "orca-tls-"));
  certificate = selfSignedCertificate();
  tls = { cert_file: join(folder, "tls.crt"), key_file: join(folder, "tls.key") };
  writeFileSync(tls.cert_file, certificate.cert);
  writeFileSync(tls.key_file, certificate.key);
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function start(context: TestContext, clientCaFile: string | undefined): Promise<ReplicaFixture> {
  const server = {
    header_timeout: `${headerTimeoutMs}ms`,
    tls: { ...tls, ...(clientCaFile && { client_ca_file: clientCaFile }) },
  };
  const fixture = await startReplica({ settings: { server } });
  context.after(() => fixture.stop());
  fixture.origin.put(testBucket, "k", { seed: 1, sizeBytes: MiB });
  return fixture;
}

/** The first 40 bytes of a record that says it holds a ClientHello of 512. */
const halfHello = Buffer.concat([Buffer.from("160301020001", "hex"), Buffer.alloc(34, 1)]);

const kinds: Readonly<Record<string, (socket: Socket) => void>> = {
  silent: () => {},
  "half a hello": (socket) => void socket.write(halfHello),
  "half a hello, then its side closed": (socket) => void socket.end(halfHello),
  "no TLS": (socket) => void socket.write(`GET /${testBucket}/k HTTP/1.1\r\nHost: h\r\n\r\n`),
  "random bytes": (socket) =>
    void socket.write(Buffer.from(Array.from({ length: 600 }, (_, at) => (at * 89) % 256))),
};

/** Connections that do not close by themselves, and one that ends its handshake and then says nothing. */
function hang(
  context: TestContext,
  { endpoint }: ReplicaFixture,
  identity: Partial<TestCertificate>,
): Socket[] {
  const { port } = new URL(endpoint);
  const sockets = Object.values(kinds).flatMap((begin) =>
    Array.from({ length: perKind }, () => {
      const socket = connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true });
      socket.on("error", () => {});
      socket.once("connect", () => begin(socket));
      return socket;
    }),
  );
  const quiet = connectTls({ port: Number(port), host: "127.0.0.1", ca: certificate.cert, ...identity });
  quiet.on("error", () => {});
  context.after(() => {
    for (const socket of [quiet, ...sockets]) socket.destroy();
  });
  return sockets;
}

function getOverTls({ endpoint }: ReplicaFixture, identity: Partial<TestCertificate>): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const { port } = new URL(endpoint);
  const options = { host: "127.0.0.1", port, path: `/${testBucket}/k`, ca: certificate.cert, agent: false };
  request({ ...options, ...identity, timeout: goneWithinMs }, (response) => {
    const pieces: Buffer[] = [];
    response.on("data", (piece: Buffer) => pieces.push(piece));
    response.on("end", () => resolve(Buffer.concat(pieces)));
  })
    .on("timeout", () => reject(new Error("no answer in time")))
    .on("error", reject)
    .end();
  return promise;
}

async function connectionsReach(fixture: ReplicaFixture, is: (open: number) => boolean): Promise<void> {
  const deadlineMs = performance.now() + goneWithinMs;
  for (;;) {
    const open = await fixture.metric("orca_client_connections");
    if (is(open)) return;
    assert.ok(performance.now() < deadlineMs, `${open} connections are open`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

for (const mutual of [false, true]) {
  test(`server.tls: connections that do not finish a handshake end, ${mutual ? "with" : "without"} client_ca_file`, {
    timeout: 30_000,
  }, async (context) => {
    const fixture = await start(context, mutual ? tls.cert_file : undefined);
    const identity = mutual ? certificate : {};
    const sockets = hang(context, fixture, identity);
    await connectionsReach(fixture, (open) => open >= 2 * perKind);
    assertPattern(await getOverTls(fixture, identity), 1, 0);
    await connectionsReach(fixture, (open) => open === 0);
    assert.ok((await fixture.metric("orca_tls_handshakes_failed_total")) >= sockets.length);
    assertPattern(await getOverTls(fixture, identity), 1, 0);
  });
}

/** Reads one object over TLS. Resolves with the session to resume, and whether this one was. */
async function readInSession({ endpoint }: ReplicaFixture, session: Buffer | undefined) {
  const { port } = new URL(endpoint);
  const socket = connectTls({ port: Number(port), host: "127.0.0.1", ca: certificate.cert, session });
  const tickets: Buffer[] = [];
  socket.on("session", (ticket) => tickets.push(ticket));
  let isResumed: boolean | undefined;
  socket.on("secureConnect", () => {
    isResumed = socket.isSessionReused();
  });
  socket.write(`GET /${testBucket}/k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
  let receivedBytes = 0;
  for await (const bytes of socket) receivedBytes += (bytes as Buffer).length;
  assert.ok(receivedBytes > MiB);
  return { ticket: tickets[0], isResumed };
}

/** So many that one of two threads misses out once in a million runs. */
const sessions = 20;

for (const threads of [1, 2]) {
  test(`server.tls: a client resumes its session, whichever of ${threads} threads it meets`, async (context) => {
    const fixture = await startReplica({ settings: { server: { threads, tls } } });
    context.after(() => fixture.stop());
    fixture.origin.put(testBucket, "k", { seed: 1, sizeBytes: MiB });
    const first = await readInSession(fixture, undefined);
    assert.equal(first.isResumed, false);
    assert.ok(first.ticket);
    for (let each = 0; each < sessions; each += 1) {
      assert.equal((await readInSession(fixture, first.ticket)).isResumed, true);
    }
  });
}
