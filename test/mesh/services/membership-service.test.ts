/** Membership over real sockets: the messages that it accepts, and those that it must reject. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type GossipSchema,
  MemberState,
  MembershipService,
  PingRequestSchema,
  type PingResponseSchema,
} from "../../../gen/orca/v1/membership_pb.ts";
import type { OrcaError } from "../../../src/base/orca-error.ts";
import type { Membership } from "../../../src/membership/membership.ts";
import type { Gossip } from "../../../src/membership/membership-message.ts";
import { fromConnectError } from "../../../src/mesh/codec/connect-error.ts";
import { announcementRumor, invalidationRumor } from "../../../src/mesh/codec/rumor-codec.ts";
import { MembershipClient } from "../../../src/mesh/services/membership-client.ts";
import { messageBytesMax } from "../../../src/mesh/session/http2-limits.ts";
import { ClusterCertificates } from "../../support/cluster-certificates.ts";
import { memberOf } from "../../support/member-of.ts";
import { agreedSettings } from "../../support/membership-fixture.ts";
import { type MeshFixture, membershipOf, meshFixture } from "../../support/mesh-fixture.ts";
import { type MeshMember, meshMember } from "../../support/mesh-member.ts";
import { rejectsWith } from "../../support/rejects-with.ts";
import { until } from "../../support/until.ts";

const nothing: Gossip = { changes: [], rumors: [] };

/** Two members that see each other. */
async function pair(context: TestContext, mesh: MeshFixture): Promise<[MeshMember, MeshMember]> {
  const r1 = await meshMember(context, mesh, "r1");
  const r2 = await meshMember(context, mesh, "r2", { seeds: [r1] });
  await r1.membership.start();
  await r2.membership.start();
  await until(() => r1.membership.live.length === 2 && r2.membership.live.length === 2);
  return [r1, r2];
}

function statesIn(membership: Membership): string[] {
  return membership
    .members()
    .map(({ replicaId, state }) => `${replicaId} ${state}`)
    .sort();
}

function errorsOf({ logger }: MeshMember): string[] {
  return logger.events.filter(({ level }) => level === "error").map(({ message }) => message);
}

/** The error with which a peer answers a message that an honest client never sends. */
async function answerTo(call: Promise<unknown>): Promise<OrcaError> {
  return call.then(
    () => assert.fail("expected a refusal"),
    (thrown: unknown) => fromConnectError(thrown, "Cannot call"),
  );
}

test("Membership over the mesh: a replica joins, gossips and leaves", async (context) => {
  const mesh = meshFixture(context);
  const [r1, r2] = await pair(context, mesh);
  for (const { membership } of [r1, r2]) {
    assert.deepEqual(statesIn(membership), ["r1 alive", "r2 alive"]);
  }
  const heard: unknown[] = [];
  r1.membership.listen("invalidation", (body) => heard.push(body));
  r1.membership.listen("announcement", (body) => heard.push(body));
  const object = { originId: "o", bucket: "b", objectKey: "k \u{1F40B}", staleEtag: "v1" };
  const { staleEtag: _, ...place } = object;
  const chunk = { ...place, etag: "e", chunkSizeBytes: 8, chunkIndex: 1, objectSizeBytes: 9 };
  r2.membership.publish(invalidationRumor("i1", object));
  r2.membership.publish(announcementRumor(chunk));
  await mesh.clock.advance(200);
  await until(() => heard.length === 2);
  assert.deepEqual(heard, [object, chunk]);
  await r2.membership.leave();
  assert.deepEqual(statesIn(r1.membership), ["r1 alive", "r2 left"]);
  assert.equal(r1.calls.stats.failed + r1.calls.stats.malformed, 0);
});

test("Membership over the mesh: works the same over mutual TLS", async (context) => {
  const cluster = await ClusterCertificates.create();
  context.after(() => cluster.remove());
  const mesh = meshFixture(context);
  const tls = await mesh.tls(await cluster.files("r1"));
  const secured: MeshFixture = {
    ...mesh,
    serve: (options) => mesh.serve({ ...options, tls }),
    peers: (options) => mesh.peers({ ...options, tls }),
  };
  const [r1] = await pair(context, secured);
  assert.deepEqual(statesIn(r1.membership), ["r1 alive", "r2 alive"]);
});

test("MembershipClient.pingIndirect: the helper answers whether it reached the target, and as which member", async (context) => {
  const mesh = meshFixture(context);
  const [r1, r2] = await pair(context, mesh);
  const { address, membership } = r1;
  const target = r2.membership.self;
  const message = { sender: memberOf("r3"), target, timeoutMs: 400.5, gossip: nothing };
  const reached = await r2.client.pingIndirect(address, message, 500);
  assert.equal(reached.reached, true);
  assert.deepEqual(reached.target, membership.live[1]);
  const gone = { ...target, replicaId: "r9", address: "127.0.0.1:1" };
  const silent = await r2.client.pingIndirect(address, { ...message, target: gone }, 500);
  assert.deepEqual([silent.reached, silent.target], [false, undefined]);
});

test("Membership over the mesh: another configuration is rejected, and both sides learn the setting", async (context) => {
  const mesh = meshFixture(context);
  const settings = { ...agreedSettings.settings, "chunking.size": "1048576" };
  const r1 = await meshMember(context, mesh, "r1");
  const r2 = await meshMember(context, mesh, "r2", {
    agreedSettings: { ...agreedSettings, settings },
    seeds: [r1],
  });
  const r3 = await meshMember(context, mesh, "r3", { seeds: [r2] });
  for (const { membership } of [r1, r2, r3]) await membership.start();
  assert.deepEqual(errorsOf(r2), [
    `Cannot sync with ${r1.address}: chunking.size is "8388608" there and "1048576" here. Set it to the same value on all replicas.`,
    `Cannot be in one cluster with "r3" at ${r3.address}: chunking.size is "8388608" there and "1048576" here. Set it to the same value on all replicas.`,
  ]);
  assert.equal(r2.membership.notice, "refused by r1: chunking.size; refuses r3: chunking.size");
  assert.deepEqual(errorsOf(r1).length, 1);
  assert.equal(r1.membership.notice, "refuses r2: chunking.size");
  assert.equal(r3.membership.notice, "refused by r2: chunking.size");
  assert.deepEqual(errorsOf(r3), [
    `Cannot sync with ${r2.address}: chunking.size is "1048576" there and "8388608" here. Set it to the same value on all replicas.`,
  ]);
  assert.deepEqual(statesIn(r1.membership), ["r1 alive"]);
  assert.equal(r1.membership.stats.messenger.rejectedMismatch, 1);
  const other = { ...r3.membership.self, clusterName: "another" };
  const refused = await rejectsWith(
    "config_invalid",
    r3.client.ping(r1.address, { sender: other, targetId: "r1", gossip: nothing }, 500),
  );
  assert.match(refused.message, /server_name is "orca.test" there and "another" here/);
});

test("MembershipClient: errors of a peer are typed, and a wrong target does not count as dead", async (context) => {
  const mesh = meshFixture(context);
  const [r1, r2] = await pair(context, mesh);
  const sender = r2.membership.self;
  const ping = (targetId: string) => r2.client.ping(r1.address, { sender, targetId, gossip: nothing }, 500);
  const wrong = await rejectsWith("precondition_failed", ping("r7"));
  assert.deepEqual(
    [wrong.source, wrong.message],
    ["membership", 'Cannot answer a ping for "r7": this is "r1"'],
  );
  assert.equal(r1.membership.stats.messenger.rejectedTarget, 1);
  r1.membership.stop();
  assert.equal((await rejectsWith("shutting_down", ping("r1"))).source, "membership");
  assert.deepEqual([r2.client.stats.peerError, r2.client.stats.unavailable], [2, 0]);
});

test("Membership over the mesh: a flood on one session is not read, whatever ids it claims, and others are served", async (context) => {
  const mesh = meshFixture(context);
  const [r1, r2] = await pair(context, mesh);
  const answers = await Promise.all(
    Array.from({ length: 400 }, (_, index) => {
      const sender = index % 2 === 0 ? r2.membership.self : memberOf(`x${index}`);
      return r2.client.ping(r1.address, { sender, targetId: "r1", gossip: nothing }, 500).then(
        () => "answered",
        ({ code }: OrcaError) => code,
      );
    }),
  );
  const rejected = answers.filter((answer) => answer === "overloaded").length;
  assert.equal(answers.filter((answer) => answer === "answered").length + rejected, 400);
  assert.equal(r1.membership.stats.gate.overRate, rejected);
  assert.ok(rejected >= 400 - 128, `${rejected} rejected`);
  // Another session may claim the id of the flooder. Its messages are not charged to it.
  const other = new MembershipClient({ peers: mesh.peers(), clock: mesh.clock });
  assert.ok(
    await other.ping(r1.address, { sender: r2.membership.self, targetId: "r1", gossip: nothing }, 500),
  );
});

test("Membership over the mesh: messages without the right fingerprint are few, and their gossip is not decoded", async (context) => {
  const mesh = meshFixture(context);
  const [r1, r2] = await pair(context, mesh);
  const stranger = { ...memberOf("r9"), fingerprint: "f".repeat(64) };
  const malformed = {
    changes: [{ member: { ...stranger, incarnation: 2 ** 53 - 1 }, reporterId: "" }],
    rumors: [],
  };
  const codes: string[] = [];
  for (let count = 0; count < 40; count += 1) {
    // Each on a session of its own.
    const client = new MembershipClient({ peers: mesh.peers(), clock: mesh.clock });
    const gossip = count === 0 ? nothing : malformed;
    const message = { sender: stranger, targetId: "r1", gossip };
    codes.push(
      await client.ping(r1.address, message, 500).then(
        () => "answered",
        ({ code }: OrcaError) => code,
      ),
    );
  }
  assert.deepEqual(new Set(codes), new Set(["config_invalid", "overloaded"]));
  assert.equal(codes.filter((code) => code === "config_invalid").length, 16);
  assert.equal(r1.membership.stats.messenger.rejectedMismatch, 16);
  assert.equal(r1.calls.stats.malformed, 0);
  const raw = membershipOf(mesh.peers(), r1.address);
  assert.equal((await answerTo(raw.ping({}))).code, "overloaded");
  assert.ok(
    await r2.client.ping(r1.address, { sender: r2.membership.self, targetId: "r1", gossip: nothing }, 500),
  );
});

test("Membership over the mesh: with certificates that name replicas, none speaks for another", async (context) => {
  const cluster = await ClusterCertificates.create();
  context.after(() => cluster.remove());
  const mesh = meshFixture(context);
  const named = async (id: string): Promise<MeshFixture> => {
    const tls = await mesh.tls(await cluster.files(id, { uris: [`urn:orca:replica:${id}`] }));
    return {
      ...mesh,
      serve: (options) => mesh.serve({ ...options, tls }),
      peers: (options) => mesh.peers({ ...options, tls }),
    };
  };
  const r1 = await meshMember(context, await named("r1"), "r1");
  const r2 = await meshMember(context, await named("r2"), "r2", { seeds: [r1] });
  await r1.membership.start();
  await r2.membership.start();
  assert.deepEqual(statesIn(r1.membership), ["r1 alive", "r2 alive"]);
  await until(() => r1.membership.live.length === 2 && r2.membership.live.length === 2);
  const forged = { ...memberOf("r3"), incarnation: mesh.clock.now() };
  const error = await rejectsWith(
    "config_invalid",
    r2.client.ping(r1.address, { sender: forged, targetId: "r1", gossip: nothing }, 500),
  );
  assert.match(
    error.message,
    /Cannot accept a message of "r3": the certificate of its sender is that of "r2"/,
  );
  assert.equal(r1.membership.stats.messenger.rejectedIdentity, 1);
  assert.deepEqual(statesIn(r1.membership), ["r1 alive", "r2 alive"]);
  // A replica that answers for another one does not count as that one.
  const impostor = await meshMember(context, await named("r4"), "r5");
  await impostor.membership.start();
  const member = { ...impostor.membership.self };
  const gossip = { changes: [{ member, reporterId: "r2" }], rumors: [] };
  await r2.client.ping(r1.address, { sender: r2.membership.self, targetId: "r1", gossip }, 500);
  await until(() => r1.client.stats.malformed > 0);
  assert.deepEqual(
    r1.membership.live.map(({ replicaId }) => replicaId),
    ["r1", "r2"],
  );
});

test("Membership over the mesh: certificates that name no replica work, with a warning", async (context) => {
  const cluster = await ClusterCertificates.create();
  context.after(() => cluster.remove());
  const mesh = meshFixture(context);
  const tls = await mesh.tls(await cluster.files("shared"));
  const secured: MeshFixture = {
    ...mesh,
    serve: (options) => mesh.serve({ ...options, tls }),
    peers: (options) => mesh.peers({ ...options, tls }),
  };
  const [r1, r2] = await pair(context, secured);
  await until(() => r1.membership.live.length === 2 && r2.membership.live.length === 2);
  const warnings = mesh.logger.events.filter(({ message }) => message.includes("names no replica"));
  assert.ok(warnings.length >= 1 && warnings.length <= 2, `${warnings.length} warnings of two replicas`);
});

test("Membership over the mesh: old incarnations that are replayed change nothing", async (context) => {
  const mesh = meshFixture(context);
  const [r1, r2] = await pair(context, mesh);
  const { self } = r2.membership;
  const before = r1.membership.live;
  const old = { ...self, incarnation: self.incarnation - 1 };
  const changes = (["dead", "left", "suspect", "alive"] as const).map((state) => ({
    member: { ...old, state },
    reporterId: "r9",
  }));
  const gossip = { changes, rumors: [] };
  await r2.client.ping(r1.address, { sender: old, targetId: "r1", gossip }, 500);
  const view = {
    sender: old,
    members: changes.map(({ member }) => member),
    settings: agreedSettings.settings,
  };
  await r2.client.sync(r1.address, { ...view, gossip }, 500);
  assert.equal(r1.membership.live, before);
});

test("MembershipService: a malformed message is rejected as a whole, and counted", async (context) => {
  const mesh = meshFixture(context);
  const [r1] = await pair(context, mesh);
  const before = r1.membership.live;
  const raw = membershipOf(mesh.peers(), r1.address);
  const sender = {
    ...memberOf("r2"),
    incarnation: 1n,
    state: MemberState.ALIVE,
  };
  const stranger = { ...sender, replicaId: "r8" };
  const known = { headers: { "orca-fingerprint": sender.fingerprint } };
  const change = { member: stranger, reporterId: "r2" };
  const gossips: readonly MessageInitShape<typeof GossipSchema>[] = [
    { stateChanges: [change, {}] },
    { stateChanges: [change, { member: { ...stranger, incarnation: 2n ** 53n } }] },
    { stateChanges: [change, { member: { ...stranger, incarnation: 2n ** 64n - 1n } }] },
    { stateChanges: [change, { member: { ...stranger, state: MemberState.UNSPECIFIED } }] },
    { stateChanges: [change, { member: { ...stranger, replicaId: "" } }] },
    { stateChanges: [change, { member: { ...stranger, address: "http://evil" } }] },
    { stateChanges: [change, { member: { ...stranger, zone: "z".repeat(257) } }] },
    { stateChanges: [change], invalidations: Array.from({ length: 4097 }, () => ({ invalidationId: "i" })) },
    { stateChanges: [change], chunkAnnouncements: [{ objectSize: 1n }] },
  ];
  for (const gossip of gossips) {
    const error = await answerTo(raw.ping({ sender, targetId: "r1", gossip }, known));
    assert.equal(error.code, "invalid_argument", error.message);
  }
  const noSender = await answerTo(raw.ping({ targetId: "r1" }, known));
  assert.equal(noSender.code, "invalid_argument");
  assert.equal(
    (await answerTo(raw.sync({ sender, settings: { constructor: "x" } }, known))).code,
    "invalid_argument",
  );
  // A ping with so many changes is over the limit of its bytes.
  const tooMany = { stateChanges: Array.from({ length: 4097 }, () => change) };
  assert.equal((await answerTo(raw.sync({ sender, gossip: tooMany }, known))).code, "invalid_argument");
  assert.equal((await answerTo(raw.ping({ sender, gossip: tooMany }, known))).code, "peer_unavailable");
  assert.equal(r1.calls.stats.malformed, gossips.length + 3);
  assert.equal(r1.membership.live, before);
});

test("MembershipClient: a message over the limit is not sent, and one from a peer is not accepted", async (context) => {
  const mesh = meshFixture(context);
  const [r1, r2] = await pair(context, mesh);
  const change = { member: memberOf("r9", { zone: "z".repeat(200) }), reporterId: "r2" };
  const gossip = { changes: Array(5000).fill(change) as (typeof change)[], rumors: [] };
  const message = { sender: r2.membership.self, targetId: "r1", gossip };
  const { calls } = r1.calls.stats;
  await rejectsWith("peer_unavailable", r2.client.ping(r1.address, message, 500));
  assert.equal(r1.calls.stats.calls, calls);
  const large = toBinary(
    PingRequestSchema,
    create(PingRequestSchema, { targetId: "x".repeat(messageBytesMax) }),
  );
  const stream = await mesh
    .peers()
    .at(r1.address)
    .request("/orca.v1.MembershipService/Ping", { "content-type": "application/proto" });
  const statuses: unknown[] = [];
  stream.on("response", (headers) => statuses.push(headers[":status"])).resume();
  stream.end(large);
  await until(() => statuses.length === 1);
  assert.deepEqual(statuses, [429]);
  assert.ok(await r2.client.ping(r1.address, { ...message, gossip: nothing }, 500));
});

test("MembershipClient: a malformed answer is peer_unavailable", async (context) => {
  const mesh = meshFixture(context);
  const good = { ...memberOf("r1"), incarnation: 1n, state: MemberState.ALIVE };
  const answers: MessageInitShape<typeof PingResponseSchema>[] = [
    {},
    { responder: { ...good, incarnation: 2n ** 60n } },
    { responder: { ...good, state: MemberState.UNSPECIFIED } },
  ];
  const { address } = await mesh.serve({
    routes: (router) =>
      router.service(MembershipService, {
        ping: () => answers.shift() ?? {},
        sync: () => ({ responder: good, members: [{ ...good, state: 99 as MemberState }] }),
        pingIndirect: () => ({ reached: true, gossip: { stateChanges: [{}] } }),
      }),
  });
  const client = new MembershipClient({ peers: mesh.peers(), clock: mesh.clock });
  const sender = memberOf("r2");
  for (let count = answers.length; count > 0; count -= 1) {
    await rejectsWith(
      "peer_unavailable",
      client.ping(address, { sender, targetId: "r1", gossip: nothing }, 500),
    );
  }
  const view = { sender, members: [], settings: {}, gossip: nothing };
  const error = await rejectsWith("peer_unavailable", client.sync(address, view, 500));
  assert.match(error.message, /^Cannot sync with .*: its answer is malformed: .*unknown state 99/);
  const indirect = { sender, target: sender, timeoutMs: 1, gossip: nothing };
  await rejectsWith("peer_unavailable", client.pingIndirect(address, indirect, 500));
  assert.deepEqual(client.stats, { calls: 5, peerError: 0, unavailable: 0, malformed: 5 });
});

test("MembershipClient: a peer that does not answer costs the call's timeout, which includes connecting", async (context) => {
  const mesh = meshFixture(context);
  const sockets: Socket[] = [];
  const hole = createServer((socket) => void sockets.push(socket)).listen(0, "127.0.0.1");
  context.after(() => {
    hole.close();
    for (const socket of sockets) socket.destroy();
  });
  await until(() => hole.listening);
  const { address: silent } = await mesh.serve({
    routes: (router) => router.service(MembershipService, { ping: () => new Promise(() => undefined) }),
  });
  const { port } = hole.address() as { port: number };
  const client = new MembershipClient({ peers: mesh.peers(), clock: mesh.clock });
  const message = { sender: memberOf("r2"), targetId: "r1", gossip: nothing };
  for (const address of [silent, `127.0.0.1:${port}`]) {
    const ended = rejectsWith("peer_unavailable", client.ping(address, message, 300));
    await mesh.clock.advance(300);
    assert.match((await ended).message, /no answer within 300 ms/);
  }
  await rejectsWith("peer_unavailable", client.ping("not an address", message, 300));
  await rejectsWith("peer_unavailable", client.ping("127.0.0.1:1", message, 300));
  assert.deepEqual(client.stats, { calls: 4, peerError: 0, unavailable: 4, malformed: 0 });
});
