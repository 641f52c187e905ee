/** What the origin is asked for a client that reads on: a fast one, one that reads nothing, one that leaves, three at once. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { get as httpGet, type IncomingMessage } from "node:http";
import { afterEach, test } from "node:test";
import { KiB, MiB } from "../../src/base/units.ts";
import type { SettingsTree } from "../../src/config/load.ts";
import { oneThread } from "../support/one-thread.ts";
import { assertPattern } from "../support/pattern.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { Gate } from "../support/s3-fault.ts";
import { until } from "../support/until.ts";

const seed = 6;
const inFlight = 'orca_origin_requests_in_flight{origin="test"}';
const received = 'orca_origin_bytes_total{origin="test"}';
const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

/** A replica in front of an object of 100 MiB. */
async function start(chunking: SettingsTree, server: SettingsTree = {}): Promise<ReplicaFixture> {
  const orca = await startReplica({ settings: { chunking, server } });
  stops.push(orca.stop);
  orca.origin.put(testBucket, "k", { seed, sizeBytes: 100 * MiB });
  return orca;
}

/** A client that has the head of its answer and has read nothing. */
async function open({ endpoint }: ReplicaFixture): Promise<IncomingMessage> {
  const request = httpGet(`${endpoint}/${testBucket}/k`, { agent: false });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  response.pause();
  response.on("error", () => {});
  stops.push(async () => void response.destroy());
  return response;
}

/** Reads at least so many bytes. */
async function readSome(response: IncomingMessage, lengthBytes: number): Promise<void> {
  let at = 0;
  while (at < lengthBytes) {
    const bytes = response.read() as Buffer | null;
    if (bytes === null) await once(response, "readable");
    else {
      assertPattern(bytes, seed, at);
      at += bytes.length;
    }
  }
}

function chunksAsked({ origin }: ReplicaFixture, chunkBytes: number): number[] {
  const gets = origin.requests.filter(({ operation }) => operation === "GET");
  const starts = gets.map(({ range }) => Number(/^bytes=(\d+)-/.exec(range ?? "")?.[1]));
  return starts.map((from) => from / chunkBytes).toSorted((a, b) => a - b);
}

test("a stream has as many requests in flight as it may read ahead, and each byte is fetched once", async () => {
  const server = oneThread(
    "read-ahead deepens with each block taken from a flight, and here the flight is faster",
  );
  const orca = await start({ readahead: 4 }, server);
  const gate = new Gate();
  orca.origin.faults.next("GET", "k", {});
  orca.origin.faults.always("GET", "k", { gate });
  const response = await open(orca);
  await readSome(response, 8 * MiB);
  await gate.reachedBy(4);
  assert.deepEqual(chunksAsked(orca, 8 * MiB), [0, 1, 2, 3, 4]);
  assert.equal(await orca.metric(inFlight), 4);
  gate.release();
  let at = 8 * MiB;
  for await (const bytes of response as AsyncIterable<Buffer>) {
    assertPattern(bytes, seed, at);
    at += bytes.length;
  }
  assert.equal(at, 100 * MiB);
  assert.deepEqual(
    chunksAsked(orca, 8 * MiB),
    Array.from({ length: 13 }, (_, index) => index),
  );
  assert.equal(orca.origin.bytesSent("k"), 100 * MiB);
  assert.equal(orca.origin.count("HEAD", "k"), 0);
});

test("a client that stops reading causes what it may read ahead, and no more", async () => {
  // No kernel holds as much as a chunk of 32 MiB, so the client stays in the first one.
  const orca = await start({ size: "32MiB", tiers: [], readahead: 1 });
  const response = await open(orca);
  await readSome(response, 64 * KiB);
  await until(() => orca.origin.count("GET") === 2);
  await until(async () => (await orca.metric("orca_flights")) === 0);
  assert.deepEqual(chunksAsked(orca, 32 * MiB), [0, 1]);
  assert.equal(await orca.metric(received), 64 * MiB);
  assert.equal(await orca.metric(inFlight), 0);
  response.destroy();
  await until(async () => (await orca.metric("orca_requests_in_flight")) === 0);
  assert.deepEqual([chunksAsked(orca, 32 * MiB), await orca.metric("orca_flights_cut_total")], [[0, 1], 0]);
});

test("a client that leaves ends its flight after the block, and those ahead at once; nothing is asked for after that", async () => {
  const orca = await start({ readahead: 4 });
  const opening = new Gate(2 * MiB + 1000);
  const ahead = new Gate(0);
  orca.origin.faults.next("GET", "k", { gate: opening });
  orca.origin.faults.always("GET", "k", { gate: ahead });
  const response = await open(orca);
  await readSome(response, 2 * MiB + 1000);
  await ahead.reachedBy(4);
  assert.equal(await orca.metric(inFlight), 5);
  response.destroy();
  await until(async () => (await orca.metric("orca_requests_in_flight")) === 0);
  await until(async () => (await orca.metric(inFlight)) === 1);
  opening.release();
  await until(async () => (await orca.metric("orca_flights")) === 0);
  ahead.release();
  await until(async () => (await orca.metric(inFlight)) === 0);
  assert.deepEqual(chunksAsked(orca, 8 * MiB), [0, 1, 2, 3, 4]);
  assert.equal(await orca.metric("orca_flights_cut_total"), 5);
  assert.equal(await orca.metric(received), 3 * MiB);
  assert.equal(await orca.metric("orca_memory_used_bytes"), 3 * MiB);
});

test("three clients that go through one object by short ranges, turn by turn, have windows of their own", async () => {
  const orca = await start({ size: "32MiB", tiers: [] });
  const step = 512 * KiB;
  const starts = [0, 32 * MiB, 64 * MiB].map((each) => each + MiB);
  for (let read = 0; read < 8 * MiB; read += step) {
    for (const first of starts) {
      const from = first + read;
      const response = await orca.get("k", { range: `bytes=${from}-${from + step - 1}` });
      assertPattern(Buffer.from(await response.arrayBuffer()), seed, from);
    }
  }
  const gets = orca.origin.requests.filter(({ operation }) => operation === "GET");
  const asked = gets.map(({ range }) => /^bytes=(\d+)-(\d+)/.exec(range ?? "")?.slice(1) ?? []);
  // The opening of the first client begins no window.
  const first = [
    [1, 2],
    [2, 3],
    [3, 5],
    [5, 9],
  ];
  const others = [
    [1, 2],
    [2, 4],
    [4, 8],
    [8, 16],
  ];
  const turns = [0, 1, 2, 3].flatMap((turn) => [
    first[turn],
    others[turn]?.map((block) => block + 32),
    others[turn]?.map((block) => block + 64),
  ]);
  assert.deepEqual(
    asked.map((range) => range.map((at) => Math.ceil(Number(at) / MiB))),
    turns,
  );
});
