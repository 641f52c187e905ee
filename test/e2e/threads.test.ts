/**
 * A replica with several threads that serve clients: each connection may meet another thread, and nobody can tell.
 * Not in test:threads: it says itself how many threads there are.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, suite, test } from "node:test";
import { KiB, MiB } from "../../src/base/units.ts";
import type { SettingsTree } from "../../src/config/load.ts";
import type { ClusterStatus } from "../../src/ops/endpoints/cluster-status.ts";
import { serveOrca } from "../support/orca-process.ts";
import { assertPattern } from "../support/pattern.ts";
import { endProcesses } from "../support/process.ts";
import { readAlone } from "../support/read-alone.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";
import { threadsUnderStress } from "./threads-under-stress.ts";

let orca: ReplicaFixture | undefined;

afterEach(async () => {
  await orca?.stop();
  orca = undefined;
});

async function start(server: SettingsTree = {}, settings: SettingsTree = {}): Promise<ReplicaFixture> {
  orca = await startReplica({ settings: { ...settings, server: { threads: 2, ...server } } });
  return orca;
}

const chunking = { size: "2MiB", tiers: [] };

/** So many new connections that all threads get some: one of two misses out once in a million runs. */
const connections = 20;

async function bytesOf(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

function times<Result>(count: number, run: (turn: number) => Promise<Result>): Promise<Result[]> {
  return Promise.all(Array.from({ length: count }, (_, turn) => run(turn)));
}

/** Makes one thread throw when `signalFile` is there. */
function bugIn(place: string, signalFile: string): string {
  const file = join(place, "bug.mjs");
  writeFileSync(
    file,
    `import { existsSync } from "node:fs";
import { threadName } from "node:worker_threads";
if (threadName === "orca-edge-2")
  setInterval(() => {
    if (existsSync(${JSON.stringify(signalFile)})) throw new Error("a bug of the test");
  }, 20).unref();
`,
  );
  return file;
}

const folder = import.meta.dirname;

function testFiles(): string[] {
  return globSync("**/*.test.ts", { cwd: folder });
}

test("tests that hold for one thread alone are few, and each says why", () => {
  const uses = testFiles().flatMap(
    (name) => readFileSync(join(folder, name), "utf8").match(/oneThread\(\s*"[^"]{20,}/g) ?? [],
  );
  assert.equal(uses.length, 1, uses.join("\n"));
});

test("npm run test:threads: runs every file here, but those that say why not", () => {
  const root = join(folder, "../..");
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const [, pattern = ""] = /"(test\/e2e\/[^"]+)"/.exec(scripts["test:threads"] ?? "") ?? [];
  const run = new Set(globSync(pattern, { cwd: root }));
  const leftOut = testFiles().filter((name) => !run.has(join("test/e2e", name)));
  assert.ok(leftOut.length > 0 && leftOut.length < 10, leftOut.join(", "));
  for (const name of leftOut)
    assert.match(readFileSync(join(folder, name), "utf8"), /Not in test:threads: \w{2,}/, name);
});

suite("server.threads: 2", () => {
  test("a bug in a thread is logged, ends the process with 1, and lets the other thread end its responses", async (context) => {
    const place = mkdtempSync(join(tmpdir(), "orca-threads-"));
    const origin = await S3Server.start();
    context.after(async () => {
      await endProcesses();
      await origin.stop();
      rmSync(place, { recursive: true, force: true });
    });
    origin.put(testBucket, "k", { seed: 7, sizeBytes: 8 * MiB });
    const gate = origin.hold("GET", "k", 4 * MiB);
    const signalFile = join(place, "now");
    const replica = await serveOrca(
      place,
      "bug",
      `server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0", threads: 2 }
origin: { id: test, driver: awss3, awss3: { bucket: ${testBucket}, endpoint: "${origin.endpoint}", use_path_style: true } }
memory: { max_bytes: 256MiB }
`,
      ["--import", bugIn(place, signalFile)],
    );
    // Of so many connections some meet the thread without the bug.
    const answers = Array.from({ length: connections }, async () => {
      const request = get(`${replica.endpoint}/${testBucket}/k`, { agent: false });
      const [response] = await once(request, "response");
      return Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>));
    });
    await gate.reached;
    const settled = Promise.allSettled(answers);
    await until(async () => (await replica.metric("orca_requests_in_flight")) === connections);
    writeFileSync(signalFile, "");
    await replica.child.line(/A thread met a bug, and Orca stops/);
    gate.release();
    const whole = (await settled).filter(({ status }) => status === "fulfilled");
    assert.ok(
      whole.length > 0 && whole.length < connections,
      `${whole.length} answers are whole: ${replica.child.output.join("\n")}`,
    );
    for (const each of whole) {
      const { value } = each as PromiseFulfilledResult<Buffer>;
      assert.equal(value.length, 8 * MiB);
      assertPattern(value, 7, 0);
    }
    assert.equal(await replica.child.exited, 1);
    assert.match(replica.child.output.join("\n"), /Thread \\?"orca-edge-2\\?" died: a bug of the test/);
  });

  test("a cold object is fetched once for all threads, and hits are counted once each", async () => {
    const replica = await start();
    const { origin, metric } = replica;
    origin.put(testBucket, "k", { seed: 1, sizeBytes: 10_000 });
    assert.equal(
      await readAlone(replica, { key: "k", seed: 1, sizeBytes: 10_000 }),
      "orca; fwd=miss; detail=origin",
    );
    const statuses = await times(connections, () =>
      readAlone(replica, { key: "k", seed: 1, sizeBytes: 10_000 }),
    );
    assert.deepEqual(new Set(statuses), new Set(["orca; hit; detail=memory"]));
    assert.equal(origin.count("GET"), 1);
    assert.equal(await metric('orca_requests_total{operation="get_object",status="200"}'), connections + 1);
    assert.equal(await metric('orca_bytes_sent_total{source="memory"}'), connections * 10_000);
    assert.equal(await metric('orca_bytes_sent_total{source="origin"}'), 10_000);
    // Whoever sums again must not count again.
    assert.equal(await metric('orca_requests_total{operation="get_object",status="200"}'), connections + 1);
  });

  test("a cold object of several chunks comes whole through each thread at once, each byte from the origin once", async () => {
    const replica = await start({}, { chunking });
    replica.origin.put(testBucket, "large", { seed: 2, sizeBytes: 9 * MiB + 1 });
    await times(8, () => readAlone(replica, { key: "large", seed: 2, sizeBytes: 9 * MiB + 1 }));
    assert.equal(replica.origin.bytesSent(), 9 * MiB + 1);
    await times(8, () => readAlone(replica, { key: "large", seed: 2, sizeBytes: 9 * MiB + 1 }));
    assert.equal(replica.origin.bytesSent(), 9 * MiB + 1);
  });

  test("metadata of an object that is read through threads alone is kept, while other objects come and go", async () => {
    const replica = await start({}, { metadata: { max_entries: 10, ttl: "1h" } });
    const { origin } = replica;
    origin.put(testBucket, "hot", { seed: 3, sizeBytes: KiB });
    const readHot = () =>
      times(connections, () => readAlone(replica, { key: "hot", seed: 3, sizeBytes: KiB }));
    await readHot();
    for (let number = 0; number < 50; number += 1) {
      const key = `cold-${number}`;
      origin.put(testBucket, key, { seed: number, sizeBytes: KiB });
      await readAlone(replica, { key, seed: number, sizeBytes: KiB });
      // Each of these few meets a thread that has a copy.
      if (number % 5 === 0) await readHot();
    }
    assert.equal(origin.requests.filter(({ key }) => key === "hot").length, 1);
    assert.equal(origin.requests.filter(({ key }) => key?.startsWith("cold")).length, 50);
  });

  test("cache clear: no thread serves what was cleared", async () => {
    const replica = await start({}, { metadata: { ttl: "1h" } });
    const { origin, opsEndpoint } = replica;
    for (let seed = 1; seed <= 5; seed += 1) {
      origin.put(testBucket, "k", { seed, sizeBytes: 5000 });
      await times(connections, () => readAlone(replica, { key: "k", seed, sizeBytes: 5000 }));
      origin.put(testBucket, "k", { seed: seed + 1, sizeBytes: 5000 });
      await times(connections, () => readAlone(replica, { key: "k", seed, sizeBytes: 5000 }));
      const cleared = await fetch(`${opsEndpoint}/cache/clear`, {
        method: "POST",
        headers: { "x-orca-action": "clear" },
      });
      assert.equal(cleared.status, 200, await cleared.text());
      await times(connections, () => readAlone(replica, { key: "k", seed: seed + 1, sizeBytes: 5000 }));
    }
  });

  test("more objects than memory holds: every byte is right while chunks are evicted and read", async () => {
    const replica = await start({}, { memory: { max_bytes: "64MiB" }, chunking });
    const sizes = [4 * KiB, 100 * KiB, 900 * KiB, 3 * MiB];
    const objects = Array.from({ length: 100 }, (_, number) => ({
      key: `o${number}`,
      seed: number,
      sizeBytes: sizes[number % sizes.length] as number,
    }));
    for (const { key, seed, sizeBytes } of objects) replica.origin.put(testBucket, key, { seed, sizeBytes });
    await times(8, async (reader) => {
      for (let turn = 0; turn < 40; turn += 1) {
        const { key, seed, sizeBytes } = objects[
          (reader * 31 + turn * 7) % objects.length
        ] as (typeof objects)[number];
        await readAlone(replica, { key, seed, sizeBytes });
      }
    });
    assert((await replica.metric("orca_memory_evictions_total")) > 0);
    assert((await replica.metric("orca_memory_hits_total")) > 0);
  });

  test("poisoned memory, evictions, overwritten and forgotten objects, clients that leave, a stop and a kill: no wrong byte", async () => {
    const counts = await threadsUnderStress({ reads: 15_000, threads: 2, seed: 4711, restarts: 2 });
    const { findings, right, hits, evictions, overwritten, expired, restarts } = counts;
    assert.deepEqual(findings, []);
    assert.equal(restarts, 2);
    const disturbed = evictions > 100 && overwritten > 0 && expired > 0;
    assert.ok(right >= 15_000 && hits > 5000 && disturbed, JSON.stringify(counts));
  });

  test("clients that leave in the middle of a body hold no memory", async () => {
    const replica = await start({}, { memory: { max_bytes: "32MiB" }, chunking });
    replica.origin.put(testBucket, "k", { seed: 3, sizeBytes: 6 * MiB });
    await readAlone(replica, { key: "k", seed: 3, sizeBytes: 6 * MiB });
    await times(connections, async () => {
      const socket = connect(Number(new URL(replica.endpoint).port), "127.0.0.1");
      socket.write(`GET /${testBucket}/k HTTP/1.1\r\nHost: x\r\n\r\n`);
      await once(socket, "data");
      socket.destroy();
    });
    // Needs all of memory but a few MiB.
    for (let number = 0; number < 4; number += 1) {
      replica.origin.put(testBucket, `other${number}`, { seed: number, sizeBytes: 7 * MiB });
      await readAlone(replica, { key: `other${number}`, seed: number, sizeBytes: 7 * MiB });
    }
  });

  test("max_connections and max_requests hold for all threads together", async () => {
    const replica = await start({ max_connections: 4 });
    replica.origin.put(testBucket, "k", { seed: 4, sizeBytes: 10 });
    await readAlone(replica, { key: "k", seed: 4, sizeBytes: 10 });
    const port = Number(new URL(replica.endpoint).port);
    const sockets = Array.from({ length: 12 }, () => connect(port, "127.0.0.1").on("error", () => {}));
    const answers = await Promise.all(
      sockets.map(async (socket) => {
        socket.write(`GET /${testBucket}/k HTTP/1.1\r\nHost: x\r\n\r\n`);
        const { promise, resolve } = Promise.withResolvers<string>();
        socket.once("data", (data) => resolve(String(data).slice(9, 12)));
        socket.once("close", () => resolve("closed"));
        return promise;
      }),
    );
    for (const socket of sockets) socket.destroy();
    assert.equal(answers.filter((answer) => answer === "200").length, 4);
    assert.equal(answers.filter((answer) => answer === "closed").length, 8);
  });

  test("stop: a response in progress in a thread ends whole, and the port is closed then", async () => {
    const replica = await start();
    replica.origin.put(testBucket, "k", { seed: 5, sizeBytes: 20 * MiB });
    const request = get(`${replica.endpoint}/${testBucket}/k`, { agent: false });
    const [response] = await once(request, "response");
    const stopped = replica.replica.stop();
    const bytes = Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>));
    assertPattern(bytes, 5, 0);
    assert.equal(bytes.length, 20 * MiB);
    await stopped;
    assert.equal(replica.replica.responsesCut, 0);
    await assert.rejects(once(get(replica.endpoint, { agent: false }), "response"), /ECONNREFUSED/);
  });

  test("conditions, listings and errors are those of one thread", async () => {
    const replica = await start();
    const { origin, get: read, endpoint } = replica;
    origin.put(testBucket, "dir/k", { seed: 6, sizeBytes: 100 });
    const first = await read("dir/k");
    await bytesOf(first);
    const etag = first.headers.get("etag") ?? "";
    for (let turn = 0; turn < 6; turn += 1) {
      assert.equal((await read("dir/k", { "If-None-Match": etag })).status, 304);
      assert.equal((await read("dir/k", { "If-Match": '"other"' })).status, 412);
      assert.equal((await read("dir/absent")).status, 404);
    }
    const listing = await (await fetch(`${endpoint}/${testBucket}?list-type=2`)).text();
    assert.match(listing, /<Key>dir\/k<\/Key>/);
    // The absent key is asked for once for all threads.
    assert.equal(origin.requests.filter(({ key }) => key === "dir/absent").length, 1);
  });
});

test("orca status: how busy each thread is, and its connections; /metrics has the same", async () => {
  const { get: read, origin, opsEndpoint, metric } = await start();
  origin.put(testBucket, "a", { seed: 1, sizeBytes: KiB });
  await bytesOf(await read("a"));
  const { threads } = (await (await fetch(`${opsEndpoint}/cluster`)).json()) as ClusterStatus;
  assert.deepEqual(
    threads.map(({ thread, busy, connections: open }) => [thread, busy >= 0 && busy <= 1, typeof open]),
    [
      ["main", true, "object"],
      ["orca-edge-1", true, "number"],
      ["orca-edge-2", true, "number"],
    ],
  );
  for (const thread of ["main", "orca-edge-1", "orca-edge-2"])
    assert.ok((await metric(`orca_thread_busy_seconds_total{thread="${thread}"}`)) > 0, thread);
  assert.ok((await metric('orca_edge_thread_connections{thread="orca-edge-1"}')) >= 0);
});
