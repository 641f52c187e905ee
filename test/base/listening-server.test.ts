import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { acceptPauseMs, ListeningServer } from "../../src/base/listening-server.ts";
import type { OrcaError } from "../../src/base/orca-error.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { failAccept } from "../support/listening-servers.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";

const connectionsMax = 5;

async function listen(context: TestContext) {
  const [clock, logger] = [new FakeClock(), new RecordedLogger()];
  const died: OrcaError[] = [];
  const server = createServer();
  server.maxConnections = connectionsMax;
  const onDied = (error: OrcaError): void => void died.push(error);
  const listening = new ListeningServer(server, {
    whom: "S3 clients",
    setting: "server.listen",
    clock,
    logger,
    onDied,
  });
  const { port } = await listening.listen({ host: "127.0.0.1", port: 0 });
  context.after(() => server.close());
  return { clock, logger, died, server, listening, port };
}

async function isTaken(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  const closed = once(socket, "close").then(() => false);
  socket.write("?");
  const answered = once(socket, "data").then(() => true);
  const taken = await Promise.race([closed, answered]);
  socket.destroy();
  return taken;
}

test("ListeningServer: an accept that fails is counted and logged once, and the server takes connections again", async (context) => {
  const { clock, logger, died, server, listening, port } = await listen(context);
  server.on("connection", (socket) => socket.on("error", () => {}).pipe(socket));
  for (const code of ["EMFILE", "ENFILE", "ENOMEM", "EMFILE"]) failAccept(server, code);
  assert.equal(listening.acceptErrors, 4);
  assert.deepEqual([logger.count("error"), died], [3, []]);
  assert.match(
    logger.events[0]?.message ?? "",
    /^Cannot accept a connection of S3 clients: accept EMFILE\. /,
  );
  assert.equal(await isTaken(port), false);
  await clock.advance(acceptPauseMs);
  assert.equal(server.maxConnections, connectionsMax);
  assert.equal(await isTaken(port), true);
  assert.equal(clock.pendingTimers, 0);
});

test("ListeningServer: errors during a pause prolong it, and a server that closes leaves no timer", async (context) => {
  const { clock, server } = await listen(context);
  failAccept(server, "EMFILE");
  await clock.advance(acceptPauseMs - 1);
  failAccept(server, "EMFILE");
  await clock.advance(acceptPauseMs - 1);
  assert.equal(server.maxConnections, 0);
  server.close();
  await once(server, "close");
  assert.equal(clock.pendingTimers, 0);
});

test("ListeningServer: another error after listening is told once, as the end of the listener", async (context) => {
  const { logger, died, server, listening } = await listen(context);
  server.emit("error", new Error("the socket is broken"));
  server.emit("error", new Error("the socket is still broken"));
  assert.equal(listening.acceptErrors, 0);
  assert.equal(died.length, 1);
  assert.equal(died[0]?.code, "internal");
  assert.equal(died[0]?.message, "The listener for S3 clients died: the socket is broken");
  assert.equal(logger.count("error"), 1);
});

test("ListeningServer.listen: an address that is taken is config_invalid, and leaves no listener of errors waiting", async (context) => {
  const { port } = await listen(context);
  const server = createServer();
  const options = {
    whom: "S3 clients",
    setting: "server.listen",
    clock: new FakeClock(),
    logger: new RecordedLogger(),
    onDied: () => {},
  };
  await assert.rejects(new ListeningServer(server, options).listen({ host: "127.0.0.1", port }), {
    code: "config_invalid",
    message: new RegExp(
      `^Cannot listen for S3 clients on "127\\.0\\.0\\.1:${port}": .*EADDRINUSE.*\\. Stop the process that has the port, or set server\\.listen to another one$`,
    ),
  });
});
