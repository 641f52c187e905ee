/** Attacks on the ops listener. */
import type { Attack, AttackRun } from "./attack.ts";
import { mutated, randomBytesOf } from "./attack.ts";

const silentSockets = 200;

async function send(run: AttackRun, bytes: Buffer | string): Promise<void> {
  const socket = run.dial(run.target.opsPort).resume();
  if (await run.happens(socket, "connect")) {
    await run.push(socket, bytes);
    await run.happens(socket, "close", 50);
  }
  socket.destroy();
}

const paths = [
  "/",
  "/healthz",
  "/readyz",
  "/metrics",
  "/cluster",
  "/cache",
  "/inspect?key=a",
  "/explain?bucket=b&key=a&range=9-1",
  "/nowhere",
  "/cache/clear",
  "/log-level",
];

export const opsAttacks: Readonly<Record<string, Attack>> = {
  "ops: silent sockets": async (run) => {
    for (let index = 0; index < silentSockets; index += 1) {
      const socket = run.dial(run.target.opsPort, { allowHalfOpen: true });
      await run.happens(socket, "connect");
    }
    await run.repeat(8, async () => {
      await run.happens(run.dial(run.target.opsPort), "connect");
      await run.pause(20);
    });
  },

  "ops: odd hosts": (run) =>
    run.repeat(8, (chance) => {
      const host = chance.oneOf([
        "evil.example",
        "localhost.evil",
        "[",
        "127.0.0.1:x",
        "[::1",
        "a b",
        "",
        "\u00ff",
        "x".repeat(5000),
      ]);
      const lines = `Host: ${host}\r\n`.repeat(1 + chance.below(2));
      return send(run, Buffer.from(`GET ${chance.oneOf(paths)} HTTP/1.1\r\n${lines}\r\n`, "latin1"));
    }),

  "ops: slow heads": async (run) => {
    const head = `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${"y".repeat(4000)}\r\n\r\n`;
    const sockets = Array.from({ length: silentSockets }, () => run.dial(run.target.opsPort).resume());
    for (let at = 0; !run.isOver; at += 1) {
      for (const socket of sockets) run.send(socket, head.charAt(at));
      await run.pause(40);
    }
  },

  "ops: a flood of requests": (run) =>
    run.repeat(8, async (chance) => {
      const socket = run.dial(run.target.opsPort).resume();
      if (!(await run.happens(socket, "connect"))) return;
      for (let asked = 0; asked < 50 && !run.isOver; asked += 1) {
        run.send(socket, `GET ${chance.oneOf(paths)} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
        if (!(await run.happens(socket, "data", 100))) break;
      }
      socket.destroy();
    }),

  "ops: requests ahead of answers that are not read": (run) =>
    run.repeat(8, async () => {
      const socket = run.dial(run.target.opsPort).pause();
      run.send(socket, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200));
      await run.pause(100);
      socket.destroy();
    }),

  "ops: large bodies": (run) =>
    run.repeat(8, async (chance) => {
      const socket = run.dial(run.target.opsPort).resume();
      if (!(await run.happens(socket, "connect"))) return;
      const length = chance.happens(0.5) ? "Content-Length: 100000000" : "Transfer-Encoding: chunked";
      run.send(socket, `POST ${chance.oneOf(paths)} HTTP/1.1\r\nHost: localhost\r\n${length}\r\n\r\n`);
      const piece = length.startsWith("C")
        ? Buffer.alloc(60_000)
        : Buffer.from(`ea60\r\n${"x".repeat(60_000)}\r\n`);
      for (let sent = 0; sent < 500 && !run.isOver; sent += 1) if (!(await run.push(socket, piece))) break;
      socket.destroy();
    }),

  "ops: odd methods and requests": (run) =>
    run.repeat(12, (chance) => {
      const method = chance.oneOf([
        "PUT",
        "DELETE",
        "TRACE",
        "CONNECT",
        "BREW",
        "OPTIONS",
        "POST",
        "get",
        "M-SEARCH",
      ]);
      const text = Buffer.from(
        `${method} ${chance.oneOf(paths)} HTTP/1.1\r\nHost: localhost\r\nOrigin: x\r\n\r\n`,
      );
      return send(run, chance.happens(0.5) ? text : mutated(chance, text));
    }),

  "ops: random bytes": (run) =>
    run.repeat(12, (chance) => send(run, randomBytesOf(chance, 1 + chance.below(3000)))),
};
