/** Attacks by messages of the mesh: what a member with a stolen key can say, and how slowly it can say it. */
import type { TLSSocket } from "node:tls";
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { InspectObjectRequestSchema } from "../../gen/orca/v1/cache_pb.ts";
import { FiguresRequestSchema } from "../../gen/orca/v1/figures_pb.ts";
import { FillChunkRequestSchema, ListChunksRequestSchema } from "../../gen/orca/v1/fill_pb.ts";
import {
  type MemberSchema,
  MemberState,
  PingIndirectRequestSchema,
  PingRequestSchema,
  SyncRequestSchema,
} from "../../gen/orca/v1/membership_pb.ts";
import {
  HeadObjectRequestSchema,
  InvalidateRequestSchema,
  ListObjectsRequestSchema,
} from "../../gen/orca/v1/object_pb.ts";
import type { Chance } from "../support/chance.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { type Attack, type AttackRun, type AttackTarget, mutated, randomBytesOf } from "./attack.ts";
import {
  answerPings,
  dataFrame,
  headersOf,
  openSession,
  paths,
  requestFrame,
  settingsOf,
} from "./frame-attacks.ts";

const endStream = 0x1;
const endHeaders = 0x4;
const dataBytesMax = 16_384;
const initialWindowSize = 4;
const inventedMembers = 1000;
const chunkSizeBytes = 1_048_576n;

type Member = MessageInitShape<typeof MemberSchema>;

function thiefOf({ fingerprint, clusterName, otherMeshPort }: AttackTarget): Member {
  const state = MemberState.ALIVE;
  const incarnation = BigInt(Date.now());
  return {
    replicaId: "thief",
    address: `127.0.0.1:${otherMeshPort}`,
    incarnation,
    state,
    fingerprint,
    clusterName,
  };
}

function message<Schema extends DescMessage>(schema: Schema, init: MessageInitShape<Schema>): Buffer {
  return Buffer.from(toBinary(schema, create(schema, init)));
}

/** Connect and gRPC put five bytes before a message of a stream. */
function enveloped(bytes: Buffer, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** A body in frames of the size that the mesh accepts. */
function bodyFrames(streamId: number, body: Buffer, ends = true): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < body.length || at === 0; at += dataBytesMax) {
    const isLast = at + dataBytesMax >= body.length;
    frames.push(dataFrame(streamId, body.subarray(at, at + dataBytesMax), ends && isLast ? endStream : 0));
  }
  return frames;
}

function callOf(
  streamId: number,
  path: string,
  body: Buffer,
  more: Readonly<Record<string, string>> = {},
  ends = true,
): Buffer {
  return Buffer.concat([
    requestFrame(streamId, headersOf(path, more), endHeaders),
    ...bodyFrames(streamId, body, ends),
  ]);
}

function fillOf({ largeKey, largeEtag, largeSizeBytes }: AttackTarget, index: number): Buffer {
  return message(FillChunkRequestSchema, {
    chunkKey: {
      originId: "test",
      bucket: testBucket,
      objectKey: largeKey,
      etag: largeEtag,
      chunkSize: chunkSizeBytes,
      chunkIndex: BigInt(index),
    },
    objectSize: BigInt(largeSizeBytes),
    length: chunkSizeBytes,
  });
}

/** One valid message of each RPC. */
function validMessages(target: AttackTarget): readonly (readonly [string, Buffer])[] {
  const object = { originId: "test", bucket: testBucket, objectKey: target.hotKey };
  const sender = thiefOf(target);
  const gossip = {
    stateChanges: [
      { member: { ...sender, replicaId: "x", state: MemberState.SUSPECT }, reporterId: "thief" },
    ],
    invalidations: [{ invalidationId: "i", object, staleEtag: "e" }],
    chunkAnnouncements: [
      { chunkKey: { ...object, etag: "e", chunkSize: chunkSizeBytes, chunkIndex: 0n }, objectSize: 9n },
    ],
  };
  const settings = { "chunking.size": "1048576", "chunking.tiers": "" };
  return [
    [paths.ping, message(PingRequestSchema, { sender, targetId: "r0", gossip })],
    [
      paths.pingIndirect,
      message(PingIndirectRequestSchema, {
        sender,
        target: { ...sender, replicaId: "r1" },
        timeoutMs: 5,
        gossip,
      }),
    ],
    [paths.sync, message(SyncRequestSchema, { sender, members: [sender], settings, gossip })],
    [paths.head, message(HeadObjectRequestSchema, { object, contestedEtag: "e" })],
    [
      paths.list,
      message(ListObjectsRequestSchema, { originId: "test", bucket: testBucket, prefix: "h", maxKeys: 5 }),
    ],
    [paths.invalidate, message(InvalidateRequestSchema, { object })],
    [
      paths.inspect,
      message(InspectObjectRequestSchema, { object, etag: "e", objectSize: 9n, chunkSize: chunkSizeBytes }),
    ],
    [
      paths.listChunks,
      message(ListChunksRequestSchema, { pageToken: "", pageSize: 10, forReplica: "thief" }),
    ],
    [paths.fill, enveloped(fillOf(target, 0))],
    [paths.figures, message(FiguresRequestSchema, { historySlotsMax: 720 })],
  ];
}

function headersFor(target: AttackTarget, path: string): Record<string, string> {
  return {
    "orca-fingerprint": target.fingerprint,
    "content-type": path === paths.fill ? "application/connect+proto" : "application/proto",
  };
}

/** Calls, one after another, on sessions that are opened again when they end. */
function calls(
  hands: number,
  callsMax: number,
  next: (run: AttackRun, chance: Chance, streamId: number) => Buffer,
): Attack {
  return (run) =>
    run.repeat(hands, async (chance) => {
      const socket = await openSession(run);
      if (!socket) return run.pause(50);
      for (let call = 0; call < callsMax && !run.isOver; call += 1) {
        if (!(await run.push(socket, next(run, chance, 1 + 2 * call)))) break;
        if (call % 16 === 15) await run.pause(20);
      }
      await run.happens(socket, "close", 20);
      socket.destroy();
    });
}

function invented(target: AttackTarget, chance: Chance): Member {
  const number = chance.below(100_000);
  return {
    ...thiefOf(target),
    replicaId: `invented-${number}`,
    address: `127.0.0.1:${1 + chance.below(1000)}`,
    state: chance.oneOf([MemberState.ALIVE, MemberState.SUSPECT, MemberState.DEAD, MemberState.LEFT]),
  };
}

/** A message in the name of another replica, or about one, from the future or from its own mouth. */
function forged(target: AttackTarget, chance: Chance): Buffer {
  const incarnation = chance.oneOf([
    0n,
    1n,
    BigInt(Date.now()),
    BigInt(Date.now()) + 80_000_000n,
    2n ** 53n - 2n,
    2n ** 64n - 1n,
  ]);
  const about = chance.oneOf(["r0", "r1", "thief", "", "r1 ", "__proto__", "x".repeat(200)]);
  const member = {
    ...thiefOf(target),
    replicaId: about,
    incarnation,
    state: chance.oneOf([0, 1, 2, 3, 4, 9]) as MemberState,
  };
  const sender = chance.happens(0.5) ? member : thiefOf(target);
  const gossip = { stateChanges: [{ member, reporterId: chance.oneOf(["thief", "r1", "r0", ""]) }] };
  return message(PingRequestSchema, { sender, targetId: chance.oneOf(["r0", "r1", ""]), gossip });
}

/** Streams whose bodies never end: they go on as long as the server takes them, or stop after a byte. */
async function unfinished(
  run: AttackRun,
  socket: TLSSocket,
  streams: number,
  isShort: boolean,
): Promise<void> {
  answerPings(run, socket);
  const piece = Buffer.alloc(isShort ? 1 : dataBytesMax, 0x0a);
  const pieces = isShort ? 1 : 8;
  for (let stream = 1; stream < 2 * streams; stream += 2) {
    const path = [paths.sync, paths.ping, paths.head, paths.fill][(stream >> 1) % 4] ?? paths.sync;
    run.send(socket, requestFrame(stream, headersOf(path, headersFor(run.target, path)), endHeaders));
    for (let sent = 0; sent < pieces && !run.isOver; sent += 1) {
      if (!(await run.push(socket, dataFrame(stream, piece)))) return;
    }
  }
}

export const messageAttacks: Readonly<Record<string, Attack>> = {
  "mesh: malformed messages": (run) => {
    const messages = validMessages(run.target);
    const next = calls(3, 400, (_, chance, streamId) => {
      const [path, valid] = chance.oneOf(messages) ?? ["", Buffer.alloc(0)];
      const body = chance.happens(0.7) ? mutated(chance, valid) : randomBytesOf(chance, chance.below(400));
      return callOf(streamId, path, body, headersFor(run.target, path), chance.happens(0.95));
    });
    return next(run);
  },

  "mesh: valid messages without pause": (run) => {
    const messages = validMessages(run.target);
    const [ping] = messages;
    const next = calls(3, 900, (_, chance, streamId) => {
      // Half of them are of one kind, so that they pass the rate of the membership however slow the others are.
      const [path, valid] = (chance.happens(0.5) ? ping : chance.oneOf(messages)) ?? ["", Buffer.alloc(0)];
      return callOf(streamId, path, valid, headersFor(run.target, path));
    });
    return next(run);
  },

  "mesh: wrong fingerprints": calls(3, 400, ({ target }, chance, streamId) => {
    const sender = { ...thiefOf(target), fingerprint: "f".repeat(64) };
    const chunkKey = {
      originId: "test",
      bucket: testBucket,
      objectKey: "k",
      etag: "e",
      chunkSize: chunkSizeBytes,
    };
    const chunkAnnouncements = Array.from({ length: 1000 }, () => ({
      chunkKey: { ...chunkKey, chunkIndex: BigInt(chance.below(1000)) },
      objectSize: 1_000_000_000_000n,
    }));
    const body = message(PingRequestSchema, { sender, targetId: "r0", gossip: { chunkAnnouncements } });
    const fingerprint = chance.oneOf([
      {},
      { "orca-fingerprint": "f".repeat(64) },
      { "orca-fingerprint": target.fingerprint },
    ]);
    return callOf(streamId, paths.ping, body, fingerprint);
  }),

  "mesh: forged ids": calls(3, 400, ({ target }, chance, streamId) =>
    callOf(streamId, paths.ping, forged(target, chance), headersFor(target, paths.ping)),
  ),

  "mesh: views of invented members": calls(2, 40, ({ target }, chance, streamId) => {
    const members = Array.from({ length: inventedMembers }, () => invented(target, chance));
    const body = message(SyncRequestSchema, { sender: thiefOf(target), members, settings: {} });
    return callOf(streamId, paths.sync, body, headersFor(target, paths.sync));
  }),

  "mesh: bodies that never end": async (run) => {
    const sockets = await Promise.all(Array.from({ length: 6 }, () => openSession(run)));
    await Promise.all(
      sockets.map(async (socket, index) => {
        if (socket) await unfinished(run, socket, 400, index % 2 === 0);
      }),
    );
    await run.rest();
  },

  "mesh: chunk streams that are not read": async (run) => {
    const { target } = run;
    const chunks = Math.floor(target.largeSizeBytes / Number(chunkSizeBytes));
    const sockets = await Promise.all([
      // Some leave the window of each stream at 0, the others read nothing from the socket.
      openSession(run, settingsOf([[initialWindowSize, 0]])),
      openSession(run, settingsOf([[initialWindowSize, 0x7fffffff]])),
      openSession(run, settingsOf([[initialWindowSize, 0x7fffffff]])),
    ]);
    for (const [index, socket] of sockets.entries()) {
      if (!socket) continue;
      if (index > 0) socket.pause();
      for (let call = 0; call < 200 && !run.isOver; call += 1) {
        const body = enveloped(fillOf(target, call % chunks));
        if (!(await run.push(socket, callOf(1 + 2 * call, paths.fill, body, headersFor(target, paths.fill)))))
          break;
      }
    }
    await run.rest();
  },

  "mesh: answers that are not read": async (run) => {
    const sockets = await Promise.all(
      Array.from({ length: 3 }, () => openSession(run, settingsOf([[initialWindowSize, 0]]))),
    );
    const list = message(ListObjectsRequestSchema, {
      originId: "test",
      bucket: testBucket,
      prefix: "listed/",
      maxKeys: 1000,
    });
    for (const socket of sockets) {
      if (!socket) continue;
      for (let call = 0; call < 500 && !run.isOver; call += 1) {
        if (!(await run.push(socket, callOf(1 + 2 * call, paths.list, list)))) break;
      }
    }
    await run.rest();
  },
};
