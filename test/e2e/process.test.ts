import assert from "node:assert/strict";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { KiB, MiB } from "../../src/base/units.ts";
import { LoadConnection } from "../bench/http-load.ts";
import { environment } from "../support/orca-process.ts";
import { assertPattern, PatternChecker } from "../support/pattern.ts";
import { endProcesses, TestProcess } from "../support/process.ts";
import { startReplica, testBucket, threadsOfTests } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const main = join(import.meta.dirname, "../../src/main.ts");
let origin: S3Server;
let folder: string;

before(async () => {
  origin = await S3Server.start({ buckets: [testBucket] });
  folder = mkdtempSync(join(tmpdir(), "orca-e2e-"));
});
afterEach(endProcesses);
after(async () => {
  await origin.stop();
  rmSync(folder, { recursive: true, force: true });
});

function orca(...args: string[]): TestProcess {
  return new TestProcess("orca", process.execPath, [main, ...args], { env: environment() });
}

interface Extra {
  /** More of the section `memory`. */
  readonly memory?: string;
  /** More of the section `origin`, a line with its indentation. */
  readonly origin?: string;
  /** More of the section `server`. */
  readonly server?: string;
}

function configFile(name: string, { memory = "", origin: ofOrigin = "", server = "" }: Extra = {}): string {
  const file = join(folder, `${name}.yaml`);
  writeFileSync(
    file,
    `server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0"${server} }
origin:
  id: test
  driver: awss3
  awss3: { bucket: ${testBucket}, endpoint: "${origin.endpoint}", use_path_style: true }
${ofOrigin}
memory: { max_bytes: 256MiB, ${memory} }
disk: { root: ${folder}/${name}, max_bytes: 4GiB }
`,
  );
  return file;
}

/** A replica in a process of its own, and where it listens. */
async function serve(
  name: string,
  extra: Extra = {},
): Promise<{ child: TestProcess; endpoint: string; ops: string }> {
  const child = orca("serve", "--config", configFile(name, extra));
  const [, endpoint = "", ops = ""] = await child.line(/"s3":"([^"]+)","ops":"([^"]+)"/);
  return { child, endpoint, ops };
}

async function metric(ops: string, series: string): Promise<number> {
  const text = await (await fetch(`${ops}/metrics`)).text();
  return Number(new RegExp(`^${series.replaceAll(/[{}]/g, "\\$&")} (\\S+)$`, "m").exec(text)?.[1] ?? 0);
}

async function metricReaches(ops: string, series: string, value: number): Promise<void> {
  await until(async () => (await metric(ops, series)) >= value);
}

function chunkFiles(name: string): string[] {
  return readdirSync(join(folder, name), { recursive: true, encoding: "utf8" })
    .filter((path) => /\/[0-9a-f]{2}\/test\./.test(path))
    .map((path) => join(folder, name, path));
}

test("serve: SIGTERM lets a running response finish, takes no new connection, commits and exits 0", async () => {
  origin.put(testBucket, "drain", { seed: 1, sizeBytes: 8 * MiB });
  const gate = origin.hold("GET", "drain", 4 * MiB);
  const { child, endpoint, ops } = await serve("drain");
  const response = await fetch(`${endpoint}/${testBucket}/drain`);
  await gate.reached;
  child.signal("SIGTERM");
  await child.line(/Stopping/);
  assert.equal((await fetch(`${ops}/readyz`)).status, 503);
  await assert.rejects(fetch(`${endpoint}/${testBucket}/drain`));
  gate.release();
  assertPattern(Buffer.from(await response.arrayBuffer()), 1, 0);
  assert.equal(await child.exited, 0);
  assert.equal(chunkFiles("drain").length, 1);
});

test("serve: server.drain_delay serves new connections after SIGTERM, unready, and closes each", async () => {
  origin.put(testBucket, "delay", { seed: 6, sizeBytes: 1000 });
  const { child, endpoint, ops } = await serve("delay", { server: ', drain_delay: "2s"' });
  child.signal("SIGTERM");
  await child.line(/Stopping/);
  assert.equal((await fetch(`${ops}/readyz`)).status, 503);
  const response = await fetch(`${endpoint}/${testBucket}/delay`);
  assert.equal(response.headers.get("connection"), "close");
  assertPattern(Buffer.from(await response.arrayBuffer()), 6, 0);
  assert.equal(await child.exited, 0);
});

test("serve: after a restart chunks come from disk, and the origin is not asked for a byte", async () => {
  origin.put(testBucket, "restart", { seed: 2, sizeBytes: 20 * MiB });
  const first = await serve("restart");
  await (await fetch(`${first.endpoint}/${testBucket}/restart`)).arrayBuffer();
  first.child.signal("SIGTERM");
  assert.equal(await first.child.exited, 0);
  const second = await serve("restart");
  const response = await fetch(`${second.endpoint}/${testBucket}/restart`);
  assert.equal(response.headers.get("cache-status"), "orca; hit; detail=disk");
  assertPattern(Buffer.from(await response.arrayBuffer()), 2, 0);
  assert.equal(origin.count("GET", "restart"), 3);
  await second.child.stop();
});

test("serve: kill -9 while chunks are written leaves only whole chunks behind", async () => {
  origin.put(testBucket, "killed", { seed: 3, sizeBytes: 200 * MiB });
  const first = await serve("killed");
  const reading = fetch(`${first.endpoint}/${testBucket}/killed`).then((response) => response.arrayBuffer());
  await metricReaches(first.ops, "orca_commits_total", 3);
  first.child.signal("SIGKILL");
  await assert.rejects(reading);
  await first.child.exited;
  const second = await serve("killed");
  const checker = new PatternChecker(3);
  const response = await fetch(`${second.endpoint}/${testBucket}/killed`);
  for await (const piece of response.body ?? []) checker.update(Buffer.from(piece));
  assert.equal(await metric(second.ops, "orca_disk_damaged_total"), 0);
  await second.child.stop();
});

test("serve: a second process on the same disk root refuses, and names the first", async () => {
  const first = await serve("shared");
  const second = orca("serve", "--config", configFile("shared"));
  assert.equal(await second.exited, 1);
  assert.match(second.output.join("\n"), new RegExp(`${folder}/shared.*${first.child.pid}`));
  await first.child.stop();
});

for (const [what, damage] of [
  ["truncated", (file: string) => truncateSync(file, 1_000_000)],
  ["flipped by a bit", flipBit],
  ["deleted", (file: string) => unlinkSync(file)],
] as const) {
  test(`a disk file ${what} behind our back is found, counted and filled anew`, async () => {
    const name = `damage-${what.replaceAll(" ", "-")}`;
    origin.put(testBucket, name, { seed: 4, sizeBytes: 8 * MiB });
    const first = await serve(name);
    await (await fetch(`${first.endpoint}/${testBucket}/${name}`)).arrayBuffer();
    await metricReaches(first.ops, "orca_commits_total", 1);
    await first.child.stop();
    const second = await serve(name);
    await metricReaches(second.ops, "orca_disk_chunks", 1);
    const [file = ""] = chunkFiles(name);
    damage(file);
    const response = await fetch(`${second.endpoint}/${testBucket}/${name}`, {
      headers: { range: "bytes=5000000-5999999" },
    });
    assertPattern(Buffer.from(await response.arrayBuffer()), 4, 5_000_000);
    const counted = what === "deleted" ? "orca_disk_vanished_total" : "orca_disk_damaged_total";
    assert.equal(await metric(second.ops, counted), 1);
    // The range has fetched its blocks alone.
    const whole = await fetch(`${second.endpoint}/${testBucket}/${name}`);
    assertPattern(Buffer.from(await whole.arrayBuffer()), 4, 0);
    await metricReaches(second.ops, "orca_commits_total", 1);
    assert.equal(statSync(chunkFiles(name)[0] ?? "").size > 8 * MiB, true);
    await second.child.stop();
  });
}

function flipBit(file: string): void {
  const bytes = readFileSync(file);
  bytes[5_500_000] = (bytes[5_500_000] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

/** As `memory.max_bytes` says of the process: 20 MiB for each thread where several serve clients. */
const besideMemoryBytes = (256 + (threadsOfTests > 1 ? 20 * threadsOfTests : 0)) * MiB;

test("serve: 200 slow readers of distinct objects all get their bytes inside memory.max_bytes + 256 MiB", {
  timeout: 300_000,
}, async () => {
  const sizeBytes = 9 * MiB;
  // Readers wait for memory and for the origin as long as a busy machine takes for all of them: this is about bytes, and
  // not about time.
  const waits = { memory: "queue_timeout: 5m", origin: "  queue_timeout: 5m" };
  const { child, endpoint } = await serve("slow", waits);
  const readers = Array.from({ length: 200 }, async (_, index) => {
    origin.put(testBucket, `slow-${index}`, { seed: index, sizeBytes });
    await readSlowly(endpoint, `/${testBucket}/slow-${index}`, index, sizeBytes);
  });
  await Promise.all(readers);
  const peakKiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "latin1"))?.[1]);
  assert.ok(peakKiB * KiB <= 256 * MiB + besideMemoryBytes, `the peak was ${Math.round(peakKiB / 1024)} MiB`);
});

/** Takes 512 KiB, then lets all other readers have a turn, until the body is complete and right. */
async function readSlowly(endpoint: string, path: string, seed: number, sizeBytes: number): Promise<void> {
  const checker = new PatternChecker(seed);
  const wrong = Promise.withResolvers<never>();
  let sinceRest = 0;
  const connection = new LoadConnection(Number(new URL(endpoint).port), (bytes) => {
    try {
      checker.update(bytes);
    } catch (thrown) {
      wrong.reject(thrown);
    }
    sinceRest += bytes.length;
    if (sinceRest < 512 * 1024) return;
    sinceRest = 0;
    connection.pause();
    setTimeout(() => connection.resume(), 100);
  });
  try {
    await Promise.race([connection.get({ path, range: "", bodyBytes: sizeBytes }), wrong.promise]);
  } finally {
    connection.close();
  }
  assert.equal(checker.offset, sizeBytes);
}

test("config check: reports every fault at once with its path, and exits 1", async () => {
  const file = join(folder, "faulty.yaml");
  writeFileSync(
    file,
    "origin: { id: a, driver: awss3 }\nmemory: { max_byte: 1 }\nmetadata: { ttl: -5m }\ncluster: { peers: ['https://b:8444'], internal_tls: { enabled: false } }\n",
  );
  const check = orca("config", "check", file);
  assert.equal(await check.exited, 1);
  const output = check.output.join("\n");
  assert.match(output, /4 faults/);
  assert.match(output, /memory\.max_byte: .*did you mean "?`?max_bytes/i);
  assert.match(output, /metadata\.ttl: /);
  assert.match(
    output,
    /cluster\.peers\[0\]: expected http:.*, because cluster\.internal_tls\.enabled is false/,
  );
  assert.match(output, /origin\.awss3\.bucket: /);
});

test("config print: shows the effective configuration and no secret", async () => {
  const print = orca("config", "print", configFile("print"), "--json");
  assert.equal(await print.exited, 0);
  const text = print.output.join("\n");
  assert.doesNotMatch(text, /test-secret/);
  assert.match(text, /"max_bytes": "256MiB"/);
});

test("serve --origin: one URL is enough for a directory", async () => {
  writeFileSync(join(folder, "hello.txt"), "hello");
  const child = orca(
    "serve",
    "--origin",
    `file://${folder}`,
    "--listen",
    "127.0.0.1:0",
    "--ops-listen",
    "127.0.0.1:0",
  );
  const [, endpoint = "", bucket = ""] = await child.line(/"s3":"([^"]+)".*"buckets":\["([^"]+)"\]/);
  assert.equal(await (await fetch(`${endpoint}/${bucket}/hello.txt`)).text(), "hello");
  assert.equal((await fetch(`${endpoint}/${bucket}/%2e%2e/passwd`)).status, 404);
  await child.stop();
});

test("serve: an origin that refuses its settings ends the process, with a disk as without", async () => {
  const file = join(folder, "refused.yaml");
  writeFileSync(
    file,
    `origin: { id: a, driver: azureblob, azureblob: { account: acct, container: c-c, endpoint: "http://127.0.0.1:1" } }
disk: { root: ${folder}/refused, max_bytes: 1GiB }
`,
  );
  const refused = orca("serve", "--config", file);
  assert.equal(await refused.exited, 1);
  assert.match(refused.output.join("\n"), /without an account key it must be https/);
});

test("serve: a port that is taken is one clear line", async () => {
  const first = await serve("port");
  const port = new URL(first.endpoint).port;
  const second = orca(
    "serve",
    "--origin",
    `file://${folder}`,
    "--listen",
    `127.0.0.1:${port}`,
    "--ops-listen",
    "127.0.0.1:0",
  );
  assert.equal(await second.exited, 1);
  assert.match(
    second.output.join("\n"),
    /^orca: Cannot listen for S3 clients on "127\.0\.0\.1:\d+": .*EADDRINUSE/,
  );
  await first.child.stop();
});

test("a client that takes no byte is cut off after client_stall_timeout, and its memory is given back", async () => {
  const replica = await startReplica({ settings: { server: { client_stall_timeout: "200ms" } } });
  replica.origin.put(testBucket, "stall", { seed: 5, sizeBytes: 64 * MiB });
  const socket = connect(Number(new URL(replica.endpoint).port), "127.0.0.1");
  socket.write(`GET /${testBucket}/stall HTTP/1.1\r\nHost: h\r\n\r\n`);
  socket.pause();
  await until(async () => (await replica.metric("orca_clients_stalled_total")) > 0);
  socket.destroy();
  assert.equal(await replica.metric("orca_requests_in_flight"), 0);
  await replica.stop();
});
