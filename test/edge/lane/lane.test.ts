import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { KiB } from "../../../src/base/units.ts";
import { createEdgeServer } from "../../../src/edge/edge-server.ts";
import { EdgeStats } from "../../../src/edge/edge-stats.ts";
import type { EdgeRequest, EdgeResponse } from "../../../src/edge/lane/edge-request.ts";
import { Lane } from "../../../src/edge/lane/lane.ts";
import { Pipelines } from "../../../src/edge/pipelines.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { until } from "../../support/until.ts";

async function start(
  context: TestContext,
  serve: (request: EdgeRequest, response: EdgeResponse) => void,
  clientStallTimeoutMs = 60_000,
) {
  const clock = new FakeClock();
  const timeouts = { keepAliveTimeoutMs: 10_000, headerTimeoutMs: 4000, clientStallTimeoutMs };
  const server = createEdgeServer({ ...timeouts, tls: undefined, stats: new EdgeStats() });
  const broken: string[] = [];
  const byNode: string[] = [];
  const lane = new Lane({
    ...timeouts,
    server,
    clock,
    pipelines: new Pipelines(100),
    serve,
    onStalled: (socket) => socket.destroy(),
    onBrokenHead: (socket, code) => {
      broken.push(code);
      socket.destroy();
    },
  });
  server.on("request", (request, response) => {
    byNode.push(request.url ?? "");
    response.end("node");
  });
  lane.start();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const sockets: Socket[] = [];
  context.after(() => {
    lane.stop();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const open = async () => {
    const socket = connect(port, "127.0.0.1");
    sockets.push(socket);
    let received = "";
    socket.setEncoding("latin1").on("data", (text: string) => (received += text));
    socket.on("error", () => {});
    await once(socket, "connect");
    return { socket, received: () => received };
  };
  return { clock, lane, server, broken, byNode, open };
}

function answer(request: EdgeRequest, response: EdgeResponse): void {
  const body = `body of ${request.url}`;
  response.writeHead(200, ["Content-Length", String(body.length)]);
  response.end(body);
}

const get = (path: string, headers = ""): string => `GET ${path} HTTP/1.1\r\nHost: h\r\n${headers}\r\n`;

test("Lane: a connection may be idle for the keep-alive timeout and a second, and not while it is served", async (context) => {
  const held: EdgeResponse[] = [];
  const { clock, open } = await start(context, (request, response) => {
    if (request.url === "/held") held.push(response);
    else answer(request, response);
  });
  const { socket, received } = await open();
  socket.write(get("/a"));
  await until(() => received().endsWith("body of /a"));
  await clock.advance(10_900);
  socket.write(get("/held"));
  await until(() => held.length === 1);
  await clock.advance(60_000);
  answer({ url: "/held" } as EdgeRequest, held[0] as EdgeResponse);
  await until(() => received().endsWith("body of /held"));
  assert.equal(socket.destroyed, false);
  const closed = once(socket, "close");
  await clock.advance(13_000);
  await closed;
});

test("Lane: the head of the first request, and the rest of any, comes within the header timeout", async (context) => {
  const { clock, broken, open } = await start(context, answer);
  const [silent, slow] = [await open(), await open()];
  slow.socket.write(get("/a"));
  await until(() => slow.received().endsWith("body of /a"));
  await clock.advance(3900);
  slow.socket.write("GET /b HT");
  await until(async () => {
    await clock.advance(300);
    return broken.length === 1;
  });
  assert.deepEqual(broken, ["ERR_HTTP_REQUEST_TIMEOUT"]);
  await until(() => silent.socket.destroyed);
  assert.equal(slow.socket.destroyed, false);
  await until(async () => {
    await clock.advance(300);
    return broken.length === 2;
  });
  await until(() => slow.socket.destroyed);
});

test("Lane: a client that closes its side in the middle of a head gets what node:http would say", async (context) => {
  const { broken, open } = await start(context, answer);
  const { socket } = await open();
  socket.end("GET /a HTTP/1.1\r\nHo");
  await until(() => broken.length === 1);
  assert.deepEqual(broken, ["HPE_INVALID_EOF_STATE"]);
});

test("Lane: a request of another form goes to node:http after the answers before it, and the connection stays there", async (context) => {
  const held: EdgeResponse[] = [];
  const { byNode, open } = await start(context, (request, response) => {
    if (request.url === "/held") held.push(response);
    else answer(request, response);
  });
  const { socket, received } = await open();
  socket.write(get("/a") + get("/held") + get("/b") + get("/odd", "TE: x\r\n") + get("/c"));
  await until(() => held.length === 1);
  assert.deepEqual(byNode, []);
  answer({ url: "/held" } as EdgeRequest, held[0] as EdgeResponse);
  await until(() => received().split("node").length === 3);
  assert.deepEqual(byNode, ["/odd", "/c"]);
  assert.match(received(), /body of \/a[^]*body of \/held[^]*body of \/b[^]*node/);
});

test("Lane: a head in more than eight reads goes to node:http without a loss", async (context) => {
  const { server, byNode, open } = await start(context, answer);
  const accepted: Socket[] = [];
  server.on("connection", (socket: Socket) => accepted.push(socket));
  const { socket, received } = await open();
  await until(() => accepted.length === 1);
  let sent = 0;
  for (const byte of get("/slowly")) {
    socket.write(byte);
    sent += 1;
    await until(() => accepted[0]?.bytesRead === sent);
  }
  await until(() => received().endsWith("node"));
  assert.deepEqual(byNode, ["/slowly"]);
});

test("Lane: a response that waits has the stall timeout, also after a sweep that found its connection idle", async (context) => {
  const { clock, open } = await start(
    context,
    (request, response) => {
      if (request.url !== "/held") answer(request, response);
    },
    100,
  );
  const { socket, received } = await open();
  socket.write(get("/a"));
  await until(() => received().endsWith("body of /a"));
  await clock.advance(2000);
  const closed = once(socket, "close");
  socket.write(get("/held"));
  await closed;
});

test("Lane: heads of one second have the same Date, and those of the next one another", async (context) => {
  const { clock, open } = await start(context, answer);
  const { socket, received } = await open();
  for (const aheadMs of [0, 900, 200]) {
    await clock.advance(aheadMs);
    const before = received().length;
    socket.write(get("/a"));
    await until(() => received().slice(before).endsWith("body of /a"));
  }
  const dates = [...received().matchAll(/Date: ([^\r]*)/g)].map(([, date]) => Date.parse(date as string));
  assert.deepEqual(
    dates,
    [0, 0, 1000].map((ms) => Date.UTC(2026, 0, 1) + ms),
  );
});

test("Lane: on this Node, reads go to one buffer, and what stays of a read is no other connection's", async (context) => {
  const { server, open } = await start(context, answer);
  const accepted: Socket[] = [];
  server.on("connection", (socket: Socket) => accepted.push(socket));
  const [whole, cut] = [await open(), await open()];
  await until(() => accepted.length === 2);
  assert.deepEqual(
    accepted.map((socket) => socket.listenerCount("data")),
    [0, 0],
  );
  for (const count of [1, 2, 3]) {
    cut.socket.write("GET /cut HT");
    await until(() => accepted[1]?.bytesRead === (count - 1) * get("/cut").length + "GET /cut HT".length);
    whole.socket.write(get("/whole"));
    await until(() => whole.received().split("body of /whole").length === count + 1);
    cut.socket.write(get("/cut").slice("GET /cut HT".length));
    await until(() => cut.received().split("body of /cut").length === count + 1);
  }
});

test("Lane.closeIdle: closes connections between two requests, and no others", async (context) => {
  const held: EdgeResponse[] = [];
  const { lane, open } = await start(context, (request, response) => {
    if (request.url === "/held") held.push(response);
    else answer(request, response);
  });
  const [fresh, idle, busy, late] = [await open(), await open(), await open(), await open()];
  idle.socket.write(get("/a"));
  busy.socket.write(get("/held"));
  late.socket.write(`${get("/a")}GET /b`);
  await until(() => held.length === 1 && idle.received() !== "" && late.received() !== "");
  lane.closeIdle();
  await until(() => idle.socket.destroyed);
  assert.deepEqual(
    [fresh, busy, late].map(({ socket }) => socket.destroyed),
    [false, false, false],
  );
});

test("Lane.closeIdle: one on which nothing has come for a sweep is closed, and one that has sent a part of a head is not", async (context) => {
  const { clock, lane, server, open } = await start(context, answer);
  const accepted: Socket[] = [];
  server.on("connection", (socket) => accepted.push(socket));
  const [unused, begun] = [await open(), await open()];
  begun.socket.write("GET /a HT");
  await until(() => accepted.some(({ bytesRead }) => bytesRead > 0));
  const fresh = await open();
  await clock.advance(1000);
  lane.closeIdle();
  // It may have been opened just before the sweep, and its request may be on the way.
  fresh.socket.write(get("/b"));
  await until(() => fresh.received().endsWith("body of /b"));
  assert.equal(unused.socket.destroyed, false);
  await clock.advance(1000);
  await until(() => unused.socket.destroyed && fresh.socket.destroyed);
  assert.equal(begun.socket.destroyed, false);
  begun.socket.write(get("/a").slice("GET /a HT".length));
  await until(() => begun.received().endsWith("body of /a"));
});

test("LaneResponse.writeHead: a line end in a value is no header, as with node:http", async (context) => {
  const { open } = await start(context, (_request, response) => {
    assert.throws(() => response.writeHead(200, ["X", "a\r\nY: b"]), TypeError);
    assert.throws(() => response.setHeader("X Y", "a"), TypeError);
    response.writeHead(204, []);
    response.end();
  });
  const { socket, received } = await open();
  socket.write(get("/a"));
  await until(() => received() !== "");
  assert.match(
    received(),
    /^HTTP\/1.1 204 No Content\r\nDate: [^\r]*\r\nConnection: keep-alive\r\nKeep-Alive: timeout=10\r\n\r\n$/,
  );
});

test("Lane: many requests at once are answered in order, in several turns of the event loop", async (context) => {
  const { open } = await start(context, answer);
  const { socket, received } = await open();
  const paths = Array.from({ length: 100 }, (_, index) => `/${index}`);
  socket.write(paths.map((path) => get(path)).join(""));
  await until(() => received().endsWith("body of /99"));
  assert.deepEqual(
    [...received().matchAll(/body of (\/\d+)/g)].map(([, path]) => path),
    paths,
  );
});

test("Lane: requests that are left to a later turn hold back the connection, whatever the client sends", async (context) => {
  const head = get("/a");
  let served = 0;
  let waitingBytesMax = 0;
  const { open } = await start(context, (request, response) => {
    served += 1;
    waitingBytesMax = Math.max(waitingBytesMax, request.socket.bytesRead - served * head.length);
    answer(request, response);
  });
  const { socket } = await open();
  const requests = 30_000;
  socket.write(head.repeat(requests));
  await until(() => served === requests);
  assert.ok(waitingBytesMax < 256 * KiB, `${waitingBytesMax} bytes`);
});

test("Lane: a client that closes its side while whole requests wait for a later turn is cut, and told nothing wrong", async (context) => {
  const { broken, open } = await start(context, answer);
  const { socket, received } = await open();
  const closed = once(socket, "close");
  socket.end(get("/a").repeat(100));
  await closed;
  assert.deepEqual(broken, []);
  assert.match(received(), /^(?:HTTP\/1.1 200 OK\r\n[^]{0,200}?body of \/a)+$/);
});

test("Lane: what comes after a request with Connection: close is not served", async (context) => {
  const served: (string | undefined)[] = [];
  const { open } = await start(context, (request, response) => {
    served.push(request.url);
    answer(request, response);
    // The response is with the kernel, and the connection closes in a later turn.
    queueMicrotask(() => request.socket.emit("data", Buffer.from(get("/b"))));
  });
  const { socket } = await open();
  const closed = once(socket, "close");
  socket.write(get("/a", "Connection: close\r\n"));
  await closed;
  assert.deepEqual(served, ["/a"]);
});

test("LaneResponse.shouldKeepAlive: what the head says holds, whatever is set after it", async (context) => {
  const begun: EdgeResponse[] = [];
  const { open } = await start(context, (request, response) => {
    if (request.url !== "/long") return answer(request, response);
    response.writeHead(200, ["Content-Length", "2"]);
    response.write("a");
    begun.push(response);
  });
  const { socket, received } = await open();
  socket.write(get("/long"));
  await until(() => received().endsWith("a"));
  const [long] = begun as [EdgeResponse];
  long.shouldKeepAlive = false;
  long.end("b");
  socket.write(get("/next"));
  await until(() => socket.destroyed || received().endsWith("body of /next"));
  assert.match(received(), /Connection: keep-alive[^]*ab[^]*body of \/next$/);
});
