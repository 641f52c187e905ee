/**
 * Attacks on HTTP/2 itself (RFC 9113) by a member of the mesh: frames that no library writes, and floods of frames that
 * each library accepts. And attacks of strangers, who hold no certificate.
 */
import type { TLSSocket } from "node:tls";
import type { Chance } from "../support/chance.ts";
import { frame, http2Preface, literalHeader, settingsFrame } from "../support/http2-frames.ts";
import { type Attack, type AttackRun, randomBytesOf } from "./attack.ts";
import { handshakeAttacks } from "./tls-attacks.ts";

const type = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
const endStream = 0x1;
const endHeaders = 0x4;
const padded = 0x8;
const withPriority = 0x20;

export const paths = {
  ping: "/orca.v1.MembershipService/Ping",
  pingIndirect: "/orca.v1.MembershipService/PingIndirect",
  sync: "/orca.v1.MembershipService/Sync",
  head: "/orca.v1.ObjectService/HeadObject",
  list: "/orca.v1.ObjectService/ListObjects",
  invalidate: "/orca.v1.ObjectService/Invalidate",
  inspect: "/orca.v1.CacheService/InspectObject",
  figures: "/orca.v1.CacheService/Figures",
  listChunks: "/orca.v1.FillService/ListChunks",
  fill: "/orca.v1.FillService/FillChunk",
} as const;

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** RFC 9113 §6.5: pairs of an identifier and a value. */
export function settingsOf(pairs: readonly (readonly [number, number])[]): Buffer {
  const entries = pairs.map(([id, value]) => {
    const bytes = Buffer.alloc(6);
    bytes.writeUInt16BE(id);
    bytes.writeUInt32BE(value >>> 0, 2);
    return bytes;
  });
  return frame(type.settings, 0, Buffer.concat(entries));
}

/** The fields of a header block. */
export function block(fields: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(Object.entries(fields).map(([name, value]) => literalHeader(name, value)));
}

export function headersOf(path: string, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    ":method": "POST",
    ":scheme": "https",
    ":path": path,
    ":authority": "mesh",
    "content-type": "application/proto",
    ...more,
  };
}

export function requestFrame(
  streamId: number,
  fields: Readonly<Record<string, string>>,
  flags = endHeaders | endStream,
): Buffer {
  return frame(type.headers, streamId, block(fields), flags);
}

export function dataFrame(streamId: number, bytes: Buffer, flags = 0): Buffer {
  return frame(type.data, streamId, bytes, flags);
}

/** A session that has sent its preface. The answers are discarded. */
export async function openSession(run: AttackRun, settings = settingsFrame): Promise<TLSSocket | undefined> {
  const socket = await run.dialMesh();
  if (socket.destroyed) return undefined;
  run.send(socket.resume(), Buffer.concat([http2Preface, settings]));
  return socket;
}

/** Answers the server's PINGs: a session that does not ends before any other limit is reached. */
export function answerPings(run: AttackRun, socket: TLSSocket): void {
  const headBytes = 9;
  const acknowledged = 1;
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (bytes: Buffer) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= headBytes) {
      const end = headBytes + rest.readUIntBE(0, 3);
      if (rest.length < end) return;
      if (rest[3] === type.ping && rest[4] === 0) {
        run.send(socket, frame(type.ping, 0, rest.subarray(headBytes, end), acknowledged));
      }
      rest = rest.subarray(end);
    }
  });
}

/** Opens sessions one after another, and pushes frames into each for as long as the server takes them. */
function flood(hands: number, framesOf: (chance: Chance, round: number) => Buffer, rounds = 200): Attack {
  return (run) =>
    run.repeat(hands, async (chance) => {
      const socket = await openSession(run);
      if (!socket) return run.pause(50);
      for (let round = 0; round < rounds && !run.isOver; round += 1) {
        if (!(await run.push(socket, framesOf(chance, round)))) break;
      }
      await run.happens(socket, "close", 50);
      socket.destroy();
    });
}

/** A frame that RFC 9113 forbids: a wrong length, stream or flag, or a value out of range. */
function wrongFrame(chance: Chance): Buffer {
  const stream = chance.oneOf([0, 1, 2, 3, 0x7fffffff]);
  const random = (lengthBytes: number): Buffer => randomBytesOf(chance, lengthBytes);
  return chance.oneOf([
    frame(type.ping, 0, random(7)),
    frame(type.ping, 1, random(8)),
    frame(type.settings, 0, random(5)),
    frame(type.settings, 0, random(6), 1),
    settingsOf([[4, 0xffffffff]]),
    settingsOf([[5, 1]]),
    settingsOf([[2, 7]]),
    frame(type.priority, stream, random(4)),
    frame(type.priority, 1, uint32(1)),
    frame(type.reset, stream, random(3)),
    frame(type.reset, 0, random(4)),
    frame(type.windowUpdate, stream, random(3)),
    frame(type.windowUpdate, stream, uint32(0)),
    frame(type.push, 1, random(20), endHeaders),
    frame(type.goaway, 0, random(chance.below(12))),
    frame(type.goaway, 0, random(2000)),
    frame(type.continuation, 1, random(20), endHeaders),
    frame(type.data, stream, random(20)),
    frame(type.headers, 2, block(headersOf(paths.ping)), endHeaders),
    frame(type.headers, 1, random(40), chance.below(256)),
    frame(type.data, 1, Buffer.from([255, 1, 2]), padded),
    Buffer.concat([frame(type.data, 1, random(16_384)).fill(0xff, 0, 3)]),
    frame(10 + chance.below(240), stream, random(chance.below(200))),
    random(1 + chance.below(60)),
  ]);
}

/** Literals that enter the table of 4 KiB, and thousands of references to the largest of them (RFC 7541). */
function headerTableBomb(): Buffer {
  const value = Buffer.alloc(4000, 0x61);
  const long = Buffer.concat([
    Buffer.from([0x40, 1, 0x78, 0x7f, ((value.length - 127) & 0x7f) | 0x80, (value.length - 127) >> 7]),
    value,
  ]);
  const references = Buffer.alloc(8000, 0x80 | 62);
  return Buffer.concat([block(headersOf(paths.ping)), long, references]);
}

const oddAuthorities: readonly [string, ...string[]] = [
  "[",
  "]",
  "a b",
  "%",
  "::::",
  "host:99999",
  "[::1",
  "\u0080",
  "user@[",
  "/",
  "?",
  "",
  "\u0000",
];
const oddPaths = [
  "",
  "*",
  "//",
  "//[",
  "/?",
  "?",
  "%",
  "/%",
  "/\u00ff",
  "/orca.v1.MembershipService",
  "http://[",
  "/..",
  "\u0000",
];

const triedPaths: readonly [string, ...string[]] = [paths.ping, ...Object.values(paths), ...oddPaths];

function strangers(run: AttackRun): Promise<void> {
  return run.repeat(2, async (chance) => {
    const { meshPort, ca, cert, key } = run.target;
    const credentials = chance.oneOf([{}, { ca }, { cert, key, ALPNProtocols: ["http/1.1"] }, { cert, key }]);
    const socket = run.dialTls(meshPort, credentials);
    if (await run.happens(socket, "secureConnect", 200)) {
      run.send(socket, chance.happens(0.5) ? http2Preface : "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
      await run.happens(socket, "close", 100);
    }
    socket.destroy();
    await run.pause(20);
  });
}

export const frameAttacks: Readonly<Record<string, Attack>> = {
  ...handshakeAttacks("mesh", ({ target }) => target.meshPort),
  "mesh: strangers": strangers,
  "mesh: wrong frames": flood(2, wrongFrame, 8),
  "mesh: a flood of SETTINGS": flood(2, () =>
    Buffer.concat(new Array<Buffer>(500).fill(settingsOf([[3, 100]]))),
  ),
  "mesh: a flood of PING": flood(2, () =>
    Buffer.concat(new Array<Buffer>(500).fill(frame(type.ping, 0, Buffer.alloc(8)))),
  ),
  "mesh: a flood of PRIORITY": flood(2, (chance) =>
    Buffer.concat(
      Array.from({ length: 500 }, () => {
        const stream = 1 + 2 * chance.below(50);
        const parent = chance.happens(0.2) ? stream : 1 + 2 * chance.below(50);
        return frame(
          type.priority,
          stream,
          Buffer.concat([uint32(parent), Buffer.from([chance.below(256)])]),
        );
      }),
    ),
  ),
  "mesh: a flood of empty frames": flood(2, (_, round) =>
    Buffer.concat([
      round === 0 ? requestFrame(1, headersOf(paths.ping), endHeaders) : Buffer.alloc(0),
      ...new Array<Buffer>(500).fill(dataFrame(1, Buffer.alloc(0))),
    ]),
  ),
  "mesh: rapid resets": flood(1, (_, round) =>
    Buffer.concat(
      Array.from({ length: 200 }, (__, index) => {
        const stream = 1 + 2 * (round * 200 + index);
        const path = index % 2 === 0 ? paths.head : paths.fill;
        return Buffer.concat([requestFrame(stream, headersOf(path)), frame(type.reset, stream, uint32(8))]);
      }),
    ),
  ),
  "mesh: a head that never ends": flood(2, (_, round) =>
    Buffer.concat([
      round === 0 ? frame(type.headers, 1, block(headersOf(paths.ping)), 0) : Buffer.alloc(0),
      ...new Array<Buffer>(100).fill(frame(type.continuation, 1, literalHeader("x", "y".repeat(100)))),
    ]),
  ),
  "mesh: windows of 0, and over 2^31": flood(2, (chance, round) => {
    const stream = 1 + 2 * round;
    return Buffer.concat([
      requestFrame(stream, headersOf(paths.inspect), endHeaders),
      frame(type.windowUpdate, chance.oneOf([0, stream]), uint32(chance.oneOf([0, 0x7fffffff, 1]))),
      settingsOf([[4, chance.oneOf([0, 0x7fffffff, 65_535])]]),
    ]);
  }),
  "mesh: header tables": flood(2, (_, round) => {
    const bomb = headerTableBomb();
    return frame(type.headers, 1 + 2 * round, bomb, endHeaders | endStream);
  }),
  "mesh: streams that depend on themselves": flood(2, (_, round) => {
    const stream = 1 + 2 * round;
    const priority = Buffer.concat([uint32(stream), Buffer.from([255])]);
    const head = Buffer.concat([priority, block(headersOf(paths.ping))]);
    return frame(type.headers, stream, head, endHeaders | endStream | withPriority);
  }),
  "mesh: odd authorities and paths": flood(2, (chance, round) => {
    const fields = headersOf(chance.oneOf(triedPaths), {
      ":authority": chance.oneOf(oddAuthorities),
      ":method": chance.oneOf(["POST", "GET", "PUT", "CONNECT", "brew"]),
      "content-type": chance.oneOf([
        "application/proto",
        "application/grpc",
        "application/connect+proto",
        "application/json",
        "x",
      ]),
      "connect-timeout-ms": chance.oneOf(["1", "0", "-1", "99999999999", "x"]),
    });
    return requestFrame(1 + 2 * round, fields, endHeaders | (chance.happens(0.7) ? endStream : 0));
  }),
  "mesh: more connections than an address may open": (run) =>
    run.repeat(8, async () => {
      const socket = run.dial(run.target.meshPort).resume();
      await run.happens(socket, "connect", 200);
      if (run.chance.happens(0.8)) socket.destroy();
    }),
};
