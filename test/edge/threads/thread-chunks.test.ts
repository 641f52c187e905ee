/** What a thread answers to other replicas, with an engine that answers as a test says, over a real port. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { type ChunksForPeers, EngineDesk } from "../../../src/edge/threads/engine-desk.ts";
import { EngineLink } from "../../../src/edge/threads/engine-link.ts";
import { ProcessLimits } from "../../../src/edge/threads/process-limits.ts";
import { ThreadBodies } from "../../../src/edge/threads/thread-bodies.ts";
import { ThreadChunks } from "../../../src/edge/threads/thread-chunks.ts";
import type { BodyReader } from "../../../src/fill/bodies.ts";
import type { PeerRead } from "../../../src/fill/chunk-peers.ts";
import type { Member } from "../../../src/membership/member.ts";
import { NotCoordinator } from "../../../src/membership/not-coordinator.ts";
import { Buckets } from "../../../src/object/buckets.ts";
import { MemoryTier } from "../../../src/store/memory-tier.ts";
import { PublishedChunks } from "../../../src/store/shared-index/published-chunks.ts";
import { SharedBlocks } from "../../../src/store/shared-index/shared-blocks.ts";
import { SharedIndex } from "../../../src/store/shared-index/shared-index.ts";
import { Trace } from "../../../src/trace/trace.ts";
import { TraceContexts } from "../../../src/trace/trace-contexts.ts";
import { chunkOf } from "../../support/chunk-of.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { assertPattern, patternBytes } from "../../support/pattern.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { until } from "../../support/until.ts";

const chunkSizeBytes = 4 * MiB;
const seed = 7;

/** What the engine reads for a peer: a pattern that begins with the chunk, in slices of 1 MiB in memory that threads share. */
class EngineSlices implements BodyReader {
  readonly source = "disk";
  closed = 0;
  readonly version: ObjectVersion;
  readonly start: number;
  readonly end: number;
  #position: number;

  constructor(of: ObjectVersion, start: number, end: number) {
    this.version = of;
    this.start = start;
    this.end = end;
    this.#position = start;
  }

  get takenBytes(): number {
    return this.#position - this.start;
  }

  get range(): readonly [number, number] {
    return [this.start, this.end];
  }

  get done(): boolean {
    return this.#position === this.end;
  }

  take(): Buffer {
    const lengthBytes = Math.min(MiB, this.end - this.#position);
    const slice = Buffer.from(new SharedArrayBuffer(lengthBytes));
    patternBytes(seed, this.#position % chunkSizeBytes, lengthBytes).copy(slice);
    this.#position += lengthBytes;
    return slice;
  }

  release(): void {}

  async ready(): Promise<void> {}

  close(): void {
    this.closed += 1;
  }
}

class Engine implements ChunksForPeers {
  readonly asked: PeerRead[] = [];
  readonly opened: EngineSlices[] = [];
  digestsAsked = 0;
  refusal: OrcaError | undefined;
  holds = true;

  answer(read: PeerRead) {
    this.asked.push(read);
    if (this.refusal) throw this.refusal;
    if (!this.holds) return undefined;
    const start = read.key.index * read.key.version.chunkSizeBytes + read.offset;
    const slices = new EngineSlices(read.key.version, start, start + read.lengthBytes);
    this.opened.push(slices);
    return { source: "flight" as const, slices };
  }

  digest(): Uint8Array {
    this.digestsAsked += 1;
    return Buffer.from("abcd", "hex");
  }
}

class Ends {
  readonly engine = new Engine();
  readonly budget: MemoryBudget;
  readonly memory: MemoryTier;
  readonly index = new SharedIndex(100);
  readonly bodies: ThreadBodies;
  readonly desk: EngineDesk;
  readonly logger = new RecordedLogger();
  readonly chunks: ThreadChunks;

  constructor(context: TestContext, hasDisk = true) {
    const clock = new FakeClock();
    const { index, engine } = this;
    this.budget = new MemoryBudget({ maxBytes: 64 * MiB, clock, poison: true });
    this.memory = new MemoryTier({ budget: this.budget, published: new PublishedChunks(index) });
    const { port1, port2 } = new MessageChannel();
    const traceContexts = new TraceContexts();
    this.desk = new EngineDesk(port1, {
      origins: new Map(),
      buckets: new Buckets(new Map()),
      bodies: { open: () => assert.fail("nothing is read for a client") } as never,
      chunks: engine,
      warmRequests: {} as never,
      index,
      traceContexts,
      clock,
      log: () => assert.fail("nothing is logged"),
    });
    const blocks = new SharedBlocks(index.memory);
    const link = new EngineLink(port2, { blocks, traceContexts, clock });
    const trace = new Trace(this.logger, clock, traceContexts);
    this.bodies = new ThreadBodies({
      link,
      blocks,
      trace,
      limits: new ProcessLimits(),
      pinnedSlabsMax: 8,
      readAheadMax: 8,
    });
    this.chunks = new ThreadChunks(this.bodies, hasDisk);
    context.after(() => {
      this.desk.close();
      port1.close();
    });
  }

  /** Chunk 1 of an object of three chunks is in memory. The thread has heard of its slabs. */
  async hold(version: ObjectVersion): Promise<void> {
    const chunk = chunkOf(this.budget, chunkSizeBytes, seed);
    this.memory.put(version.memoryKey(1), chunk, false, version);
    chunk.release();
    await until(() => this.bodies.holdsRest(version, chunkSizeBytes, 2 * chunkSizeBytes));
  }
}

const version = new ObjectVersion({
  originId: "o",
  bucket: "b",
  objectKey: "k",
  etag: "v1",
  sizeBytes: 3 * chunkSizeBytes,
  chunkSizeBytes,
});

function readOf(index: number, more: Partial<PeerRead> = {}): PeerRead {
  const whole = { offset: 0, lengthBytes: chunkSizeBytes, passedOver: [], cachedOnly: false };
  return { key: { version, index }, ...whole, ...more };
}

async function readAll(reader: BodyReader): Promise<Buffer> {
  const slices: Buffer[] = [];
  while (!reader.done) {
    const slice = reader.take();
    if (slice === null) await reader.ready();
    else {
      slices.push(Buffer.from(slice));
      reader.release();
    }
  }
  reader.close();
  return Buffer.concat(slices);
}

test("ThreadChunks.answer: a range in memory is answered at once, and the engine hears of nothing", async (context) => {
  const ends = new Ends(context);
  await ends.hold(version);
  const answer = ends.chunks.answer(readOf(1, { offset: 10, lengthBytes: 2 * MiB }));
  assert.ok(!(answer instanceof Promise));
  assert.equal(answer.source, "memory");
  const bytes = await readAll(answer.slices);
  assert.equal(bytes.length, 2 * MiB);
  assertPattern(bytes, seed, 10);
  assert.equal(await answer.sha256(), undefined);
  assert.deepEqual(ends.engine.asked, []);
  assert.equal(ends.engine.digestsAsked, 0);
  assert.deepEqual(ends.bodies.stats, { hits: 1, sentBytes: 0, peerBytes: 2 * MiB });
  assert.deepEqual(ends.chunks.stats, { answered: 1 });
});

test("ThreadChunks.answer: the engine decides about a range that is not in memory, and reads it", async (context) => {
  const { engine, chunks, desk, bodies } = new Ends(context);
  const more = { offset: 5, lengthBytes: 3 * MiB, passedOver: ["r7"], cachedOnly: true, requestId: "req" };
  const answer = await chunks.answer(readOf(2, more));
  assert.equal(answer.source, "flight");
  assert.equal(engine.asked.length, 1);
  const [asked] = engine.asked as [PeerRead];
  assert.equal(asked.key.version.hash, version.hash);
  assert.equal(asked.key.index, 2);
  assert.deepEqual({ ...asked, key: undefined }, { ...more, key: undefined });
  assertPattern(await readAll(answer.slices), seed, 5);
  assert.deepEqual(Buffer.from((await answer.sha256()) as Uint8Array).toString("hex"), "abcd");
  await until(() => desk.reads === 0 && engine.opened[0]?.closed === 1);
  assert.equal(bodies.stats.peerBytes, 0, "the engine counts what it reads");
  assert.deepEqual(chunks.stats, { answered: 0 });
});

test("ThreadChunks.answer: errors of the engine come with what they say", async (context) => {
  const { engine, chunks, desk } = new Ends(context);
  const coordinator = { replicaId: "r2", address: "h:1" } as Member;
  engine.refusal = new NotCoordinator("a chunk", coordinator, [coordinator]);
  await assert.rejects(async () => chunks.answer(readOf(0)), {
    code: "not_coordinator",
    message: engine.refusal.message,
    coordinator,
    members: [coordinator],
  });
  engine.refusal = new OrcaError("origin_denied", "origin", "Cannot read: denied");
  await assert.rejects(async () => chunks.answer(readOf(0)), { code: "origin_denied" });
  engine.refusal = undefined;
  engine.holds = false;
  await assert.rejects(async () => chunks.answer(readOf(0, { cachedOnly: true })), { code: "not_held" });
  assert.equal(desk.reads, 0);
});

test("ThreadChunks.answer: a block that is evicted meanwhile is read by the engine, as the peer asked for it", async (context) => {
  const ends = new Ends(context);
  await ends.hold(version);
  const answer = ends.chunks.answer(readOf(1, { cachedOnly: true, passedOver: ["r7"] }));
  assert.ok(!(answer instanceof Promise));
  const { slices } = answer;
  assertPattern(Buffer.from(slices.take() as Buffer), seed, 0);
  slices.release();
  ends.memory.delete(version.memoryKey(1));
  const rest = await readAll(slices);
  assert.equal(rest.length, 3 * MiB);
  assertPattern(rest, seed, MiB);
  const { asked } = ends.engine;
  assert.equal(asked.length, 1);
  const { offset, lengthBytes, cachedOnly, passedOver } = asked[0] as PeerRead;
  assert.deepEqual(
    { offset, lengthBytes, cachedOnly, passedOver },
    { offset: MiB, lengthBytes: 3 * MiB, cachedOnly: true, passedOver: ["r7"] },
  );
});

test("ThreadChunks.answer: a digest is asked for where a copy is made and a disk knows it", async (context) => {
  for (const [hasDisk, cachedOnly, expected] of [
    [true, true, 1],
    [true, false, 0],
    [false, true, 0],
  ] as const) {
    const { engine, chunks } = new Ends(context, hasDisk);
    const answer = await chunks.answer(readOf(0, { cachedOnly }));
    assert.equal((await answer.sha256()) !== undefined, expected === 1);
    assert.equal(engine.digestsAsked, expected);
    answer.slices.close();
  }
});

test("ThreadChunks.answer: a caller that leaves while the engine reads ends that read", async (context) => {
  const { engine, chunks, desk } = new Ends(context);
  const answer = await chunks.answer(readOf(0));
  answer.slices.close();
  await until(() => desk.reads === 0);
  assert.equal(engine.opened[0]?.closed, 1);
});

test("ThreadChunks.answer: a range in memory is a step of a traced request", async (context) => {
  const ends = new Ends(context);
  await ends.hold(version);
  const answer = await ends.chunks.answer(readOf(1, { requestId: "req" }));
  answer.slices.close();
  const steps = ends.logger.events.filter(
    ({ fields }) => "question" in fields && fields.question === "chunk",
  );
  assert.equal(steps.length, 1);
});
