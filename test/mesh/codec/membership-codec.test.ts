import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  GossipSchema,
  MemberState,
  PingIndirectRequestSchema,
  PingIndirectResponseSchema,
  PingRequestSchema,
  PingResponseSchema,
  SyncRequestSchema,
  SyncResponseSchema,
} from "../../../gen/orca/v1/membership_pb.ts";
import type { Gossip } from "../../../src/membership/membership-message.ts";
import { rumorKinds } from "../../../src/membership/rumor.ts";
import {
  decodeIndirectPing,
  decodeIndirectPingAnswer,
  decodePing,
  decodePingAnswer,
  decodeView,
  decodeViewAnswer,
  encodeIndirectPing,
  encodeIndirectPingAnswer,
  encodePing,
  encodePingAnswer,
  encodeView,
  encodeViewAnswer,
} from "../../../src/mesh/codec/membership-codec.ts";
import { announcementRumor, invalidationRumor, throttleRumor } from "../../../src/mesh/codec/rumor-codec.ts";
import { anyText } from "../../support/any-text.ts";
import { throwsWith } from "../../support/throws-with.ts";
import { anyMember } from "./any-member.ts";

const anyName = anyText({ minLength: 1, maxLength: 12 }).map((name) => name.replaceAll("\0", "0"));
const anyEtag = fc.stringMatching(/^[\w-]{1,40}$/);

const anyRumor = fc.oneof(
  fc
    .tuple(fc.uuid(), anyName, fc.integer({ min: 1, max: 2 ** 20 }), fc.integer({ min: 0, max: 60_000 }))
    .map(([id, originId, parts, holdMs]) => throttleRumor(id, { originId, part: parts / 2 ** 20, holdMs })),
  fc
    .tuple(fc.uuid(), anyName, anyName, anyName)
    .map(([id, originId, bucket, objectKey]) =>
      invalidationRumor(id, { originId, bucket, objectKey, staleEtag: "" }),
    ),
  fc
    .tuple(fc.uuid(), anyName, fc.stringMatching(/^[\x21-\x7e]{1,40}$/), anyEtag)
    .map(([id, objectKey, versionId, staleEtag]) =>
      invalidationRumor(id, { originId: "o", bucket: "b", objectKey, versionId, staleEtag }),
    ),
  fc
    .tuple(anyName, anyName, anyName, anyEtag, fc.integer({ min: 1, max: 2 ** 40 }), fc.nat(1000))
    .map(([originId, bucket, objectKey, etag, chunkSizeBytes, chunkIndex]) =>
      announcementRumor({
        originId,
        bucket,
        objectKey,
        etag,
        chunkSizeBytes,
        chunkIndex,
        objectSizeBytes: chunkSizeBytes * (chunkIndex + 1),
      }),
    ),
);

const anyGossip: fc.Arbitrary<Gossip> = fc.record(
  {
    changes: fc.array(fc.record({ member: anyMember, reporterId: anyName }, { noNullPrototype: true }), {
      maxLength: 4,
    }),
    // By kind, because a message keeps each kind in a field of its own.
    rumors: fc
      .array(anyRumor, { maxLength: 4 })
      .map((rumors) =>
        rumors.sort((left, right) => rumorKinds.indexOf(left.kind) - rumorKinds.indexOf(right.kind)),
      ),
  },
  { noNullPrototype: true },
);

/** Encoded to bytes, and decoded again. */
function sent<Schema extends DescMessage>(schema: Schema, message: MessageInitShape<Schema>) {
  return fromBinary(schema, toBinary(schema, create(schema, message)));
}

test("decodePing, decodePingAnswer: decode any ping and any answer to one", () => {
  fc.assert(
    fc.property(anyMember, anyMember, anyName, anyGossip, fc.boolean(), (sender, target, id, gossip, is) => {
      const ping = { sender, targetId: id, gossip };
      assert.deepEqual(decodePing(sent(PingRequestSchema, encodePing(ping))), ping);
      const answer = { responder: sender, gossip };
      assert.deepEqual(decodePingAnswer(sent(PingResponseSchema, encodePingAnswer(answer))), answer);
      const indirect = { sender, target, timeoutMs: id.length, gossip };
      const indirectWire = sent(PingIndirectRequestSchema, encodeIndirectPing(indirect));
      assert.deepEqual(decodeIndirectPing(indirectWire), indirect);
      const found = { reached: is, target: is ? target : undefined, gossip };
      const foundWire = sent(PingIndirectResponseSchema, encodeIndirectPingAnswer(found));
      assert.deepEqual(decodeIndirectPingAnswer(foundWire), found);
    }),
  );
});

test("decodeView, decodeViewAnswer: decode any view", () => {
  const anySettings = fc.dictionary(fc.stringMatching(/^[a-z]+\.[a-z_]{1,10}$/), anyText(), {
    maxKeys: 5,
    noNullPrototype: true,
  });
  fc.assert(
    fc.property(
      anyMember,
      fc.array(anyMember, { maxLength: 5 }),
      anySettings,
      anyGossip,
      (sender, members, settings, gossip) => {
        const view = { sender, members, settings, gossip };
        assert.deepEqual(decodeView(sent(SyncRequestSchema, encodeView(view))), view);
        assert.deepEqual(decodeViewAnswer(sent(SyncResponseSchema, encodeViewAnswer(view))), view);
      },
    ),
  );
});

test("invalidationRumor, throttleRumor, announcementRumor: the size is an upper bound of the bytes in a message", () => {
  fc.assert(
    fc.property(anyGossip, ({ rumors }) => {
      const view = { changes: [], rumors };
      const ping = create(PingRequestSchema, {
        gossip: encodePing({ sender, targetId: "", gossip: view }).gossip as MessageInitShape<
          typeof GossipSchema
        >,
      });
      const sizeBytes = rumors.reduce((total, rumor) => total + rumor.sizeBytes, 8);
      assert.ok(toBinary(PingRequestSchema, ping).length <= sizeBytes);
    }),
  );
});

test("encodeIndirectPing: the timeout is in whole milliseconds, and fits into its field", () => {
  for (const [timeoutMs, expected] of [
    [400.8, 400],
    [-5, 0],
    [Infinity, 2 ** 32 - 1],
  ] as const) {
    const gossip = { changes: [], rumors: [] };
    assert.equal(encodeIndirectPing({ sender, target: sender, timeoutMs, gossip }).timeoutMs, expected);
  }
});

const sender = {
  replicaId: "r1",
  address: "r1.test:8444",
  incarnation: 1,
  state: "alive",
  zone: "",
  fingerprint: "",
  clusterName: "",
} as const;

const memberMessage = { replicaId: "r1", address: "r1.test:8444", incarnation: 1n, state: MemberState.ALIVE };

test("decodePing: an invalid message is invalid_argument, and the error names the field", () => {
  const object = { originId: "o", bucket: "b", objectKey: "k" };
  const chunkKey = { ...object, etag: "e", chunkSize: 10n, chunkIndex: 2n };
  const throttle = { throttleId: "i", originId: "o" };
  const gossips: readonly (readonly [MessageInitShape<typeof GossipSchema>, RegExp])[] = [
    [{ stateChanges: [{}] }, /member of a change is missing/],
    [{ stateChanges: [{ member: { ...memberMessage, state: 17 as MemberState } }] }, /unknown state 17/],
    [{ invalidations: [{ invalidationId: "i" }] }, /object of an invalidation is missing/],
    [{ invalidations: [{ object }] }, /id of an invalidation is empty/],
    [{ invalidations: [{ invalidationId: "i".repeat(129), object }] }, /129 bytes/],
    [{ invalidations: [{ invalidationId: "i", object: { ...object, bucket: "a\0b" } }] }, /NUL/],
    [{ invalidations: [{ invalidationId: "i", object: { ...object, originId: "" } }] }, /origin id is empty/],
    [{ invalidations: [{ invalidationId: "i", object: { ...object, versionId: "a\0" } }] }, /version id/],
    [{ originThrottles: [{ ...throttle, part: 0 }] }, /part of a throttle is 0, expected/],
    [{ originThrottles: [{ ...throttle, part: -0.5 }] }, /part of a throttle is -0.5, expected/],
    [{ originThrottles: [{ ...throttle, part: 1.001 }] }, /part of a throttle is 1.001, expected/],
    [{ originThrottles: [{ ...throttle, part: Number.NaN }] }, /part of a throttle is NaN, expected/],
    [{ originThrottles: [{ originId: "o", part: 1 }] }, /id of a throttle is empty/],
    [{ originThrottles: [{ throttleId: "i", part: 1 }] }, /origin id is empty/],
    [{ chunkAnnouncements: [{ objectSize: 9n }] }, /chunk of an announcement is missing/],
    [{ chunkAnnouncements: [{ chunkKey, objectSize: 20n }] }, /lies outside/],
    [{ chunkAnnouncements: [{ chunkKey: { ...chunkKey, chunkSize: 0n }, objectSize: 99n }] }, /outside/],
    [{ chunkAnnouncements: [{ chunkKey, objectSize: 2n ** 53n }] }, /object size is 9007199254740992/],
    [
      { chunkAnnouncements: [{ chunkKey: { ...chunkKey, chunkIndex: 2n ** 64n - 1n } }] },
      /chunk index is 18/,
    ],
    [{ chunkAnnouncements: [{ chunkKey: { ...chunkKey, etag: 'e"\r\n' }, objectSize: 99n }] }, /ETag/],
    [{ chunkAnnouncements: [{ chunkKey: { ...chunkKey, objectKey: "k".repeat(4097) } }] }, /outside|key/],
    [{ invalidations: Array.from({ length: 4097 }, () => ({})) }, /4097 rumors/],
  ];
  for (const [gossip, reason] of gossips) {
    const message = sent(PingRequestSchema, { sender: memberMessage, gossip });
    assert.match(throwsWith("invalid_argument", () => decodePing(message)).message, reason);
  }
  for (const incarnation of [2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n]) {
    const message = sent(PingRequestSchema, { sender: { ...memberMessage, incarnation } });
    assert.match(
      throwsWith("invalid_argument", () => decodePing(message)).message,
      /incarnation of the sender/,
    );
  }
  throwsWith("invalid_argument", () => decodePing(sent(PingRequestSchema, {})));
  throwsWith("invalid_argument", () => decodePingAnswer(sent(PingResponseSchema, {})));
  throwsWith("invalid_argument", () => decodeIndirectPing(sent(PingIndirectRequestSchema, {})));
  throwsWith("invalid_argument", () => decodeViewAnswer(sent(SyncResponseSchema, {})));
});

test("decodeView: settings that are too many, too long, or named like a property of every object are rejected", () => {
  for (const settings of [
    Object.fromEntries(Array.from({ length: 4097 }, (_, index) => [`s${index}`, ""])),
    { "chunking.size": "x".repeat(4097) },
    { "": "x" },
    { constructor: "x" },
  ]) {
    const message = sent(SyncRequestSchema, { sender: memberMessage, settings });
    throwsWith("invalid_argument", () => decodeView(message));
  }
});

test("decodePing: rumors of an unknown kind are skipped", () => {
  const known = toBinary(
    GossipSchema,
    create(GossipSchema, {
      invalidations: [{ invalidationId: "i", object: { originId: "o", bucket: "b", objectKey: "k" } }],
    }),
  );
  // Field 15, of 3 bytes.
  const gossip = fromBinary(GossipSchema, Buffer.concat([known, Buffer.from([0x7a, 3, 1, 2, 3])]));
  const { rumors } = decodePing(create(PingRequestSchema, { sender: memberMessage, gossip })).gossip;
  assert.deepEqual(
    rumors.map(({ id }) => id),
    ["i"],
  );
  const unknown = { kind: "weather", id: "w", body: {}, sizeBytes: 1 } as never;
  const message = encodePing({ sender, targetId: "", gossip: { changes: [], rumors: [unknown, ...rumors] } });
  assert.equal(message.gossip?.invalidations?.length, 1);
});

test("announcementRumor: the id is the chunk path, on both ends", () => {
  const body = {
    originId: "origin-a",
    bucket: "b",
    objectKey: "k",
    etag: "e",
    chunkSizeBytes: 1024,
    chunkIndex: 7,
    objectSizeBytes: 9000,
  };
  assert.equal(
    announcementRumor(body).id,
    "origin-a/cc0e4b455e06eb99a21504f612a81a6668b63886990b32c1b3758aae4a33a7ad/7",
  );
});
