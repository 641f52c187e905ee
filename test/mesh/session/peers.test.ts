import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { MembershipService } from "../../../gen/orca/v1/membership_pb.ts";
import { membershipOf, meshFixture } from "../../support/mesh-fixture.ts";
import { freePort } from "../../support/process.ts";
import { until } from "../../support/until.ts";

const hold = new Map([["/hold", (stream: ServerHttp2Stream) => stream.respond({ ":status": 200 })]]);

test("Peers.at: returns one peer for an address, and rejects an invalid address", (context) => {
  const mesh = meshFixture(context).peers();
  assert.equal(mesh.at("host:1"), mesh.at("host:1"));
  assert.ok(mesh.at("[::1]:8444"));
  assert.equal(mesh.size, 2);
  for (const address of [
    "host",
    "host:",
    ":1",
    "host:99999",
    "a b:1",
    "http://host:1",
    "host:1/x",
    "u@host:1",
  ]) {
    assert.throws(() => mesh.at(address), { code: Code.InvalidArgument }, address);
  }
  assert.equal(mesh.size, 2);
});

test("Peers.at: over the limit, the least recently used peer without streams is dropped", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { address } = await serve({ handlers: hold });
  const mesh = peers({ peersMax: 2 });
  const stream = await mesh.at(address).request("/hold", {});
  const other = mesh.at("other:1");
  mesh.at(address);
  mesh.at("third:1");
  assert.equal(mesh.size, 2);
  assert.notEqual(mesh.at("other:1"), other);
  assert.equal(stream.closed, false);
});

test("Peers.at: over the limit, with open streams to all, one more fails", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { address } = await serve({ handlers: hold });
  const mesh = peers({ peersMax: 1 });
  await mesh.at(address).request("/hold", {});
  assert.throws(() => mesh.at("other:1"), { code: Code.ResourceExhausted });
  assert.equal(mesh.size, 1);
});

for (const members of [400, 1000]) {
  test(`Peers.at: visits to ${members} members in turn make one peer each, and drop none`, (context) => {
    const mesh = meshFixture(context).peers();
    const visited = Array.from({ length: members }, (_, index) => mesh.at(`r${index}:1`));
    const again = visited.filter((peer, index) => mesh.at(`r${index}:1`) === peer);
    assert.equal(again.length, members, "the sessions of the first round are those of the second");
  });
}

test("Peers.retryNow: ends the backoff of a peer", async (context) => {
  const { serve, peers } = meshFixture(context);
  const mesh = peers();
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  await assert.rejects(mesh.at(address).bytes(), { code: Code.Unavailable });
  await serve({ port });
  await assert.rejects(mesh.at(address).bytes(), { code: Code.Unavailable });
  assert.deepEqual([mesh.stats.connectFailures, mesh.stats.requestsWhileDown], [1, 1]);
  mesh.retryNow(address);
  await mesh.at(address).bytes();
  assert.equal(mesh.stats.sessions, 1);
});

test("Peers.drop: running streams may finish, and the address is a new peer", async (context) => {
  const { serve, peers } = meshFixture(context);
  const streams: ServerHttp2Stream[] = [];
  const handlers = new Map([["/hold", (stream: ServerHttp2Stream) => void streams.push(stream)]]);
  const { address } = await serve({ handlers });
  const mesh = peers();
  const dropped = mesh.at(address);
  const stream = await dropped.request("/hold", {});
  await until(() => streams.length === 1);
  mesh.drop(address);
  await assert.rejects(dropped.request("/hold", {}), { code: Code.Unavailable });
  streams[0]?.respond({ ":status": 200 });
  streams[0]?.end("rest");
  let received = "";
  for await (const text of stream.setEncoding("utf8")) received += String(text);
  assert.equal(received, "rest");
  assert.ok(await membershipOf(mesh, address).ping({}));
});

test("Peers.close: cuts every stream, and opens no more peers", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { address } = await serve({ handlers: hold });
  const mesh = peers();
  const stream = await mesh.at(address).request("/hold", {});
  mesh.close();
  if (!stream.closed) await once(stream, "close");
  assert.throws(() => mesh.at(address), { code: Code.Unavailable });
  await until(() => mesh.stats.sessionsOpen === 0);
});

test("Peer.transport: a call without an answer ends at the deadline of the clock", async (context) => {
  const { clock, serve, peers } = meshFixture(context);
  let asked = false;
  const { address } = await serve({
    routes: (router) =>
      router.service(MembershipService, {
        ping: () => {
          asked = true;
          return new Promise<never>(() => undefined);
        },
      }),
  });
  const mesh = peers({ callTimeoutMs: 3000 });
  const call = assert.rejects(membershipOf(mesh, address).ping({}), { code: Code.DeadlineExceeded });
  await until(() => asked);
  await clock.advance(3000);
  await call;
  await until(() => mesh.at(address).streams === 0);
});

test("Peer.transport: the caller's signal ends its call earlier", async (context) => {
  const { serve, peers } = meshFixture(context);
  const { address } = await serve({
    routes: (router) =>
      router.service(MembershipService, { ping: () => new Promise<never>(() => undefined) }),
  });
  const mesh = peers();
  const stop = new AbortController();
  const call = assert.rejects(membershipOf(mesh, address).ping({}, { signal: stop.signal }), {
    code: Code.Canceled,
  });
  await until(() => mesh.at(address).streams === 1);
  stop.abort();
  await call;
});
