/**
 * Many clients in a process of their own, because their descriptors and their time are not to be those of a test.
 * `crowd.ts <idle|slow> <port> <connections> <local address>`: idle ones ask once and then rest, slow ones send a byte of
 * a head each second. It prints `ready` when all are connected (and answered), and `lost <n>` for connections that end.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { testBucket } from "../support/replica-fixture.ts";

/** Connections that are opened at once: a server accepts one in each turn of its event loop. */
const openedAtOnce = 100;
const ticksPerSecond = 20;

const [, , kind, port = "", count = "", localAddress = ""] = process.argv;
const request = `GET /${testBucket}/hot HTTP/1.1\r\nHost: h\r\n`;
const sockets: Socket[] = [];
let begun = 0;
let lost = 0;

async function open(): Promise<void> {
  const socket = connect({ port: Number(port), host: "127.0.0.1", localAddress });
  socket.on("error", () => {});
  socket.once("close", () => {
    lost += 1;
    console.log(`lost ${lost}`);
  });
  await once(socket, "connect");
  sockets.push(socket);
  if (kind !== "idle") return;
  socket.write(`${request}\r\n`);
  await once(socket, "data");
}

async function openAll(): Promise<void> {
  for (; begun < Number(count); await open()) begun += 1;
}

await Promise.all(Array.from({ length: openedAtOnce }, openAll));
console.log(`ready ${sockets.length}`);

const slowHead = `${request}X: ${"y".repeat(10_000)}`;
for (let tick = 0; ; tick += 1) {
  await sleep(1000 / ticksPerSecond);
  if (kind === "idle") continue;
  const byte = slowHead[Math.floor(tick / ticksPerSecond)] ?? "y";
  for (let index = tick % ticksPerSecond; index < sockets.length; index += ticksPerSecond) {
    sockets[index]?.write(byte);
  }
}
