/** Replicas whose threads send chunks at a port of their own: what peers read there, and who is refused. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, Socket } from "node:net";
import { afterEach, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { isDeepStrictEqual } from "node:util";
import { SystemClock } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { SystemRandom } from "../../src/base/random.ts";
import { MiB } from "../../src/base/units.ts";
import { ObjectVersion } from "../../src/chunk/object-version.ts";
import type { PeerRead } from "../../src/fill/chunk-peers.ts";
import type { Member } from "../../src/membership/member.ts";
import { NotCoordinator } from "../../src/membership/not-coordinator.ts";
import { LocalFillCalls } from "../../src/mesh/fill-chunk/fill-calls.ts";
import { FillClient } from "../../src/mesh/fill-chunk/fill-client.ts";
import { offeredPort } from "../../src/mesh/session/bytes-port.ts";
import { MeshTls } from "../../src/mesh/session/mesh-tls.ts";
import { Peers } from "../../src/mesh/session/peers.ts";
import { ClusterCertificates, serverName } from "../support/cluster-certificates.ts";
import { MemorySink } from "../support/memory-sink.ts";
import { assertPattern } from "../support/pattern.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { type ReplicaCluster, startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

const chunkSizeBytes = MiB;
const seed = 5;
const withPort = { server: { threads: 2 }, cluster: { bytes_listen: "127.0.0.1:0" } };

let cluster: ReplicaCluster;
const ends: (() => void)[] = [];

async function start(replicas: number, settings: object = withPort, disk = false): Promise<ReplicaCluster> {
  cluster = await startReplicas({
    replicas,
    disk,
    settings: { chunking: { size: "1MiB", tiers: [] }, ...settings },
  });
  return cluster;
}

afterEach(async () => {
  for (const end of ends.splice(0)) end();
  await cluster.stop();
});

async function read({ get }: ReplicaFixture, key: string): Promise<void> {
  const response = await get(key);
  assert.equal(response.status, 200);
  assertPattern(Buffer.from(await response.arrayBuffer()), seed, 0);
}

/** TLS of a member that is no replica. */
async function memberTls(certificates = cluster.certificates as ClusterCertificates): Promise<MeshTls> {
  const logger = new RecordedLogger();
  const files = await certificates.files("reader");
  const tls = await MeshTls.load({ ...files, serverName, clock: new SystemClock(), logger });
  ends.push(() => tls.stop());
  return tls;
}

/** The port that the replica at `address` offers. */
async function portOffered(address: string, tls: MeshTls): Promise<number> {
  const session = sessionTo(address, tls);
  const [offer] = (await once(session, "altsvc")) as [string];
  return offeredPort(offer) as number;
}

function sessionTo(address: string, { clientOptions }: Pick<MeshTls, "clientOptions">): ClientHttp2Session {
  const [host, port] = address.split(":") as [string, string];
  const socket = connectTls({ ...clientOptions, host, port: Number(port) });
  const session = connectHttp2(`https://${address}`, { createConnection: () => socket });
  for (const emitter of [socket, session]) emitter.on("error", () => {});
  ends.push(() => session.destroy());
  return session;
}

function memberAt(address: string): Member {
  const texts = { zone: "", fingerprint: "", clusterName: "" };
  return { replicaId: "r0", address, incarnation: 1, state: "alive", ...texts };
}

/** Reads as another replica does, of `address` alone: another port that is offered there cannot be reached. */
async function readerAt(address: string, tls: MeshTls) {
  const clock = new SystemClock();
  const dial = (host: string, port: number) =>
    address === `${host}:${port}` ? connectTcp(port, host) : new Socket().destroy();
  const peers = new Peers({ tls, clock, random: new SystemRandom(), logger: new RecordedLogger(), dial });
  ends.push(() => peers.close());
  const client = new FillClient({ calls: new LocalFillCalls({ peers, clock }) });
  return async (request: PeerRead) => {
    const sink = new MemorySink(request.lengthBytes);
    try {
      const end = await client.read(memberAt(address), request, sink, new AbortController().signal);
      return { ...end, bytes: sink.received };
    } catch (thrown) {
      assert.ok(thrown instanceof OrcaError);
      return thrown instanceof NotCoordinator
        ? { code: thrown.code, coordinator: thrown.coordinator.replicaId, members: thrown.members.length }
        : { code: thrown.code };
    }
  };
}

function versionOf(objectKey: string, sizeBytes: number, etag: string): ObjectVersion {
  return new ObjectVersion({
    originId: "test",
    bucket: testBucket,
    objectKey,
    etag,
    sizeBytes,
    chunkSizeBytes,
  });
}

test("replicas read chunks of each other at the ports for chunk bytes, and each chunk from the origin once", async () => {
  const { origin, replicas } = await start(3);
  // Each replica has a session for control to each other one, and two for chunk bytes where it has moved to the port.
  const sessions = 3 * 2;
  let count = 0;
  await until(async () => {
    count += 1;
    origin.put(testBucket, `k${count}`, { seed, sizeBytes: 8 * MiB });
    for (const replica of replicas) await read(replica, `k${count}`);
    assert.equal(origin.bytesSent(`k${count}`), 8 * MiB);
    const open = await Promise.all(
      replicas.map(({ metric }) => metric('orca_mesh_sessions_open{side="client"}')),
    );
    return open.every((each) => each === sessions);
  });
  const served = await Promise.all(
    replicas.map(({ metric }) => metric('orca_mesh_sessions_open{side="server"}')),
  );
  assert.deepEqual(served, [sessions, sessions, sessions], "the sessions of threads are counted");
});

for (const [advertise, offers] of [
  [undefined, 1],
  ["127.0.0.1:9", 0],
] as const) {
  test(`the port is offered ${offers} times where ${advertise ? "ports are mapped" : "they are not"}`, async () => {
    const mapped = { ...withPort.cluster, ...(advertise && { advertise }) };
    const { meshAddresses } = await start(1, { ...withPort, cluster: mapped });
    const session = sessionTo(meshAddresses[0] as string, await memberTls());
    let offered = 0;
    session.on("altsvc", () => {
      offered += 1;
    });
    await once(session, "remoteSettings");
    // An offer is sent before a ping that comes later is answered.
    await new Promise((resolve) => session.ping(resolve));
    assert.equal(offered, offers);
  });
}

test("answers at the port for chunk bytes are those of the mesh port", async () => {
  const { origin, replicas, meshAddresses } = await start(
    2,
    { ...withPort, cluster: { bytes_listen: "127.0.0.1:0" } },
    true,
  );
  const [first] = replicas as [ReplicaFixture];
  const [address] = meshAddresses as [string];
  const tls = await memberTls();
  const readers = [
    await readerAt(address, tls),
    await readerAt(`127.0.0.1:${await portOffered(address, tls)}`, tls),
  ];
  const sizeBytes = 12 * MiB + 5;
  const etags = ["held", "cold", "cold2"].map((key) => origin.put(testBucket, key, { seed, sizeBytes }).etag);
  await read(first, "held");
  const whole = { offset: 0, lengthBytes: chunkSizeBytes, passedOver: [] };
  let compared = 0;
  const codes = new Set<string>();
  for (let index = 0; index <= 12; index += 1) {
    const lengthBytes = index === 12 ? 5 : chunkSizeBytes;
    for (const [number, key] of ["held", "cold"].entries()) {
      const version = versionOf(key, sizeBytes, etags[number] as string);
      for (const request of [
        { ...whole, lengthBytes, cachedOnly: true },
        { ...whole, lengthBytes: 1, offset: lengthBytes - 1, cachedOnly: true },
        { ...whole, lengthBytes: lengthBytes - 3, offset: 3, cachedOnly: false },
        { ...whole, lengthBytes: chunkSizeBytes + 1, cachedOnly: false },
      ]) {
        const [atMesh, atPort] = await Promise.all(
          readers.map((each) => each({ ...request, key: { version, index } })),
        );
        assert.ok(atMesh && atPort);
        compared += 1;
        if ("code" in atMesh || "code" in atPort) {
          assert.deepEqual(atPort, atMesh);
          codes.add((atMesh as { code: string }).code);
          continue;
        }
        assert.deepEqual(atPort.bytes, atMesh.bytes);
        assertPattern(atPort.bytes, seed, index * chunkSizeBytes + request.offset);
        if (request.cachedOnly) assert.deepEqual(atPort.sha256, atMesh.sha256);
      }
    }
  }
  assert.equal(compared, 104);
  assert.deepEqual([...codes].sort(), ["invalid_range", "not_coordinator", "not_held"]);
});

test("the port for chunk bytes refuses strangers, plaintext and other methods, and serves members after that", async () => {
  const { origin, replicas, meshAddresses } = await start(1);
  const [{ metric, ...replica }] = replicas as [ReplicaFixture];
  const [address] = meshAddresses as [string];
  const tls = await memberTls();
  const bytesAddress = `127.0.0.1:${await portOffered(address, tls)}`;
  const others = await ClusterCertificates.create();
  ends.push(() => others.remove());
  const foreignIdentity = await (cluster.certificates as ClusterCertificates).files("x", {
    hosts: ["x.internal"],
  });
  const failures = (reason: string) =>
    metric(`orca_mesh_handshake_failures_total{side="server",reason="${reason}"}`);

  const stranger = { ...(await memberTls(others)).clientOptions, rejectUnauthorized: false };
  await once(sessionTo(bytesAddress, { clientOptions: stranger }), "close");
  await until(async () => (await failures("unknown_authority")) + (await failures("rejected")) > 0);

  const named = await MeshTls.load({
    ...foreignIdentity,
    serverName: "x.internal",
    clock: new SystemClock(),
    logger: new RecordedLogger(),
  });
  ends.push(() => named.stop());
  const clientOptions = { ...named.clientOptions, checkServerIdentity: () => undefined };
  await once(sessionTo(bytesAddress, { clientOptions }), "close");
  await until(async () => (await failures("wrong_identity")) === 1);

  const plain = connectTcp(Number(bytesAddress.split(":")[1]), "127.0.0.1");
  plain.on("error", () => {});
  plain.write("GET / HTTP/1.1\r\n\r\n");
  await new Promise((resolve) => plain.once("close", resolve));
  await until(async () => (await failures("protocol")) === 1);

  const session = sessionTo(bytesAddress, tls);
  for (const path of [
    "/orca.v1.MembershipService/Ping",
    "/orca.v1.ObjectService/HeadObject",
    "/orca.v1.CacheService/PurgeObjects",
    "/",
  ]) {
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/proto" });
    stream.end();
    const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
    assert.equal(headers[":status"], 404, path);
  }
  const { etag } = origin.put(testBucket, "k", { seed, sizeBytes: MiB });
  const answer = await (await readerAt(bytesAddress, tls))({
    key: { version: versionOf("k", MiB, etag), index: 0 },
    offset: 0,
    lengthBytes: MiB,
    passedOver: [],
    cachedOnly: false,
  });
  assert.ok("bytes" in answer);
  assertPattern(answer.bytes, seed, 0);
  assert.equal(replica.replica.liveMembers, 1);
});

/** Only the third one has the port, to which each of the others has a session more. */
test("members with and without the port read of each other, as while versions change one after the other", async () => {
  const { origin, replicas, join } = await start(2, { server: { threads: 1 } });
  await join(withPort);
  await until(() => replicas.every(({ replica }) => replica.liveMembers === 3));
  for (let count = 0; count < 20; count += 1) {
    origin.put(testBucket, `k${count}`, { seed, sizeBytes: 4 * MiB });
    for (const replica of replicas) await read(replica, `k${count}`);
    assert.equal(origin.bytesSent(`k${count}`), 4 * MiB);
  }
  await until(async () => {
    const open = await Promise.all(
      replicas.map(({ metric }) => metric('orca_mesh_sessions_open{side="client"}')),
    );
    return isDeepStrictEqual(open, [5, 5, 4]);
  });
});

async function isClosed(port: number): Promise<boolean> {
  const socket = connectTcp(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

test("a stop lets what is read at the port for chunk bytes finish", async () => {
  const { origin, replicas, meshAddresses } = await start(1);
  const [replica] = replicas as [ReplicaFixture];
  const tls = await memberTls();
  const port = await portOffered(meshAddresses[0] as string, tls);
  const reader = await readerAt(`127.0.0.1:${port}`, tls);
  const { etag } = origin.put(testBucket, "k", { seed, sizeBytes: MiB });
  const gate = origin.hold("GET", "k", MiB / 2);
  const request = { key: { version: versionOf("k", MiB, etag), index: 0 }, offset: 0, lengthBytes: MiB };
  const reading = reader({ ...request, passedOver: [], cachedOnly: false });
  await until(() => origin.count("GET", "k") === 1);
  const stopped = replica.stop();
  await until(() => isClosed(port));
  gate.release();
  const answer = await reading;
  await stopped;
  assert.ok("bytes" in answer, JSON.stringify(answer));
  assertPattern(answer.bytes, seed, 0);
});
