import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { OpsCommandOptions } from "../../src/cli/ops-call.ts";
import { status } from "../../src/cli/status-command.ts";
import {
  type ClusterStatus,
  clusterEndpoint,
  clusterStatus,
} from "../../src/ops/endpoints/cluster-status.ts";
import { OpsServer } from "../../src/ops/ops-server.ts";
import { Readiness, troubleIn } from "../../src/ops/readiness.ts";
import { clusterOfOne } from "../support/cluster-of-one.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { neverDies } from "../support/never-dies.ts";
import { type CommandOutcome, runOps, serveOps } from "../support/ops-command.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { rejectsWith } from "../support/rejects-with.ts";

function run(ops: string, options: Partial<OpsCommandOptions> = {}): Promise<CommandOutcome> {
  return runOps(status, ops, options);
}

const three: ClusterStatus = {
  ...clusterStatus(clusterOfOne, "serving"),
  replica_id: "orca-1",
  address: "10.0.0.2:8444",
  members: [
    {
      replica_id: "orca-0",
      address: "10.0.0.1:8444",
      zone: "eu-1",
      state: "alive",
      incarnation: 5,
      self: false,
    },
    {
      replica_id: "orca-1",
      address: "10.0.0.2:8444",
      zone: "eu-2",
      state: "alive",
      incarnation: 12,
      self: true,
    },
    { replica_id: "orca-2", address: "10.0.0.3:8444", zone: "", state: "dead", incarnation: 7, self: false },
  ],
  origin_share: [{ origin: "weights", requests_max: 96, requests_in_flight: 3, requests_waiting: 0 }],
  bytes: { memory: { used: 512, max: 2048 }, disk: { used: 0, max: 1024 } },
  fills: { flights: 1, relays: 2 },
  peers: { known: 1, sessions_open: 2, sessions_dead: 0, connect_failures: 0, requests_while_down: 0 },
  threads: [
    { thread: "main", busy: 0.034, connections: null },
    { thread: "orca-edge-1", busy: 0.97, connections: 64 },
    { thread: "orca-edge-2", busy: 0, connections: 1 },
  ],
};

test("status: shows members, share and bytes, and which replica answers", async (context) => {
  const ops = await serveOps(context, (request, response) => {
    assert.equal(request.url, "/cluster");
    response.end(JSON.stringify(three));
  });
  const { exitCode, stdout, stderr } = await run(ops);
  assert.equal(stderr, "");
  assert.equal(exitCode, 0);
  assert.equal(
    stdout,
    `Replica orca-1 at ${ops} answers (serving): 2 live of 3 members in its view

replica  state  incarnation  zone  address
orca-0   alive            5  eu-1  10.0.0.1:8444
orca-1   alive           12  eu-2  10.0.0.2:8444  answers
orca-2   dead             7  -     10.0.0.3:8444

origin   share  in flight  waiting
weights     96          3        0

bytes    used    max
memory  512 B  2 KiB
disk      0 B  1 KiB

1 flight and 2 relays in progress; 2 sessions to peers open
Threads, busy in the last 10 s: main 3%, orca-edge-1 97% with 64 connections, orca-edge-2 0% with 1 connection
`,
  );
});

test("status: asks the ops listener of a real replica, and --json is what it said", async (context) => {
  const server = new OpsServer({
    host: "127.0.0.1",
    port: 0,
    endpoints: [clusterEndpoint(clusterOfOne, new Readiness())],
    clock: new FakeClock(),
    logger: new RecordedLogger(),
    onDied: neverDies,
  });
  const { port } = await server.start();
  context.after(() => server.stop());
  const ops = `http://127.0.0.1:${port}/`;
  const json = await run(ops, { json: true });
  assert.equal(json.exitCode, 0);
  assert.equal(
    json.stdout,
    `${JSON.stringify(clusterStatus(clusterOfOne, "starting", troubleIn(new Readiness().report())))}\n`,
  );
  const { stdout } = await run(ops);
  assert.match(stdout, /^Replica r1 at \S+ answers \(starting\): a cluster of one\n/);
  assert.match(stdout, /^r1 +alive +0 +- +- +answers$/m);
  assert.match(stdout, /^disk +- +-$/m);
  assert.match(stdout, /\n0 flights and 0 relays in progress\n/);
});

test("status: tells what /readyz notices, and an earlier replica tells nothing of it", async (context) => {
  const readiness = new Readiness();
  readiness.addNotice("disk", () => null);
  readiness.addNotice("origin weights", () => "denied: check ORCA_AWSS3_SECRET_KEY");
  const { notices, threads, ...earlier } = clusterStatus(
    clusterOfOne,
    "starting",
    troubleIn(readiness.report()),
  );
  assert.deepEqual(notices, {
    phase: "starting",
    "origin weights": "denied: check ORCA_AWSS3_SECRET_KEY",
  });
  let answer: object = { ...earlier, threads, notices };
  const ops = await serveOps(context, (_, response) => response.end(JSON.stringify(answer)));
  assert.match(
    (await run(ops)).stdout,
    /in progress\nThreads, .*: main 3% with 3 connections\n\nNoticed:\n {2}origin weights: denied: check ORCA_AWSS3_SECRET_KEY\n$/,
  );
  answer = earlier;
  assert.match((await run(ops)).stdout, /in progress\n$/);
});

test("status: no replica there is exit code 1, and what to check", async () => {
  const closed = createServer();
  await new Promise<void>((resolve) => void closed.listen(0, "127.0.0.1", resolve));
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  const { exitCode, stdout, stderr } = await run(`127.0.0.1:${port}`);
  assert.deepEqual([exitCode, stdout], [1, ""]);
  assert.match(
    stderr,
    new RegExp(`^Cannot get the status from http://127\\.0\\.0\\.1:${port}/cluster: .*ECONNREFUSED`),
  );
  assert.match(stderr, /server\.ops_listen .*--ops URL\.\n$/);
});

test("status: a replica that does not answer is given up", async (context) => {
  const clock = new FakeClock();
  const asked = Promise.withResolvers<void>();
  const ops = await serveOps(context, () => asked.resolve());
  const running = run(ops, { clock, timeoutMs: 3000 });
  await asked.promise;
  await clock.advance(3000);
  const { exitCode, stderr } = await running;
  assert.equal(exitCode, 1);
  assert.match(stderr, /: no answer within 3000 ms\n/);
  assert.equal(clock.pendingTimers, 0);
});

test("status: whoever answers something else is no replica", async (context) => {
  const wrong: readonly [RequestListener, RegExp][] = [
    [(_, response) => response.writeHead(404).end("<Error/>"), /: it answers with status 404/],
    [(_, response) => response.writeHead(302, { location: "/" }).end(), /redirect/],
    [
      (_, response) => response.end("<html>"),
      /: the answer is not that of an Orca replica of this version\n/,
    ],
    [(_, response) => response.end("null"), /is not that of an Orca/],
    [(_, response) => response.end(JSON.stringify({ ...three, members: [{}] })), /is not that of an Orca/],
    [(_, response) => response.end(JSON.stringify({ ...three, bytes: {} })), /is not that of an Orca/],
    [(_, response) => response.end(Buffer.alloc(5 * 2 ** 20)), /: the answer is larger than 4 MiB\n/],
    [(request) => request.socket.destroy(), /: /],
  ];
  for (const json of [false, true]) {
    for (const [answer, reason] of wrong) {
      const { exitCode, stdout, stderr } = await run(await serveOps(context, answer), { json });
      assert.deepEqual([exitCode, stdout], [1, ""]);
      assert.match(stderr, reason);
    }
  }
});

test("status: what a replica says cannot steer the terminal", async (context) => {
  const ops = await serveOps(context, (_, response) =>
    response.end(JSON.stringify({ ...three, replica_id: "a\u001b[2J", phase: "\u009b2J" })),
  );
  const { stdout } = await run(ops);
  assert.ok(stdout.startsWith("Replica a?[2J at "));
  assert.ok(stdout.includes("(?2J)"));
});

test("status: an address that is none is refused, and a password is not shown", async () => {
  for (const ops of ["", "ftp://a:1", "http://", "http://u:hush@a:1", "a b"]) {
    const { message } = await rejectsWith("invalid_argument", run(ops));
    assert.match(message, /^Cannot use the value of --ops: expected /);
    assert.doesNotMatch(message, /hush/);
  }
});
