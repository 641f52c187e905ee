/** What only processes of their own can show: a replica that is killed, and one that stands still. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MiB } from "../../src/base/units.ts";
import { ClusterCertificates, serverName } from "../support/cluster-certificates.ts";
import { assertPattern } from "../support/pattern.ts";
import { freePort, TestProcess } from "../support/process.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const main = join(import.meta.dirname, "../../src/main.ts");

interface Replica {
  readonly child: TestProcess;
  readonly endpoint: string;
  readonly ops: string;
}

let origin: S3Server;
let certificates: ClusterCertificates;
let folder: string;
let replicas: Replica[] = [];

before(async () => {
  certificates = await ClusterCertificates.create();
  folder = mkdtempSync(join(tmpdir(), "orca-cluster-"));
});
after(() => {
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(async () => {
  for (const { child } of replicas) child.signal("SIGKILL");
  await Promise.all(replicas.map(({ child }) => child.exited));
  await origin.stop();
});

async function startThree(): Promise<readonly [Replica, Replica, Replica]> {
  origin = await S3Server.start({ buckets: [testBucket] });
  const ports = [await freePort(), await freePort(), await freePort()];
  replicas = await Promise.all(ports.map((_, index) => serve(index, ports)));
  await Promise.all(replicas.map((replica) => until(async () => (await live(replica)) === 3)));
  return replicas as [Replica, Replica, Replica];
}

async function serve(index: number, ports: readonly number[]): Promise<Replica> {
  const { certFile, keyFile, caFile } = await certificates.files(`r${index}`);
  const file = join(folder, `r${index}.yaml`);
  writeFileSync(
    file,
    `server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0" }
origin:
  id: test
  driver: awss3
  awss3: { bucket: ${testBucket}, endpoint: "${origin.endpoint}", use_path_style: true }
chunking: { size: 1MiB, tiers: [] }
memory: { max_bytes: 256MiB }
cluster:
  peers: [${ports.map((port) => `"https://127.0.0.1:${port}"`).join(", ")}]
  internal_listen: "127.0.0.1:${ports[index]}"
  replica_id: r${index}
  stall_timeout: 1s
  internal_tls: { enabled: true, cert_file: ${certFile}, key_file: ${keyFile}, ca_file: ${caFile}, server_name: ${serverName} }
`,
  );
  const env = { ...process.env, ORCA_AWSS3_ACCESS_KEY: "test", ORCA_AWSS3_SECRET_KEY: "test-secret" };
  const child = new TestProcess(`r${index}`, process.execPath, [main, "serve", "--config", file], { env });
  const [, endpoint = "", ops = ""] = await child.line(/"s3":"([^"]+)","ops":"([^"]+)"/);
  return { child, endpoint, ops };
}

async function live({ ops }: Replica): Promise<number> {
  const status = (await (await fetch(`${ops}/cluster`)).json()) as { members: { state: string }[] };
  return status.members.filter(({ state }) => state === "alive").length;
}

async function flights({ ops }: Replica): Promise<number> {
  const text = await (await fetch(`${ops}/metrics`)).text();
  return Number(/^orca_flights (\d+)$/m.exec(text)?.[1]);
}

async function read({ endpoint }: Replica, key: string, range?: string): Promise<Buffer> {
  const response = await fetch(`${endpoint}/${testBucket}/${key}`, { headers: range ? { range } : {} });
  assert.ok(response.ok, `${response.status} ${response.statusText}`);
  return Buffer.from(await response.arrayBuffer());
}

test("kill -9 of a coordinator while it streams: no client sees it, and what is fetched again was in flight there", async () => {
  const [first, second, third] = await startThree();
  const sizeBytes = 32 * MiB;
  origin.put(testBucket, "k", { seed: 4, sizeBytes });
  // Every GET stops in its middle, so that what is in flight stays in flight until the kill.
  const gates = Array.from({ length: 32 }, () => origin.hold("GET", "k", MiB / 2));
  const reads = [first, second].flatMap((replica) => [read(replica, "k"), read(replica, "k")]);
  let inFlight = 0;
  await until(async () => {
    const asked = origin.count("GET", "k");
    inFlight = await flights(third);
    await sleep(100);
    return inFlight > 0 && asked === origin.count("GET", "k");
  });
  third.child.signal("SIGKILL");
  await third.child.exited;
  for (const gate of gates) gate.release();
  for (const bytes of await Promise.all(reads)) {
    assert.equal(bytes.length, sizeBytes);
    assertPattern(bytes, 4, 0);
  }
  const fetched = origin.requests.filter(({ operation }) => operation === "GET").length - 32;
  // A chunk that is taken up in its middle takes a second GET for the part before it.
  assert.ok(fetched <= 2 * inFlight, `${fetched} GETs more than chunks, with ${inFlight} in flight`);
  assert.ok(
    origin.bytesSent("k") - sizeBytes <= inFlight * MiB,
    `${origin.bytesSent("k") - sizeBytes} bytes more`,
  );
});

test("a peer that accepts and never answers costs one stall, then nothing", async () => {
  const [first, , third] = await startThree();
  for (let index = 0; index < 30; index += 1)
    origin.put(testBucket, `k${index}`, { seed: index, sizeBytes: 100_000 });
  third.child.signal("SIGSTOP");
  const times: number[] = [];
  for (let index = 0; index < 30; index += 1) {
    const startedMs = performance.now();
    assertPattern(await read(first, `k${index}`), index, 0);
    times.push(performance.now() - startedMs);
  }
  third.child.signal("SIGCONT");
  const slow = times.filter((ms) => ms > 500);
  assert.ok(slow.length <= 2, `${slow.length} of 30 reads were slow: ${slow.map(Math.round).join(", ")} ms`);
  // Metadata and bytes each have a session to find it out on.
  assert.ok(Math.max(...times) < 4000, `${Math.max(...times)} ms`);
  await until(async () => (await live(first)) === 3);
});
