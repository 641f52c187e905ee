/** Orca answers a request that asks for another protocol like any other one, and loses nothing that was sent behind it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { type TestContext, test } from "node:test";
import { type ReplicaFixture, startReplica, testBucket } from "../../support/replica-fixture.ts";
import { rawExchange } from "./raw-exchange.ts";

/** As Java's HttpClient and Apache's HttpClient 5 ask on plain connections. */
const javas = [
  { Connection: "Upgrade, HTTP2-Settings", Upgrade: "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAAB" },
  { Connection: "Upgrade", Upgrade: "TLS/1.2" },
];

async function start(context: TestContext): Promise<ReplicaFixture & { readonly port: number }> {
  const fixture = await startReplica();
  context.after(() => fixture.stop());
  for (const key of ["first", "next"]) fixture.origin.put(testBucket, key, { body: key });
  return { ...fixture, port: Number(new URL(fixture.endpoint).port) };
}

for (const headers of javas) {
  test(`IgnoredUpgrades: requests with Upgrade: ${headers.Upgrade} share a connection`, async (context) => {
    const { port } = await start(context);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    context.after(() => agent.destroy());
    const reused: boolean[] = [];
    for (let index = 0; index < 4; index += 1) {
      const request = get({ port, host: "127.0.0.1", path: `/${testBucket}/first`, agent, headers });
      const [answer] = (await once(request, "response")) as [IncomingMessage];
      assert.equal(answer.statusCode, 200);
      assert.equal(Buffer.concat(await answer.toArray()).toString(), "first");
      reused.push(request.reusedSocket);
    }
    assert.deepEqual(reused, [false, true, true, true]);
  });
}

const upgrade = "Host: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
const first = `GET /${testBucket}/first HTTP/1.1\r\n${upgrade}`;
const next = `GET /${testBucket}/next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`;
for (const [what, ...pieces] of [
  ["a request behind", `${first}\r\n${next}`],
  ["a request behind its body", `${first}Content-Length: 5\r\n\r\nhello${next}`],
  ["a request behind its chunks", `${first}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${next}`],
  ["a body that comes later", `${first}Content-Length: 5\r\n\r\n`, `hello${next}`],
] as const) {
  test(`IgnoredUpgrades: an upgrade with ${what} is answered, and the connection closes`, async (context) => {
    const { port, origin } = await start(context);
    const answers = await rawExchange({ port }, ...pieces);
    assert.deepEqual(
      answers.map(({ status, body, headers }) => [status, body, headers.get("connection")]),
      [[200, "first", "close"]],
    );
    assert.equal(origin.count("HEAD", "next"), 0);
  });
}

test("IgnoredUpgrades: an upgrade behind another request is answered after it, and the connection closes", async (context) => {
  const { port } = await start(context);
  const text = `${next.replace("Connection: close\r\n", "")}${first}\r\n${next}`;
  const answers = await rawExchange({ port }, text);
  assert.deepEqual(
    answers.map(({ status, body }) => [status, body]),
    [
      [200, "next"],
      [200, "first"],
    ],
  );
});
