/**
 * Chunks of peers, received by the threads that serve clients, in processes whose memory is overwritten as it is freed: a
 * thread that writes after its read has ended would show as wrong bytes.
 * Not in test:threads: it says itself how many threads there are.
 */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MiB } from "../../src/base/units.ts";
import { LoadConnection } from "../bench/http-load.ts";
import type { OrcaProcess } from "../support/orca-process.ts";
import { patternBytes } from "../support/pattern.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";
import { ProcessCluster } from "./process-cluster.ts";

let cluster: ProcessCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

const poison = new URL("stress/poisoned-memory.ts", import.meta.url).href;
const sizeBytes = 16 * MiB;

interface Client {
  /** Leaves when it has so many bytes. */
  readonly leavesAfter?: number;
  /** Rests after each MiB. */
  readonly restMs?: number;
}

/** Reads an object, and compares every byte as it comes. */
async function download(
  { endpoint }: OrcaProcess,
  key: string,
  expected: Buffer,
  client: Client,
): Promise<void> {
  const { leavesAfter = Number.POSITIVE_INFINITY, restMs = 0 } = client;
  let offset = 0;
  const left = Promise.withResolvers<void>();
  const connection = new LoadConnection(Number(new URL(endpoint).port), (bytes) => {
    if (bytes.compare(expected, offset, offset + bytes.length) !== 0)
      left.reject(new Error(`wrong bytes at ${offset} of ${key}`));
    const rests = restMs > 0 && Math.floor(offset / MiB) < Math.floor((offset + bytes.length) / MiB);
    offset += bytes.length;
    if (rests) {
      connection.pause();
      void sleep(restMs).then(() => connection.resume());
    }
    if (offset >= leavesAfter) left.resolve();
  });
  try {
    await Promise.race([
      connection.get({ path: `/${testBucket}/${key}`, range: "", bodyBytes: expected.length }),
      left.promise,
    ]);
  } finally {
    connection.close();
  }
  if (leavesAfter > expected.length) assert.equal(offset, expected.length);
}

test("server.threads: 2, clients that leave and clients that rest: every byte is right, and the origin sends each once", async () => {
  cluster = await ProcessCluster.start({
    settings: () => "memory: { max_bytes: 96MiB }",
    clusterSettings: "  stall_timeout: 60s",
    serverSettings: ", threads: 2",
    nodeOptions: ["--import", poison],
  });
  const { origin } = cluster;
  const replicas = cluster.replicas;
  // Each asks each other one, so that no handshake falls into the crowd.
  let round = 0;
  await until(async () => {
    round += 1;
    const keys = Array.from({ length: 20 }, (_, index) => `warm/${round}/${index}`);
    for (const key of keys) {
      origin.put(testBucket, key, { seed: 1, sizeBytes: 1000 });
      for (const replica of replicas) await download(replica, key, patternBytes(1, 0, 1000), {});
    }
    return keys.every((key) => origin.count("GET", key) === 1);
  }, 60_000);
  for (const key of ["a", "b", "c"]) {
    const seed = key.charCodeAt(0);
    origin.put(testBucket, key, { seed, sizeBytes });
    origin.faults.always("GET", key, { bytesPerSecond: 8 * MiB });
    const expected = patternBytes(seed, 0, sizeBytes);
    const crowd = Array.from({ length: 36 }, (_, index) => {
      const client: Client =
        index % 3 === 0 ? { leavesAfter: (index / 36) * sizeBytes } : index % 3 === 1 ? { restMs: 20 } : {};
      return download(replicas[Math.floor(index / 3) % 3] as OrcaProcess, key, expected, client);
    });
    await Promise.all(crowd);
    const gets = origin.requests.filter((request) => request.operation === "GET" && request.key === key);
    // One whose last reader leaves before its first byte is given up.
    assert.equal(gets.filter(({ bytesSent }) => bytesSent > 0).length, 16);
    assert.equal(origin.count("HEAD", key), 0);
    assert.equal(origin.bytesSent(key), sizeBytes);
  }
  let receivedBytes = 0;
  for (const replica of replicas) {
    receivedBytes += await replica.metric("orca_fill_chunk_received_bytes_total");
    for (const end of ["broken", "unreachable", "peer_error"])
      assert.equal(await replica.metric(`orca_fill_chunk_calls_total{end="${end}"}`), 0, end);
    // As many as with one thread: one for control and one for chunks to each of two peers.
    assert.equal(await replica.metric('orca_mesh_sessions_open{side="client"}'), 4);
    await until(async () => (await replica.metric("orca_relays")) === 0);
  }
  // Two of three replicas have each chunk from the third one.
  assert.ok(receivedBytes >= 2 * 3 * sizeBytes, `${receivedBytes} bytes came from peers`);
});
