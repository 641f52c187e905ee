import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { LogPace } from "../../src/base/log-pace.ts";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { ReaderMemory } from "../../src/base/reader-memory.ts";
import { MiB } from "../../src/base/units.ts";
import { defaultChunkTiers } from "../../src/chunk/chunk-layout.ts";
import type { BucketHandler } from "../../src/edge/bucket-handler.ts";
import { EdgeStats } from "../../src/edge/edge-stats.ts";
import type { Exchange } from "../../src/edge/exchange.ts";
import { ObjectHandler } from "../../src/edge/object-handler.ts";
import { RequestReport } from "../../src/edge/request-report.ts";
import { S3Listener } from "../../src/edge/s3-listener.ts";
import type { SubResourceHandler } from "../../src/edge/sub-resources/sub-resource-handler.ts";
import { BlockReads } from "../../src/fill/block-reads.ts";
import { EngineBodies } from "../../src/fill/bodies.ts";
import { Filler } from "../../src/fill/filler.ts";
import type { ReadPath } from "../../src/fill/read-path.ts";
import { Bucket } from "../../src/object/bucket.ts";
import { Buckets } from "../../src/object/buckets.ts";
import { Directory } from "../../src/object/directory.ts";
import { OriginHeads } from "../../src/object/heads/origin-heads.ts";
import type { Listings } from "../../src/object/listing-cache.ts";
import { GuardedOrigin } from "../../src/origin/guarded-origin.ts";
import type { ObjectHead } from "../../src/origin/origin.ts";
import { MemoryTier } from "../../src/store/memory-tier.ts";
import { Trace } from "../../src/trace/trace.ts";
import { TraceContexts } from "../../src/trace/trace-contexts.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { httpGet } from "../support/http-get.ts";
import { neverDies } from "../support/never-dies.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { ScriptedOrigin, type ScriptedRead } from "../support/scripted-origin.ts";
import { until } from "../support/until.ts";

const budgetBytes = 32 * MiB;

interface Options {
  readonly slowRequestMs?: number;
  /** In place of the real handler of objects. */
  readonly handle?: (exchange: Exchange) => void;
}

/** A replica's edge, flights and origin, on a clock and over an origin that the test moves by hand. */
async function fixture(context: TestContext, { slowRequestMs = 5000, handle }: Options = {}) {
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  logger.isDebug = false;
  const trace = new Trace(logger, clock);
  const origin = new ScriptedOrigin();
  const head = Promise.withResolvers<ObjectHead | null>();
  origin.onHead = () => head.promise;
  const guarded = new GuardedOrigin({
    origin,
    clock,
    random: new SeededRandom(1),
    requestsInFlightMax: 1,
    queueTimeoutMs: 60_000,
    retry: { attempts: 3, backoffInitialMs: 100, backoffMaxMs: 100, maxTotalDurationMs: 60_000 },
    minRate: { bytesPerSecond: 0, windowMs: 60_000 },
    trace,
  });
  const budget = new MemoryBudget({ maxBytes: budgetBytes, clock, poison: true });
  const memory = new MemoryTier({ budget });
  const shared = { memory, disk: undefined, budget, queueTimeoutMs: 60_000, trace };
  const filler = new Filler({ ...shared, origins: new Map([[origin.id, guarded]]) });
  const readPath: ReadPath = {
    ...shared,
    flights: filler,
    readerMemory: new ReaderMemory(budget, clock),
    blockReads: new BlockReads({ budget, clock, queueTimeoutMs: 60_000 }),
    readAheadMax: 0,
    sentBytes: { memory: 0, disk: 0, cachestore: 0, peer: 0, origin: 0, join: 0 },
  };
  const directory = new Directory({
    source: new OriginHeads(guarded),
    clock,
    chunkTiers: defaultChunkTiers,
    ttlMs: 300_000,
    negativeTtlMs: 60_000,
    entriesMax: 10,
    trace,
  });
  const listings: Listings = { list: () => assert.fail("no listing") };
  const place = { name: "b", originBucket: "models", prefix: "", rejectsDotSegments: false };
  const stats = new EdgeStats();
  const real = new ObjectHandler({
    clock,
    bodies: new EngineBodies(readPath),
    stats,
    hostId: "host",
    strictRanges: false,
    chunkSizeBytesMin: MiB,
  });
  const listener = new S3Listener({
    host: "127.0.0.1",
    port: 0,
    domain: undefined,
    connectionsMax: 100,
    requestsMax: 100,
    clientStallTimeoutMs: 60_000,
    clientMinRateBytes: 0,
    keepAliveTimeoutMs: 5000,
    headerTimeoutMs: 5000,
    tls: undefined,
    hostId: "host",
    slowRequestMs,
    accessMode: "off",
    accessLogger: logger,
    traceContexts: new TraceContexts(),
    buckets: new Buckets(new Map([["b", new Bucket({ ...place, directory, listings, parts: {} as never })]])),
    objectHandler: handle ? ({ handle } as unknown as ObjectHandler) : real,
    bucketHandler: {} as BucketHandler,
    subResourceHandler: {} as SubResourceHandler,
    stats,
    clock,
    random: new SeededRandom(1),
    logger,
    onDied: neverDies,
  });
  const { port } = await listener.start();
  context.after(() => listener.close());
  const lines = (): Record<string, unknown>[] =>
    logger.events
      // A call that stalls has lines of its own (trace/stalls/).
      .filter(({ level, fields }) => level === "info" && !("event" in fields))
      .map(({ fields }) => ({ ...fields }));
  const answerHead = (sizeBytes: number): void =>
    head.resolve({ etag: "v1", sizeBytes, lastModifiedMs: 0, metadata: {} });
  const read = async (index: number): Promise<ScriptedRead> => {
    await until(() => origin.reads.length > index);
    return origin.reads[index] as ScriptedRead;
  };
  const get = (key = "k"): Promise<Response> => httpGet(`http://127.0.0.1:${port}/b/${key}`);
  /** Readers that wait for the flight of the first chunk. */
  const flightReaders = (): number => {
    const found = directory.peek({ bucket: "models", key: "k" });
    const version = found?.kind === "found" ? found.record.version : undefined;
    return (version && filler.find({ version, index: 0 }, 0)?.waiting) ?? 0;
  };
  return {
    clock,
    origin,
    guarded,
    budget,
    stats,
    listener,
    port,
    flightReaders,
    lines,
    answerHead,
    read,
    get,
  };
}

const split = { metadataMs: 0, memoryMs: 0, permitMs: 0, diskMs: 0, firstByteMs: 0, bodyMs: 0, clientMs: 0 };

test("RequestReport: the time of a slow GET is split exactly into what it waited for", async (context) => {
  const { clock, origin, guarded, budget, flightReaders, stats, lines, answerHead, read, get } =
    await fixture(context);
  const held = budget.tryReserve(budgetBytes);
  const answer = get();
  await until(() => origin.heads.length === 1);
  // Takes the only permit after the HEAD, before the flight of the GET has memory.
  const other = { bucket: "models", key: "other", etag: "x", objectSizeBytes: 1, offset: 0, lengthBytes: 1 };
  const bytes = Buffer.alloc(1);
  const otherRead = guarded.read(other, { space: () => bytes, advance: () => undefined });
  await clock.advance(1000);
  answerHead(MiB);
  await until(() => budget.waiting === 1);
  await clock.advance(2000);
  held?.release();
  await until(() => guarded.requestsWaiting === 1);
  await clock.advance(3000);
  (await read(0)).deliver().finish();
  await otherRead;
  const body = await read(1);
  await clock.advance(4000);
  body.deliver(MiB / 2);
  const response = await answer;
  const whole = response.arrayBuffer();
  await until(() => flightReaders() === 1);
  await clock.advance(500);
  body.deliver().finish();
  assert.equal((await whole).byteLength, MiB);
  await until(() => lines().length === 1);
  assert.deepEqual(lines(), [
    {
      requestId: response.headers.get("x-amz-request-id"),
      operation: "get_object",
      bucket: "b",
      key: "k",
      status: 200,
      complete: true,
      totalMs: 10_500,
      ...split,
      metadataMs: 1000,
      memoryMs: 2000,
      permitMs: 3000,
      firstByteMs: 4000,
      bodyMs: 500,
      bytes: MiB,
      range: `0-${MiB - 1}`,
      tier: "origin",
      coordinator: undefined,
      retries: 0,
    },
  ]);
  assert.equal(stats.requestsSlow, 1);
});

test("RequestReport: a joiner counts only its own wait, and a fast hit in memory writes no line", async (context) => {
  const { clock, flightReaders, lines, answerHead, read, get } = await fixture(context, {
    slowRequestMs: 500,
  });
  answerHead(1000);
  const leader = get();
  const body = await read(0);
  await clock.advance(3000);
  const joiner = get();
  await until(() => flightReaders() === 2);
  await clock.advance(1000);
  body.deliver().finish();
  await Promise.all([leader, joiner].map(async (each) => (await each).arrayBuffer()));
  await until(() => lines().length === 2);
  const shown = lines().map(({ firstByteMs, totalMs, tier }) => ({ firstByteMs, totalMs, tier }));
  assert.deepEqual(
    shown.sort((one, other) => Number(other.totalMs) - Number(one.totalMs)),
    [
      { firstByteMs: 4000, totalMs: 4000, tier: "origin" },
      { firstByteMs: 1000, totalMs: 1000, tier: "join" },
    ],
  );
  await (await get()).arrayBuffer();
  assert.equal(lines().length, 2);
});

test("RequestReport: a failed GET has a line with its code and retries, however fast it failed", async (context) => {
  const { clock, lines, answerHead, read, get } = await fixture(context);
  answerHead(1000);
  const answer = get();
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const body = await read(attempt);
    await clock.advance(50);
    body.fail(new OrcaError("origin_unavailable", "origin", "Cannot read: no"));
    await clock.advance(100);
  }
  assert.equal((await answer).status, 502);
  await until(() => lines().length === 1);
  const [line] = lines();
  assert.deepEqual([line?.["code"], line?.["status"], line?.["retries"]], ["origin_unavailable", 502, 2]);
  // The pauses between attempts, which chance shortens, count as well.
  assert.equal(line?.["firstByteMs"], line?.["totalMs"]);
  assert.ok(Number(line?.["firstByteMs"]) >= 150);
});

test("RequestReport: a client that leaves while it waits has a line with that wait", async (context) => {
  const { clock, port, lines, answerHead, read, listener } = await fixture(context);
  answerHead(1000);
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write("GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n");
  await read(0);
  await clock.advance(6000);
  socket.destroy();
  await until(() => listener.requestsInFlight === 0);
  const shown = lines().map(({ status, complete, firstByteMs, totalMs }) => [
    status,
    complete,
    firstByteMs,
    totalMs,
  ]);
  assert.deepEqual(shown, [[499, false, 6000, 6000]]);
});

test("RequestReport: the time that bytes waited for the client is the client's", async (context) => {
  const parts = await fixture(context, {
    handle: (exchange) => {
      exchange.response.writeHead(200, ["Content-Length", "10"]);
      void (async () => {
        exchange.sending(5);
        exchange.response.write("12345");
        await parts.clock.advance(7000);
        exchange.taken();
        await parts.clock.advance(1000);
        exchange.sending(5);
        exchange.response.end("67890");
      })();
    },
  });
  await (await parts.get()).arrayBuffer();
  await until(() => parts.lines().length === 1);
  const [line] = parts.lines();
  assert.deepEqual([line?.["clientMs"], line?.["totalMs"]], [7000, 8000]);
});

test("RequestReport: 6,000 slow requests write ten lines in a minute, and the next line counts the rest", async () => {
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const report = new RequestReport({
    clock,
    logger,
    pace: new LogPace(clock, 10),
    traceContexts: new TraceContexts(),
  });
  const request = {
    requestId: "1",
    operation: "get_object",
    bucket: "b",
    key: "k",
    waits: undefined,
    reader: undefined,
    pace: { waitedMs: () => 0 },
  } as const;
  const slow = { status: 200, totalMs: 6000, complete: true, failure: undefined };
  for (let count = 0; count < 6000; count += 1) report.log(request, slow);
  assert.equal(logger.events.length, 10);
  // Another kind has lines of its own.
  report.log(request, { ...slow, failure: "origin_unavailable" });
  assert.equal(logger.events.length, 11);
  await clock.advance(60_000);
  report.log(request, slow);
  assert.deepEqual(logger.events.at(-1)?.fields, { ...logger.events[0]?.fields, suppressed: 5990 });
});
