/** What a client without manners sends to the clients' listener, over plain TCP. */
import type { Socket } from "node:net";
import type { Chance } from "../support/chance.ts";
import { frame, http2Preface, settingsFrame } from "../support/http2-frames.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { type Attack, type AttackRun, mutated, randomBytesOf } from "./attack.ts";

/** More than `server.max_connections` of the target. */
const connectionsTried = 500;
const listsPerHand = 64;

function dial(run: AttackRun): Socket {
  return run.dial(run.target.edgePort).resume();
}

function getOf(key: string, lines = ""): string {
  return `GET /${testBucket}/${key} HTTP/1.1\r\nHost: h\r\n${lines}\r\n`;
}

/** Sends once and waits until the server has closed the connection or had its time. */
async function sendAlone(run: AttackRun, bytes: Buffer | string, withinMs = 100): Promise<void> {
  const socket = dial(run);
  if (await run.happens(socket, "connect")) {
    await run.push(socket, bytes);
    await run.happens(socket, "close", withinMs);
  }
  socket.destroy();
}

/** Requests on one connection while it lives, each after some bytes of an answer. */
async function ask(run: AttackRun, chance: Chance, requestOf: (chance: Chance) => string): Promise<void> {
  const socket = dial(run);
  if (!(await run.happens(socket, "connect"))) return;
  for (let asked = 0; asked < 50 && !run.isOver; asked += 1) {
    if (!run.send(socket, Buffer.from(requestOf(chance), "latin1"))) break;
    if (!(await run.happens(socket, "data", 100))) break;
  }
  socket.destroy();
}

function requestTemplates(run: AttackRun): readonly string[] {
  const { hotKey } = run.target;
  return [
    getOf(hotKey),
    getOf(hotKey, 'Range: bytes=0-99\r\nIf-Match: "x"\r\n'),
    getOf(`${hotKey}?x-id=GetObject&response-content-type=text%2Fplain`),
    `HEAD /${testBucket}/${hotKey} HTTP/1.1\r\nHost: h\r\n\r\n`,
    `GET /${testBucket}?list-type=2&prefix=h&max-keys=3&delimiter=%2F HTTP/1.1\r\nHost: h\r\n\r\n`,
    `PUT /${testBucket}/k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    `POST /${testBucket}?delete HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello`,
    `OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
    `CONNECT ${testBucket}:443 HTTP/1.1\r\nHost: h\r\n\r\n`,
    `GET http://h/${testBucket}/${hotKey} HTTP/1.0\r\n\r\n`,
  ];
}

/** A value that a range, a date or a list of ETags could be, or could almost be. */
function conditionOf(chance: Chance): string {
  const number = (): string =>
    chance.oneOf(["", "0", "1", "99", "262143", "262144", "9007199254740993", "-1", "1e3", "٣", " 7", "0x1"]);
  const etag = (): string =>
    chance.oneOf(['"x"', 'W/"x"', "*", '"', "x", '""', `"${"y".repeat(chance.below(2000))}"`, '"\t"', "W/*"]);
  const date = (): string =>
    chance.oneOf([
      "Sat, 01 Jan 2000 00:00:00 GMT",
      "Saturday, 01-Jan-00 00:00:00 GMT",
      "Sat Jan  1 00:00:00 2000",
      "Sun, 06 Nov 99999 08:49:37 GMT",
      "Sat, 31 Feb 2026 25:61:61 GMT",
      "0",
      "-1",
    ]);
  const list = (item: () => string): string =>
    Array.from({ length: 1 + chance.below(chance.happens(0.05) ? 400 : 4) }, item).join(",");
  switch (chance.below(7)) {
    case 0:
      return `Range: bytes=${list(() => `${number()}-${number()}`)}`;
    case 1:
      return `Range: ${chance.oneOf(["bytes", "BYTES", "octets", "bytes "])}=${number()}-`;
    case 2:
      return `If-Match: ${list(etag)}`;
    case 3:
      return `If-None-Match: ${list(etag)}`;
    case 4:
      return `If-Modified-Since: ${date()}`;
    case 5:
      return `If-Unmodified-Since: ${date()}`;
    default:
      return `If-Range: ${chance.happens(0.5) ? etag() : date()}`;
  }
}

function encodedKeyOf(chance: Chance): string {
  const piece = (): string =>
    chance.oneOf([
      "%",
      "%2",
      "%2F",
      "%2f",
      "%00",
      "%ff",
      "%C0%AF",
      "%E2%82%AC",
      "..",
      ".",
      "//",
      "+",
      "?",
      "#",
      "%25",
      "a",
      "\u00e9",
      "%u0041",
      "&",
      "=",
      ";",
      "%0d%0a",
    ]);
  return Array.from({ length: 1 + chance.below(chance.happens(0.05) ? 3000 : 12) }, piece).join("");
}

export const edgeAttacks: Readonly<Record<string, Attack>> = {
  "random bytes": (run) =>
    run.repeat(16, (chance) => sendAlone(run, randomBytesOf(chance, 1 + chance.below(3000)))),

  "mutated requests": (run) => {
    const templates = requestTemplates(run).map((text) => Buffer.from(text));
    return run.repeat(16, async (chance) => {
      const socket = dial(run);
      if (!(await run.happens(socket, "connect"))) return;
      for (let sent = 0; sent < 20 && !run.isOver; sent += 1) {
        const bytes = mutated(chance, chance.oneOf(templates) ?? Buffer.alloc(1));
        if (!(await run.push(socket, bytes)) || !(await run.happens(socket, "data", 50))) break;
      }
      socket.destroy();
    });
  },

  "huge heads": (run) =>
    run.repeat(8, async (chance) => {
      const socket = dial(run);
      if (!(await run.happens(socket, "connect"))) return;
      await run.push(socket, getOf("k").slice(0, -2));
      const piece = Buffer.from(`X-${"n".repeat(chance.below(60))}: ${"v".repeat(1 + chance.below(16_000))}`);
      for (let sent = 0; sent < 200 && !run.isOver; sent += 1) if (!(await run.push(socket, piece))) break;
      await run.happens(socket, "close", 100);
      socket.destroy();
    }),

  "many headers": (run) =>
    run.repeat(8, (chance) =>
      sendAlone(
        run,
        getOf(
          "k",
          chance.oneOf(["a:\r\n", "a: b\r\n", "Host: h\r\n", "Range: x\r\n"]).repeat(1 + chance.below(6000)),
        ),
      ),
    ),

  "hundreds of pipelined requests": async (run) => {
    const { hotKey, largeKey } = run.target;
    const sockets = Array.from({ length: 12 }, (_, index) => {
      const socket = run.dial(run.target.edgePort).pause();
      const text = index % 2 === 0 ? getOf(hotKey, "Range: bytes=0-9\r\n") : getOf(largeKey);
      run.send(socket, text.repeat(Math.ceil((381 * 1024) / text.length)));
      return socket;
    });
    await run.pause(300);
    // Half of them read what they asked for.
    for (const [index, socket] of sockets.entries()) if (index % 4 === 0) socket.resume();
    await run.repeat(8, async () => {
      const socket = dial(run);
      if (!(await run.happens(socket, "connect"))) return;
      run.send(socket, getOf(hotKey, "Range: bytes=0-9\r\n").repeat(300));
      await run.pause(50);
      socket.destroy();
    });
  },

  "slow heads": async (run) => {
    const head = getOf("k", `X: ${"y".repeat(4000)}\r\n`);
    const sockets = Array.from({ length: 150 }, () => dial(run));
    for (let at = 0; !run.isOver; at += 1) {
      for (const socket of sockets) run.send(socket, head.charAt(at));
      await run.pause(40);
    }
  },

  "slow bodies": async (run) => {
    const sockets = Array.from({ length: 100 }, () => dial(run));
    const head = `PUT /${testBucket}/k HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n`;
    for (const socket of sockets) run.send(socket, head);
    while (!run.isOver) {
      for (const socket of sockets) run.send(socket, "x");
      await run.pause(40);
    }
  },

  "slow readers": async (run) => {
    for (let index = 0; index < 120; index += 1) {
      const socket = run.dial(run.target.edgePort).pause();
      run.send(socket, getOf(run.target.largeKey, `Range: bytes=${index * 1024 * 1024}-\r\n`));
    }
    await run.rest();
  },

  "half-closed connections": (run) =>
    run.repeat(30, async (chance) => {
      const socket = run.dial(run.target.edgePort, { allowHalfOpen: true });
      if (chance.happens(0.5)) socket.resume();
      const key = chance.happens(0.5) ? run.target.hotKey : run.target.largeKey;
      const text = getOf(key).repeat(1 + chance.below(3));
      if (await run.happens(socket, "connect")) {
        socket.end(text.slice(0, chance.happens(0.5) ? text.length : chance.below(text.length)));
        await run.happens(socket, "close", 100);
      }
      // Every tenth stays, with its side closed.
      if (!chance.happens(0.1)) socket.destroy();
    }),

  "resets in the middle of a body": (run) =>
    run.repeat(16, async (chance) => {
      const socket = run.dial(run.target.edgePort);
      run.send(
        socket,
        getOf(run.target.largeKey, `Range: bytes=${chance.below(run.target.largeSizeBytes)}-\r\n`),
      );
      await run.happens(socket, "data", 200);
      await run.pause(chance.below(5));
      socket.resetAndDestroy();
    }),

  "HTTP/2 on the port of HTTP/1.1": (run) =>
    run.repeat(8, (chance) => {
      const frames = Array.from({ length: chance.below(20) }, () =>
        frame(chance.below(12), chance.below(5), randomBytesOf(chance, chance.below(40)), chance.below(256)),
      );
      return sendAlone(run, Buffer.concat([http2Preface, settingsFrame, ...frames]));
    }),

  "ranges and conditions": (run) =>
    run.repeat(12, (chance) =>
      ask(run, chance, () => {
        const lines = Array.from({ length: 1 + chance.below(3) }, () => `${conditionOf(chance)}\r\n`).join(
          "",
        );
        return getOf(run.target.hotKey, lines);
      }),
    ),

  "percent-encodings": (run) =>
    run.repeat(12, (chance) =>
      ask(run, chance, () => {
        const query = chance.happens(0.4) ? `?${encodedKeyOf(chance)}=${encodedKeyOf(chance)}` : "";
        return getOf(encodedKeyOf(chance) + query);
      }),
    ),

  "listings without end": (run) =>
    run.repeat(16, async (chance) => {
      const socket = dial(run);
      if (!(await run.happens(socket, "connect"))) return;
      for (let list = 0; list < listsPerHand && !run.isOver; list += 1) {
        const query = `list-type=2&prefix=listed/&start-after=listed/${chance.below(100_000)}`;
        run.send(socket, `GET /${testBucket}?${query} HTTP/1.1\r\nHost: h\r\n\r\n`);
        if (!(await run.happens(socket, "data"))) break;
      }
      socket.destroy();
    }),

  "connections over the limit": async (run) => {
    const sockets = Array.from({ length: connectionsTried }, () => dial(run));
    await run.repeat(8, async (chance) => {
      sockets[chance.below(sockets.length)]?.destroy();
      sockets[chance.below(sockets.length)] = dial(run);
    });
  },
};
