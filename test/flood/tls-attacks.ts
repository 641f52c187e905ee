/** Attacks on handshakes, and on HTTP inside of TLS, at the clients' listener. */
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { testBucket } from "../support/replica-fixture.ts";
import { type Attack, type AttackRun, mutated, randomBytesOf } from "./attack.ts";

/** The first 40 bytes of a record that says it holds a ClientHello of 512. */
const halfHello = Buffer.concat([Buffer.from("160301020001", "hex"), Buffer.alloc(34, 1)]);

/** Fewer than an address may open on the mesh at once. */
const unfinishedHandshakes = 120;

/** A server that ignores the question leaves it without an answer. */
async function renegotiated(run: AttackRun, socket: TLSSocket): Promise<boolean> {
  let isDone = false;
  try {
    socket.renegotiate({}, (error) => {
      isDone = error === null;
      socket.emit("renegotiated");
    });
  } catch {
    return false;
  }
  return (await run.happens(socket, "renegotiated", 200)) && isDone;
}

async function openTls(run: AttackRun): Promise<Socket | undefined> {
  const socket = run.dialTls(run.target.edgeTlsPort);
  return (await run.happens(socket, "secureConnect")) ? socket : undefined;
}

/** Attacks on the handshake of either listener. */
export function handshakeAttacks(of: string, portOf: (run: AttackRun) => number): Record<string, Attack> {
  return {
    [`${of}: garbage in place of TLS`]: (run) =>
      run.repeat(8, async (chance) => {
        const socket = run.dial(portOf(run)).resume();
        if (!(await run.happens(socket, "connect"))) return;
        const record = Buffer.from([22, 3, 1 + chance.below(3), chance.below(256), chance.below(256)]);
        const random = randomBytesOf(chance, 1 + chance.below(2000));
        run.send(socket, chance.happens(0.5) ? Buffer.concat([record, random]) : random);
        await run.happens(socket, "close", 100);
        // Some stay, in case the server has not closed them.
        if (chance.happens(0.9)) socket.destroy();
      }),

    [`${of}: handshakes left unfinished`]: async (run) => {
      for (let index = 0; index < unfinishedHandshakes; index += 1) {
        const socket = run.dial(portOf(run), { allowHalfOpen: true });
        if (!(await run.happens(socket, "connect"))) continue;
        if (index % 4 === 0) continue;
        if (index % 4 === 3) socket.end(halfHello);
        else run.send(socket, index % 4 === 1 ? halfHello : "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
      }
      await run.rest();
    },

    [`${of}: handshakes broken off`]: (run) =>
      run.repeat(4, async (chance) => {
        const socket = run.dial(portOf(run));
        const tls = run.dialTls(portOf(run), {
          socket,
          ALPNProtocols: [chance.oneOf(["h2", "http/1.1", "x"])],
        });
        await run.happens(socket, "connect", 200);
        await run.pause(chance.below(4));
        socket.resetAndDestroy();
        tls.destroy();
      }),
  };
}

export const tlsAttacks: Readonly<Record<string, Attack>> = {
  ...handshakeAttacks("edge", ({ target }) => target.edgeTlsPort),

  "edge: renegotiation": (run) =>
    run.repeat(4, async () => {
      const socket = run.dialTls(run.target.edgeTlsPort, { maxVersion: "TLSv1.2" });
      if (!(await run.happens(socket, "secureConnect"))) return;
      for (let time = 0; time < 20 && !run.isOver; time += 1) if (!(await renegotiated(run, socket))) break;
      socket.destroy();
    }),

  "edge: mutated requests over TLS": (run) =>
    run.repeat(6, async (chance) => {
      const socket = await openTls(run);
      if (!socket) return;
      socket.resume();
      const { hotKey } = run.target;
      for (let sent = 0; sent < 20 && !run.isOver; sent += 1) {
        const bytes = Buffer.from(`GET /${testBucket}/${hotKey} HTTP/1.1\r\nHost: h\r\n\r\n`);
        if (!run.send(socket, mutated(chance, bytes)) || !(await run.happens(socket, "data", 50))) break;
      }
      socket.destroy();
    }),

  "edge: slow readers over TLS": async (run) => {
    for (let index = 0; index < 40; index += 1) {
      const socket = await openTls(run);
      if (!socket) continue;
      socket.pause();
      run.send(socket, `GET /${testBucket}/${run.target.largeKey} HTTP/1.1\r\nHost: h\r\n\r\n`);
    }
    await run.rest();
  },

  "edge: garbage inside of TLS records": (run) =>
    run.repeat(4, async (chance) => {
      const socket = run.dial(run.target.edgeTlsPort);
      const tls = run.dialTls(run.target.edgeTlsPort, { socket });
      if (await run.happens(tls, "secureConnect")) {
        const record = Buffer.from([20 + chance.below(5), 3, 3, 0, 20]);
        run.send(socket, Buffer.concat([record, randomBytesOf(chance, 20)]));
        await run.happens(socket, "close", 100);
      }
      socket.destroy();
      tls.destroy();
    }),
};
