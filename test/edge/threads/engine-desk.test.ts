/** Both ends of the way between a thread of the edge and the engine, in one thread, over a real port. */

import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { ReaderMemory } from "../../../src/base/reader-memory.ts";
import { lateMsMax } from "../../../src/base/threads/batched-port.ts";
import { MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { OriginVerdicts } from "../../../src/edge/auth/origin-verdicts.ts";
import { AskedOrigin } from "../../../src/edge/threads/asked-origin.ts";
import { EngineDesk } from "../../../src/edge/threads/engine-desk.ts";
import { EngineLink } from "../../../src/edge/threads/engine-link.ts";
import { LeasedLookups } from "../../../src/edge/threads/leased-lookups.ts";
import { ProcessLimits } from "../../../src/edge/threads/process-limits.ts";
import { ThreadBodies } from "../../../src/edge/threads/thread-bodies.ts";
import { BlockReads } from "../../../src/fill/block-reads.ts";
import { type BodyReader, EngineBodies } from "../../../src/fill/bodies.ts";
import { Filler } from "../../../src/fill/filler.ts";
import { Buckets } from "../../../src/object/buckets.ts";
import { Directory } from "../../../src/object/directory.ts";
import { Revocations, revocationMemory } from "../../../src/object/freshness/revocations.ts";
import { OriginHeads } from "../../../src/object/heads/origin-heads.ts";
import type { ReadHeaders } from "../../../src/object/object-lookups.ts";
import { Absence } from "../../../src/object/versions/absence.ts";
import type { ObjectHead, OriginHead } from "../../../src/origin/origin.ts";
import { MemoryTier } from "../../../src/store/memory-tier.ts";
import { PublishedChunks } from "../../../src/store/shared-index/published-chunks.ts";
import { SharedBlocks } from "../../../src/store/shared-index/shared-blocks.ts";
import { SharedIndex } from "../../../src/store/shared-index/shared-index.ts";
import type { Asker } from "../../../src/trace/trace.ts";
import { Trace } from "../../../src/trace/trace.ts";
import { TraceContexts } from "../../../src/trace/trace-contexts.ts";
import { chunkOf } from "../../support/chunk-of.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { assertPattern } from "../../support/pattern.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { ScriptedOrigin } from "../../support/scripted-origin.ts";

const location = { bucket: "b", key: "k" };
const chunkSizeBytes = 8 * MiB;

function kinds(batch: readonly { readonly kind: string }[]): string[] {
  return batch.map(({ kind }) => kind);
}

/** An engine and one thread of the edge. */
class Ends {
  readonly clock = new FakeClock();
  readonly origin = new ScriptedOrigin();
  readonly index = new SharedIndex(100);
  readonly budget = new MemoryBudget({ maxBytes: 64 * MiB, clock: this.clock, poison: true });
  readonly memory = new MemoryTier({ budget: this.budget, published: new PublishedChunks(this.index) });
  readonly heads: (ObjectHead | OrcaError | null | Promise<ObjectHead>)[] = [];
  headsAsked = 0;
  /** The kinds of the messages that came together. */
  readonly toEngine: string[][] = [];
  readonly toThread: string[][] = [];
  readonly directory: Directory;
  readonly desk: EngineDesk;
  readonly lookups: LeasedLookups;
  readonly bodies: ThreadBodies;
  readonly asked: AskedOrigin;

  constructor(context: TestContext, pinnedSlabsMax = 7) {
    const { clock, origin, index, budget, memory } = this;
    const { port1, port2 } = new MessageChannel();
    port1.on("message", (batch) => void this.toEngine.push(kinds(batch)));
    port2.on("message", (batch) => void this.toThread.push(kinds(batch)));
    const revocations = new Revocations(revocationMemory(10));
    const originId = origin.id;
    const head = async (): Promise<OriginHead> => {
      this.headsAsked += 1;
      const answer = this.heads.shift();
      if (answer instanceof OrcaError) throw answer;
      assert(answer !== undefined, "the test has an answer");
      return answer;
    };
    const directory = new Directory({
      source: new OriginHeads({ id: originId, head }),
      clock,
      chunkTiers: [{ minObjectSizeBytes: 0, chunkSizeBytes }],
      ttlMs: 10_000,
      negativeTtlMs: 1000,
      entriesMax: 10,
      revocations,
    });
    this.directory = directory;
    const shared = { memory, disk: undefined, budget, queueTimeoutMs: 5000 };
    const engineBodies = new EngineBodies({
      ...shared,
      flights: new Filler({ ...shared, origins: new Map([[originId, origin]]) }),
      readerMemory: new ReaderMemory(budget, clock),
      blockReads: new BlockReads({ budget, clock, queueTimeoutMs: 5000 }),
      readAheadMax: 0,
      sentBytes: { memory: 0, disk: 0, cachestore: 0, peer: 0, origin: 0, join: 0 },
    });
    const deskOrigin = {
      directory,
      parts: { peek: () => undefined, find: async () => ({ kind: "absent", count: 3 }) as never },
      listings: {
        list: () => Promise.reject(new OrcaError("origin_denied", "origin", "Cannot list: denied")),
      },
      origin: { subResource: () => assert.fail("not asked") },
    };
    const traceContexts = new TraceContexts();
    this.desk = new EngineDesk(port1, {
      origins: new Map([[originId, deskOrigin]]),
      buckets: new Buckets(new Map()),
      bodies: engineBodies,
      warmRequests: { add: () => "queued" },
      verdicts: new OriginVerdicts({
        originOf: () => ({ rightOf: async () => "denied" }),
        ttlMs: 60_000,
        clock,
      }),
      index,
      traceContexts,
      clock,
      log: () => assert.fail("nothing is logged"),
    });
    const trace = new Trace(new RecordedLogger(), clock, traceContexts);
    const blocks = new SharedBlocks(index.memory);
    const link = new EngineLink(port2, { blocks, traceContexts, clock });
    this.lookups = new LeasedLookups({
      originId,
      link,
      revocations,
      clock,
      trace,
      entriesMax: 10,
      bytesMax: MiB,
    });
    this.bodies = new ThreadBodies({
      link,
      blocks,
      trace,
      limits: new ProcessLimits(),
      pinnedSlabsMax,
      readAheadMax: 0,
    });
    this.asked = new AskedOrigin(originId, link);
    context.after(() => {
      this.desk.close();
      directory.close();
      port1.close();
    });
  }

  version(sizeBytes: number): ObjectVersion {
    return new ObjectVersion({
      originId: this.origin.id,
      ...location,
      objectKey: "k",
      etag: "v1",
      sizeBytes,
      chunkSizeBytes,
    });
  }

  hold(version: ObjectVersion, seed: number): void {
    const chunk = chunkOf(this.budget, version.sizeBytes, seed);
    this.memory.put(version.memoryKey(0), chunk, false, version);
    chunk.release();
  }
}

function headOf(etag: string, sizeBytes = 10): ObjectHead {
  return { etag, sizeBytes, lastModifiedMs: 0, metadata: {} };
}

function askerOf(requestId: string): Asker {
  return { requestId, waits: undefined };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

async function readAll(reader: BodyReader): Promise<Buffer> {
  const slices: Buffer[] = [];
  while (!reader.done) {
    const slice = reader.take();
    if (slice === null) {
      await reader.ready();
      continue;
    }
    slices.push(Buffer.from(slice));
    reader.release();
  }
  reader.close();
  return Buffer.concat(slices);
}

suite("LeasedLookups", () => {
  test("lookup: the first answer is the engine's; later ones come from the copy until the entry ends", async (context) => {
    const { lookups, heads, clock, ...ends } = new Ends(context);
    heads.push(headOf("v1"), headOf("v1"));
    assert.equal(lookups.peek(location), undefined);
    const found = await lookups.lookup(location, askerOf("r"));
    assert(found.kind === "found");
    assert.deepEqual([found.record.version.etag, found.record.head.sizeBytes], ["v1", 10]);
    await clock.advance(9999);
    assert.equal(lookups.peek(location), found);
    assert.equal(lookups.stats.hits, 1);
    await clock.advance(1);
    assert.equal(lookups.peek(location), undefined);
    assert.notEqual(await lookups.lookup(location), found);
    assert.equal(ends.directory.stats.misses, 2);
  });

  test("peek: the engine keeps what is used here, and evicts what is not, one entry for each that comes", async (context) => {
    const ends = new Ends(context);
    ends.heads.push(headOf("v1"));
    await ends.lookups.lookup(location);
    const come = async (from: number, to: number, use: boolean): Promise<void> => {
      for (let number = from; number < to; number += 1) {
        ends.heads.push(headOf("v1"));
        await ends.directory.lookup({ bucket: "b", key: `cold-${number}` });
        if (use) assert.notEqual(ends.lookups.peek(location), undefined);
      }
    };
    // The directory has room for ten.
    await come(0, 50, true);
    assert.deepEqual([ends.headsAsked, ends.directory.size], [51, 10]);
    const kept = ends.directory.versions().map(({ objectKey }) => objectKey);
    assert.deepEqual(kept.toSorted(), [...range(41, 50).map((number) => `cold-${number}`), "k"]);
    // The last use is good for one turn more.
    await come(50, 70, false);
    assert.equal(ends.lookups.peek(location), undefined);
    assert.equal(ends.headsAsked, 71);
  });

  test("lookup: an answer that has not changed stays the same object", async (context) => {
    const ends = new Ends(context);
    ends.heads.push(headOf("v1"));
    const found = await ends.lookups.lookup(location);
    assert.equal(await ends.lookups.lookup(location), found);
    assert.equal(ends.headsAsked, 1);
  });

  test("peek: what the engine drops is no answer any more", async (context) => {
    const ends = new Ends(context);
    ends.heads.push(headOf("v1"), headOf("v2"));
    await ends.lookups.lookup(location);
    ends.directory.invalidate(location);
    assert.equal(ends.lookups.peek(location), undefined);
    const found = await ends.lookups.lookup(location);
    assert.equal(found.kind === "found" && found.record.version.etag, "v2");
  });

  test("forget: this thread asks again at once, and the engine forgets the entry", async (context) => {
    const ends = new Ends(context);
    ends.heads.push(headOf("v1"));
    await ends.lookups.lookup(location);
    ends.lookups.forget(location, "v1");
    assert.equal(ends.lookups.peek(location), undefined);
    await settle();
    assert.equal(ends.directory.peek(location), undefined);
  });

  test("revalidate: the engine asks once, and an unchanged answer is the contradicted one itself", async (context) => {
    const ends = new Ends(context);
    ends.heads.push(headOf("v1"), headOf("v1"), headOf("v2"));
    const found = await ends.lookups.lookup(location);
    assert.equal(await ends.lookups.revalidate(location, found), found);
    await ends.clock.advance(2000);
    const changed = await ends.lookups.revalidate(location, found);
    assert.equal(changed.kind === "found" && changed.record.version.etag, "v2");
    assert.equal(ends.lookups.peek(location), changed);
    assert.equal(ends.headsAsked, 3);
  });

  test("lookup: an absence is a copied answer, and trouble of the origin is thrown", async (context) => {
    const ends = new Ends(context);
    ends.heads.push(null, new OrcaError("origin_throttled", "origin", "Cannot ask: throttled"));
    const absent = await ends.lookups.lookup(location);
    assert(absent.kind === "error" && absent.error instanceof Absence);
    assert.equal(ends.lookups.peek(location), absent);
    assert.equal(ends.lookups.stats.negativeHits, 1);
    await ends.clock.advance(1000);
    await assert.rejects(ends.lookups.lookup(location), { code: "origin_throttled", source: "origin" });
  });
});

suite("ThreadBodies", () => {
  test("open: blocks in memory are read without the engine, each use counted once a chunk", async (context) => {
    const ends = new Ends(context);
    const version = ends.version(3 * MiB + 7);
    ends.hold(version, 5);
    await settle();
    const reader = ends.bodies.open(version, 10, version.sizeBytes, askerOf("r"));
    const bytes = await readAll(reader);
    assertPattern(bytes, 5, 10);
    assert.deepEqual([bytes.length, reader.source], [3 * MiB - 3, "memory"]);
    assert.deepEqual(ends.bodies.stats, { hits: 1, sentBytes: 3 * MiB - 3, peerBytes: 0 });
    assert.equal(ends.desk.reads, 0);
    ends.memory.clear();
    assert.equal(ends.budget.usedBytes, 0);
  });

  test("open: bytes that are not in memory come from the engine slice by slice, which holds one at a time", async (context) => {
    const ends = new Ends(context);
    const version = ends.version(2 * MiB + 5);
    const reader = ends.bodies.open(version, 0, version.sizeBytes, askerOf("r"));
    assert.equal(reader.take(), null);
    const ready = reader.ready();
    await settle();
    assert.equal(ends.desk.reads, 1);
    ends.origin.reads[0]?.deliver(2 * MiB + 5);
    await ready;
    const first = reader.take();
    assert(first !== null);
    assertPattern(first, ends.origin.seed, 0);
    assert.equal(reader.source, "origin");
    await settle();
    assert.equal(reader.take(), null);
    reader.release();
    await reader.ready();
    assert.equal(reader.take()?.length, MiB);
    reader.close();
    await settle();
    assert.equal(ends.desk.reads, 0);
  });

  test("release: what has come into memory meanwhile is read without the engine, and is no further use", async (context) => {
    const ends = new Ends(context);
    const sizeBytes = 3 * MiB + 5;
    const version = ends.version(sizeBytes);
    const reader = ends.bodies.open(version, 0, sizeBytes, askerOf("r"));
    assert.equal(reader.take(), null);
    const ready = reader.ready();
    await settle();
    ends.origin.reads[0]?.deliver(sizeBytes).finish();
    await ready;
    assertPattern(reader.take() as Buffer, ends.origin.seed, 0);
    await settle();
    reader.release();
    await settle();
    assert.equal(ends.desk.reads, 0);
    assertPattern(reader.take() as Buffer, ends.origin.seed, MiB);
    reader.release();
    // Evicted again, the rest comes from the engine once more.
    ends.memory.clear();
    assert.equal(reader.take(), null);
    const again = reader.ready();
    await settle();
    assert.equal(ends.desk.reads, 1);
    ends.origin.reads[1]?.deliver(MiB + 5).finish();
    await again;
    const rest = await readAll(reader);
    assertPattern(rest, ends.origin.seed, 2 * MiB);
    assert.deepEqual([rest.length, reader.source], [MiB + 5, "origin"]);
    assert.equal(ends.bodies.stats.hits, 0);
    await settle();
    assert.equal(ends.desk.reads, 0);
  });

  test("release: a reader that goes on in another chunk stays with the engine, which reads ahead", async (context) => {
    const ends = new Ends(context);
    const sizeBytes = 2 * chunkSizeBytes;
    const version = ends.version(sizeBytes);
    const reader = ends.bodies.open(version, chunkSizeBytes - 2 * MiB, sizeBytes, askerOf("r"));
    assert.equal(reader.take(), null);
    const ready = reader.ready();
    await settle();
    ends.origin.reads[0]?.deliver(2 * MiB).finish();
    await ready;
    assertPattern(reader.take() as Buffer, ends.origin.seed, chunkSizeBytes - 2 * MiB);
    await settle();
    reader.release();
    await settle();
    assert.equal(ends.desk.reads, 1);
    reader.close();
    await settle();
    assert.equal(ends.desk.reads, 0);
  });

  test("release: a reader that leaves the engine between two chunks uses the next one, and that is counted", async (context) => {
    const ends = new Ends(context);
    const version = ends.version(chunkSizeBytes + MiB);
    const held = chunkOf(ends.budget, MiB, 6);
    ends.memory.put(version.memoryKey(1), held, false, version);
    held.release();
    await settle();
    const reader = ends.bodies.open(version, chunkSizeBytes - MiB, version.sizeBytes, askerOf("r"));
    assert.equal(reader.take(), null);
    const ready = reader.ready();
    await settle();
    ends.origin.reads[0]?.deliver(MiB).finish();
    await ready;
    assert.equal(reader.take()?.length, MiB);
    await settle();
    reader.release();
    await settle();
    assert.equal(ends.desk.reads, 0);
    assertPattern(await readAll(reader), 6, 0);
    assert.deepEqual(ends.bodies.stats, { hits: 1, sentBytes: MiB, peerBytes: 0 });
  });

  test("ready: an error of the engine is thrown with its code, and its read has ended", async (context) => {
    const ends = new Ends(context);
    const reader = ends.bodies.open(ends.version(5), 0, 5, askerOf("r"));
    const ready = reader.ready();
    await settle();
    ends.origin.reads[0]?.fail(new OrcaError("origin_etag_changed", "origin", "Cannot read: it has changed"));
    await assert.rejects(ready, { code: "origin_etag_changed" });
    reader.close();
    await settle();
    assert.equal(ends.desk.reads, 0);
    assert.equal(ends.budget.usedBytes, 0);
  });

  test("close: a client that leaves while the engine reads ends that read", async (context) => {
    const ends = new Ends(context);
    const reader = ends.bodies.open(ends.version(5), 0, 5, askerOf("r"));
    const ready = reader.ready();
    await settle();
    assert.equal(ends.desk.reads, 1);
    reader.close();
    await ready;
    await settle();
    assert.equal(ends.desk.reads, 0);
  });

  test("open: a thread that pins as many slabs as it may reads further ones by the engine", async (context) => {
    const ends = new Ends(context, 0);
    const version = ends.version(2 * MiB);
    ends.hold(version, 6);
    await settle();
    const readers = [0, MiB].map((start) =>
      ends.bodies.open(version, start, start + MiB, askerOf(`r${start}`)),
    );
    assert.equal(readers[0]?.take()?.length, MiB);
    assert.equal(readers[1]?.take(), null);
    await readers[1]?.ready();
    assertPattern(readers[1]?.take() as Buffer, 6, MiB);
    for (const reader of readers) reader.close();
    await ends.clock.advance(lateMsMax);
    assert.equal(ends.desk.reads, 0);
    ends.memory.clear();
    assert.equal(ends.budget.usedBytes, 0);
  });
});

/** A look-up of an object of 10 bytes, and its answer. */
async function lookedUp(ends: Ends, asker: Asker, read: ReadHeaders): Promise<ObjectVersion> {
  ends.heads.push(headOf("v1"));
  const found = await ends.lookups.lookup(location, asker, undefined, read);
  assert(found.kind === "found");
  return found.record.version;
}

suite("a read that the engine begins with its answer to a look-up", () => {
  test("its bytes need no question, and a slice that came before its reader is there at once", async (context) => {
    const ends = new Ends(context);
    const asker = askerOf("r");
    const version = await lookedUp(ends, asker, { range: "bytes=2-" });
    assert.equal(ends.desk.reads, 1);
    ends.origin.reads[0]?.deliver(10).finish();
    await settle();
    const reader = ends.bodies.open(version, 2, 10, asker);
    assert.equal(reader.isPlanned, true);
    assertPattern(reader.take() as Buffer, ends.origin.seed, 2);
    assert.deepEqual([reader.done, reader.source], [true, "origin"]);
    ends.bodies.dropBegun(asker);
    reader.release();
    reader.close();
    await settle();
    assert.equal(ends.desk.reads, 1, "the end of a whole read is not urgent");
    await ends.clock.advance(lateMsMax);
    assert.equal(ends.desk.reads, 0);
    ends.memory.clear();
    assert.equal(ends.budget.usedBytes, 0);
  });

  test("its reader waits for the first slice, and the end leaves with the next question", async (context) => {
    const ends = new Ends(context);
    const asker = askerOf("r");
    const reader = ends.bodies.open(await lookedUp(ends, asker, {}), 0, 10, asker);
    assert.equal(reader.take(), null);
    const ready = reader.ready();
    ends.origin.reads[0]?.deliver(10).finish();
    await ready;
    assertPattern(await readAll(reader), ends.origin.seed, 0);
    assert.equal(ends.desk.reads, 1);
    ends.heads.push(headOf("v1"));
    await ends.lookups.lookup({ bucket: "b", key: "other" });
    assert.equal(ends.desk.reads, 0);
    assert.deepEqual(ends.toEngine, [["ask"], ["close", "ask"]]);
    assert.deepEqual(ends.toThread, [["answer"], ["slab", "slice"], ["answer"]]);
  });

  test("a fault of it is the reader's, before and after that has begun", async (context) => {
    for (const isLate of [false, true]) {
      const ends = new Ends(context);
      const asker = askerOf("r");
      const version = await lookedUp(ends, asker, {});
      const fault = new OrcaError("origin_etag_changed", "origin", "Cannot read: it has changed");
      if (!isLate) ends.origin.reads[0]?.fail(fault);
      await settle();
      const reader = ends.bodies.open(version, 0, 10, asker);
      assert.equal(reader.take(), null);
      if (isLate) ends.origin.reads[0]?.fail(fault);
      await assert.rejects(reader.ready(), { code: "origin_etag_changed" });
      reader.close();
      assert.equal(ends.desk.reads, 0);
    }
  });

  test("dropBegun: a request that reads nothing, or other bytes, ends it at once", async (context) => {
    const ends = new Ends(context);
    const asker = askerOf("r");
    const version = await lookedUp(ends, asker, {});
    assert.equal(ends.bodies.open(version, 1, 10, asker).isPlanned, false);
    assert.equal(ends.desk.reads, 1);
    ends.bodies.dropBegun(asker);
    await settle();
    assert.equal(ends.desk.reads, 0);
    assert.equal(ends.bodies.open(version, 0, 10, asker).isPlanned, false);
  });

  test("there is none where the thread ends before the answer", async (context) => {
    const ends = new Ends(context);
    const { promise, resolve } = Promise.withResolvers<ObjectHead>();
    ends.heads.push(promise);
    void ends.lookups.lookup(location, askerOf("r"), undefined, {});
    await settle();
    ends.desk.close();
    resolve(headOf("v1"));
    await settle();
    assert.deepEqual([ends.desk.reads, ends.origin.reads.length], [0, 0]);
  });

  test("there is none where a condition fails, no byte is wanted, or memory holds the first one", async (context) => {
    const ends = new Ends(context);
    const tag = '"v1"';
    const none = [
      { "if-match": '"v2"' },
      { "if-none-match": tag },
      { range: "bytes=10-" },
      { range: "bytes=-" },
      { "if-unmodified-since": "Thu, 01 Jan 1969 00:00:00 GMT", "if-range": tag },
    ];
    for (const read of none) {
      await ends.clock.advance(10_000);
      await lookedUp(ends, askerOf("r"), read);
      assert.deepEqual([ends.desk.reads, ends.origin.reads.length], [0, 0], JSON.stringify(read));
    }
    ends.hold(ends.version(10), 3);
    await ends.clock.advance(10_000);
    assertPattern(
      await readAll(ends.bodies.open(await lookedUp(ends, askerOf("r"), {}), 0, 10, askerOf("r"))),
      3,
      0,
    );
    assert.deepEqual([ends.desk.reads, ends.origin.reads.length], [0, 0]);
  });
});

suite("AskedOrigin", () => {
  test("each question is answered by its part of the engine, and an error keeps its code", async (context) => {
    const { asked } = new Ends(context);
    const part = { ...location, etag: "v1", objectSizeBytes: 10, partNumber: 9 };
    assert.deepEqual(await asked.find(part), { kind: "absent", count: 3 });
    const right = { ...location, as: undefined, action: "get", delimiter: "" } as const;
    assert.deepEqual(await asked.rightOf(right, "everybody k"), { right: "denied", freshMs: 10_000 });
    const page = {
      bucket: "b",
      prefix: "",
      delimiter: "",
      maxKeys: 10,
      startAfter: "",
      continuationToken: "",
    };
    await assert.rejects(asked.list(page), { code: "origin_denied", message: "Cannot list: denied" });
  });
});
