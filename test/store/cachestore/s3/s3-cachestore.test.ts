import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { afterEach, suite, test } from "node:test";
import { OrcaError } from "../../../../src/base/orca-error.ts";
import { MiB } from "../../../../src/base/units.ts";
import type { S3Cachestore, S3CachestoreOptions } from "../../../../src/store/cachestore/s3/s3-cachestore.ts";
import type { ChunkKey } from "../../../../src/store/chunk-store.ts";
import { FakeClock, settle } from "../../../support/fake-clock.ts";
import { MemorySink } from "../../../support/memory-sink.ts";
import { assertPattern, patternBytes } from "../../../support/pattern.ts";
import { rejectsWith } from "../../../support/rejects-with.ts";
import { Gate } from "../../../support/s3-fault.ts";
import { S3Server, type S3ServerOptions } from "../../../support/s3-server.ts";
import { keyOf, seedOf } from "../../disk/disk-fixture.ts";
import { S3CachestoreFixture } from "./s3-cachestore-fixture.ts";

const credentials = { accessKey: "orcatest", secretKey: "orcatestsecret" };
const never = new AbortController().signal;
/** The last chunk of an object: two whole blocks and a shorter one. */
const key = keyOf("key", 10 * MiB + 777, 1);
const lengthBytes = 2 * MiB + 777;
const path = key.version.chunkPath(1);
const bytes = patternBytes(seedOf(key), 0, lengthBytes);

interface Opened {
  readonly server: S3Server;
  readonly fixture: S3CachestoreFixture;
  readonly clock: FakeClock;
}

/** Reads a range into a sink that checks its use, and checks the bytes that have arrived. */
async function read(
  store: S3Cachestore,
  offset = 0,
  rangeBytes = lengthBytes,
  signal = never,
  of: ChunkKey = key,
): Promise<{ readonly outcome: "hit" | "miss" | OrcaError; readonly receivedBytes: number }> {
  const sink = new MemorySink(rangeBytes);
  const outcome = await store.read(of, offset, rangeBytes, sink, signal).catch((thrown: unknown) => {
    if (thrown instanceof OrcaError) return thrown;
    throw thrown;
  });
  sink.settle();
  sink.assertUntouched();
  assertPattern(sink.received, seedOf(of), offset);
  if (outcome === "hit") assert.equal(sink.receivedBytes, rangeBytes);
  return { outcome, receivedBytes: sink.receivedBytes };
}

async function outcomeOf(store: S3Cachestore): Promise<string> {
  const { outcome } = await read(store);
  return outcome instanceof OrcaError ? outcome.code : outcome;
}

suite("S3Cachestore", () => {
  const opened: { close(): Promise<unknown> }[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0).toReversed()) await each.close();
  });

  async function open(options: Partial<S3ServerOptions> = {}): Promise<Opened> {
    const clock = new FakeClock();
    const server = await S3Server.start({ credentials, clock, ...options });
    opened.push({ close: () => server.stop() });
    const fixture = await S3CachestoreFixture.open(
      { endpoint: server.endpoint, ...credentials },
      "chunks",
      clock,
    );
    opened.push(fixture);
    return { server, fixture, clock };
  }

  /** A store that holds the chunk. */
  async function filled(
    overrides: Partial<S3CachestoreOptions> = {},
  ): Promise<Opened & { readonly store: S3Cachestore }> {
    const each = await open();
    const store = await each.fixture.store(overrides);
    assert.equal(await each.fixture.put(store, key), "stored");
    each.server.forgetRequests();
    return { ...each, store };
  }

  suite("put", () => {
    test("the object at the frozen path contains exactly the bytes, and the metadata their SHA-256", async () => {
      const { fixture } = await filled();
      assert.equal(path, `origin-a/${key.version.hash}/1`);
      const found = await fixture.look(key);
      assert.ok(found?.body.equals(bytes));
      assert.equal(found?.metadata["orca-sha256"], createHash("sha256").update(bytes).digest("hex"));
    });

    test("conditional: a put is one request; a second put is one more and a look", async () => {
      const { server, fixture, store } = await filled();
      assert.equal(store.putPolicy, "conditional");
      assert.equal(await fixture.put(store, key), "present");
      assert.deepEqual(
        server.requests.map(({ operation, ifNoneMatch, status }) => [operation, ifNoneMatch, status]),
        [
          ["PUT", "*", 412],
          ["HEAD", undefined, 200],
        ],
      );
    });

    test("stat: a look, then a put; a second put is a look", async () => {
      const { server, fixture } = await open({ conditionalPuts: "ignored" });
      const store = await fixture.store();
      assert.equal(store.putPolicy, "stat");
      server.forgetRequests();
      assert.equal(await fixture.put(store, key), "stored");
      assert.equal(await fixture.put(store, key), "present");
      assert.deepEqual(
        server.requests.map(({ operation, ifNoneMatch, status }) => [operation, ifNoneMatch, status]),
        [
          ["HEAD", undefined, 404],
          ["PUT", undefined, 200],
          ["HEAD", undefined, 200],
        ],
      );
      assert.equal(await outcomeOf(store), "hit");
    });

    test("conditional: of two stores that race, one wins", async () => {
      const { server, fixture } = await open();
      const stores = [await fixture.store(), await fixture.store()];
      server.forgetRequests();
      for (let index = 0; index < 8; index += 1) {
        const each = keyOf("race", 8 * MiB, index, MiB);
        const results = await Promise.all(stores.map((store) => fixture.put(store, each)));
        assert.deepEqual(results.sort(), ["present", "stored"]);
      }
      assert.equal(server.count("PUT"), 16);
      assert.equal(
        server.requests.filter(({ operation, status }) => operation === "PUT" && status === 200).length,
        8,
      );
    });

    test("conditional: 409 is a lost race, too; if there is no object then, the chunk is put again", async () => {
      const { server, fixture } = await open();
      const store = await fixture.store();
      server.forgetRequests();
      server.faults.next("PUT", path, { status: 409 });
      assert.equal(await fixture.put(store, key), "stored");
      server.faults.next("PUT", keyOf("other", 10).version.chunkPath(0), { status: 409 }, { status: 409 });
      assert.equal(await fixture.put(store, keyOf("other", 10)), "stored");
      assert.deepEqual([server.count("PUT"), server.count("HEAD")], [5, 3]);
      assert.equal(store.stats.racesLost, 3);
    });

    for (const conditionalPuts of ["honoured", "ignored"] as const) {
      test(`conditions ${conditionalPuts}: an object of the wrong size is a miss, and overwritten`, async () => {
        const { fixture } = await open({ conditionalPuts });
        const store = await fixture.store();
        for (const wrong of [bytes.subarray(1), Buffer.concat([bytes, bytes]), Buffer.alloc(0)]) {
          await fixture.lay(key, wrong);
          assert.equal(await outcomeOf(store), "miss");
          assert.equal(await fixture.put(store, key), "stored");
          assert.equal(await outcomeOf(store), "hit");
        }
        assert.equal(store.stats.missized, 3);
        assert.equal(store.stats.overwritten, conditionalPuts === "honoured" ? 3 : 0);
      });
    }

    for (const conditionalPuts of ["honoured", "ignored"] as const) {
      test(`conditions ${conditionalPuts}: an inner chunk of an object of another size is a miss, and overwritten`, async () => {
        const { fixture } = await open({ conditionalPuts });
        const store = await fixture.store();
        const small = keyOf("key", 20 * MiB);
        const large = keyOf("key", 28 * MiB);
        assert.equal(small.version.chunkPath(0), large.version.chunkPath(0));
        assert.equal(await fixture.put(store, small), "stored");
        assert.equal((await read(store, 0, MiB, never, small)).outcome, "hit");
        assert.equal((await read(store, 0, MiB, never, large)).outcome, "miss");
        assert.equal(await fixture.put(store, large), "stored");
        assert.equal(await fixture.put(store, large), "present");
        assert.equal((await read(store, 0, MiB, never, large)).outcome, "hit");
        assert.equal((await fixture.look(large))?.metadata["orca-object-size"], String(28 * MiB));
      });
    }

    test("an object that another writer put without an object size is believed by its length", async () => {
      const { fixture } = await open();
      const store = await fixture.store();
      await fixture.lay(key, bytes);
      assert.equal(await outcomeOf(store), "hit");
      assert.equal(await fixture.put(store, key), "present");
    });

    test("a full store is overloaded, by status or by code, and one warning is logged", async () => {
      const { server, fixture } = await open();
      const store = await fixture.store();
      server.faults.next("PUT", "*", { status: 507 }, { status: 403, code: "QuotaExceeded" });
      await rejectsWith("overloaded", fixture.put(store, key));
      await rejectsWith("overloaded", fixture.put(store, key));
      assert.equal(store.stats.full, 2);
      assert.equal(fixture.logger.count("warn"), 1);
      assert.equal(await fixture.put(store, key), "stored");
    });

    test("errors of the store are typed by their status", async () => {
      const { server, fixture } = await open();
      const store = await fixture.store();
      const expected = {
        403: "store_denied",
        401: "store_denied",
        404: "store_unavailable",
        500: "store_unavailable",
      };
      for (const [status, code] of Object.entries({ ...expected, 501: "store_unavailable" } as const)) {
        server.faults.next("PUT", "*", { status: Number(status) });
        await rejectsWith(code as "store_denied", fixture.put(store, key));
      }
      // The first request uses a kept connection, and is sent again on a new one.
      server.faults.next("PUT", "*", { reset: true }, { reset: true });
      await rejectsWith("store_unavailable", fixture.put(store, key));
      assert.equal(fixture.budget.usedBytes, 0);
    });

    test("a store that hangs is store_unavailable after attemptTimeoutMs, and the chunk is released", async () => {
      const { server, fixture, clock } = await open();
      const store = await fixture.store({ attemptTimeoutMs: 500 });
      const gate = server.hold("PUT", path);
      const failed = rejectsWith("store_unavailable", fixture.put(store, key));
      await gate.reached;
      while (store.putsInFlight === 1 && clock.pendingTimers > 0) {
        await clock.advance(500);
      }
      await failed;
      assert.equal(fixture.budget.usedBytes, 0);
      gate.release();
    });

    test("dropQueued: waiting puts are overloaded, the running one is not", async () => {
      const { server, fixture } = await open();
      const store = await fixture.store({ putsInFlightMax: 1 });
      const gate = server.hold("PUT", path);
      const running = fixture.put(store, key);
      await gate.reached;
      const waiting = rejectsWith("overloaded", fixture.put(store, keyOf("later", MiB)));
      assert.deepEqual([store.putsInFlight, store.putsWaiting], [1, 1]);
      assert.equal(store.pendingBytes, lengthBytes + MiB);
      store.dropQueued(1);
      await waiting;
      gate.release();
      assert.equal(await running, "stored");
      assert.equal(store.pendingBytes, 0);
    });
  });

  suite("read", () => {
    test("a read is one ranged GET of the blocks around the range", async () => {
      const { server, store } = await filled();
      const ranges = [
        [0, lengthBytes, `bytes=0-${lengthBytes - 1}`],
        [MiB, MiB, `bytes=${MiB}-${2 * MiB - 1}`],
        [2 * MiB, 777, `bytes=${2 * MiB}-${lengthBytes - 1}`],
        [MiB + 5, 10, `bytes=${MiB}-${2 * MiB - 1}`],
        [MiB - 1, 2, `bytes=0-${2 * MiB - 1}`],
        [2 * MiB + 776, 1, `bytes=${2 * MiB}-${lengthBytes - 1}`],
      ] as const;
      for (const [offset, rangeBytes] of ranges) {
        assert.equal((await read(store, offset, rangeBytes)).outcome, "hit");
      }
      assert.deepEqual(
        server.requests.map(({ range }) => range),
        ranges.map(([, , range]) => range),
      );
      assert.equal(server.connections, 0);
      assert.equal(store.stats.hits, 6);
      assert.equal(store.stats.unchecked, 0);
    });

    test("an absent chunk is a miss", async () => {
      const { store } = await filled();
      const stranger = keyOf("stranger", 1000);
      assert.deepEqual(await read(store, 0, 1000, never, stranger), { outcome: "miss", receivedBytes: 0 });
      assert.equal(store.stats.misses, 1);
    });

    test("an object of another writer is read unchecked, and counted", async () => {
      const { fixture, store } = await filled();
      await fixture.lay(key, bytes);
      assert.equal((await read(store, MiB + 3, MiB)).outcome, "hit");
      assert.equal(store.stats.unchecked, 1);
      assert.equal(await fixture.put(store, key), "present");
    });

    test("a flipped bit is a miss after the last right block, and the object is deleted", async () => {
      const { fixture, store } = await filled();
      const metadata = (await fixture.look(key))?.metadata ?? {};
      const flipped = Buffer.from(bytes);
      flipped[MiB + 4711] = (flipped[MiB + 4711] as number) ^ 0x10;
      await fixture.lay(key, flipped, metadata);
      assert.deepEqual(await read(store), { outcome: "miss", receivedBytes: MiB });
      assert.equal(store.stats.damaged, 1);
      assert.equal(await fixture.put(store, key), "stored");
      assert.equal(store.stats.deleted, 1);
      assert.equal(await outcomeOf(store), "hit");
      assert.equal(fixture.logger.count("warn"), 1);
    });

    test("malformed checksums are damage, before a byte is read", async () => {
      const { fixture, store } = await filled();
      await fixture.lay(key, bytes, { "orca-crc32": "AAAA" });
      assert.deepEqual(await read(store), { outcome: "miss", receivedBytes: 0 });
      await store.close(60_000);
      assert.equal(await fixture.look(key), undefined);
    });

    test("readers do not wait for the deletion of a damaged object; a put of the chunk does, and so does close", async () => {
      const { server, fixture, store } = await filled();
      const damage = () => fixture.lay(key, bytes, { "orca-crc32": "AAAA" });
      await damage();
      const gate = new Gate();
      server.faults.next("DELETE", path, { gate });
      assert.equal(await outcomeOf(store), "miss");
      assert.equal(await outcomeOf(store), "miss");
      await gate.reached;
      const put = fixture.put(store, key);
      gate.release();
      assert.equal(await put, "stored");
      assert.deepEqual([store.stats.damaged, server.count("DELETE"), store.stats.deleted], [2, 1, 1]);
      assert.equal(await outcomeOf(store), "hit");
      await damage();
      assert.equal(await outcomeOf(store), "miss");
      await store.close(60_000);
      assert.equal(store.stats.deleted, 2);
      assert.equal(await fixture.look(key), undefined);
    });

    test("a damaged object that cannot be deleted is counted, and the read is a miss", async () => {
      const { server, fixture, store } = await filled();
      await fixture.lay(key, bytes, { "orca-crc32": "AAAA" });
      server.faults.next("DELETE", path, { status: 403 });
      assert.equal(await outcomeOf(store), "miss");
      await store.close(60_000);
      assert.deepEqual([store.stats.deleted, store.stats.removalsFailed], [0, 1]);
    });

    test("close does not wait beyond its deadline for a deletion", async () => {
      const { server, fixture, store, clock } = await filled();
      await fixture.lay(key, bytes, { "orca-crc32": "AAAA" });
      const gate = new Gate();
      server.faults.next("DELETE", path, { gate });
      assert.equal(await outcomeOf(store), "miss");
      await gate.reached;
      const closed = store.close(1000);
      await clock.advance(1000);
      await closed;
      assert.equal(store.stats.removalsFailed, 1);
      gate.release();
    });

    test("errors of the store are typed by their status", async () => {
      const { server, store } = await filled();
      for (const [status, code] of [
        [403, "store_denied"],
        [500, "store_unavailable"],
        [503, "store_unavailable"],
        [301, "store_unavailable"],
      ] as const) {
        server.faults.next("GET", path, { status });
        assert.equal(await outcomeOf(store), code);
      }
      server.faults.next("GET", path, { garbageHead: true });
      assert.equal(await outcomeOf(store), "store_unavailable");
      assert.equal(await outcomeOf(store), "hit");
    });

    test("a body that breaks off is store_unavailable, and the sink holds the whole blocks before", async () => {
      const { server, store } = await filled();
      server.faults.next("GET", path, { cutAfterBytes: MiB + 300_000 });
      const { outcome, receivedBytes } = await read(store);
      assert.ok(outcome instanceof OrcaError && outcome.code === "store_unavailable");
      assert.equal(outcome.source, "cachestore");
      assert.equal(receivedBytes, MiB);
    });

    test("a store that ignores the range, or sends another one, delivers no byte", async () => {
      const { server, store } = await filled();
      server.faults.next(
        "GET",
        path,
        { ignoreRange: true },
        { headers: { "content-range": `bytes 0-9/${lengthBytes}` } },
      );
      for (let round = 0; round < 2; round += 1) {
        const { outcome, receivedBytes } = await read(store, MiB, MiB);
        assert.ok(outcome instanceof OrcaError && outcome.code === "store_unavailable");
        assert.equal(receivedBytes, 0);
      }
      server.faults.next("GET", path, { ignoreRange: true });
      assert.equal(await outcomeOf(store), "hit");
    });

    test("a store that hangs, before its head or in a block, is store_unavailable in time", async () => {
      const { server, store, clock } = await filled({ attemptTimeoutMs: 500, stallTimeoutMs: 300 });
      for (const [afterBytes, delayMs, reason] of [
        [undefined, 500, /no response head within 500 ms/],
        [MiB + 5, 300, /within 300 ms/],
      ] as const) {
        const gate = server.hold("GET", path, afterBytes);
        const reading = read(store);
        await gate.reached;
        for (let turn = 0; turn < 20; turn += 1) await settle();
        await clock.advance(delayMs);
        const { outcome } = await reading;
        assert.ok(outcome instanceof OrcaError && outcome.code === "store_unavailable");
        assert.match(outcome.message, reason);
        gate.release();
      }
      assert.equal(store.readsInFlight, 0);
    });

    test("a slow store is store_unavailable when a block takes longer than stallTimeoutMs", async () => {
      const { server, store, clock } = await filled({ stallTimeoutMs: 10_000 });
      server.faults.next("GET", path, { bytesPerSecond: 50_000 });
      const reading = read(store);
      while (store.readsInFlight > 0) await clock.advance(10);
      const { outcome, receivedBytes } = await reading;
      assert.ok(outcome instanceof OrcaError && outcome.code === "store_unavailable");
      assert.match(outcome.message, /no whole block within 10000 ms/);
      assert.equal(receivedBytes, 0);
    });

    test("an abort ends it with the signal's reason, and its permit is free again", async () => {
      const { server, store } = await filled({ readsInFlightMax: 1 });
      const gate = server.hold("GET", path, MiB);
      const abort = new AbortController();
      const reason = new Error("the reader has left");
      const aborted = assert.rejects(read(store, 0, lengthBytes, abort.signal), reason);
      await gate.reached;
      abort.abort(reason);
      await aborted;
      gate.release();
      assert.equal(await outcomeOf(store), "hit");
    });

    test("at most readsInFlightMax reads run at once; one that waits too long is overloaded", async () => {
      const { server, store, clock } = await filled({ readsInFlightMax: 2, queueTimeoutMs: 100 });
      const gate = server.hold("GET", path);
      const other = server.hold("GET", path);
      const reads = [outcomeOf(store), outcomeOf(store)];
      await Promise.all([gate.reached, other.reached]);
      const third = outcomeOf(store);
      await clock.advance(100);
      assert.equal(await third, "overloaded");
      for (const each of [gate, other]) each.release();
      assert.deepEqual(await Promise.all(reads), ["hit", "hit"]);
      assert.equal(server.inFlightMax, 2);
    });

    test("kept connections that the store has closed cost no error", async () => {
      const { server, store } = await filled();
      assert.equal(await outcomeOf(store), "hit");
      server.cutConnections();
      assert.equal(await outcomeOf(store), "hit");
    });
  });

  suite("delete", () => {
    test("deletes the object; if there is none, nothing happens; an error is typed", async () => {
      const { server, fixture, store } = await filled();
      await store.delete(key);
      assert.equal(await fixture.look(key), undefined);
      await store.delete(key);
      server.faults.next("DELETE", path, { status: 403 });
      await rejectsWith("store_denied", store.delete(key));
    });
  });

  suite("close", () => {
    test("waits for accepted puts, and accepts no more", async () => {
      const { server, fixture } = await open();
      const store = await fixture.store({ putsInFlightMax: 1 });
      const gate = server.hold("PUT", path);
      const puts = [fixture.put(store, key), fixture.put(store, keyOf("later", MiB))];
      await gate.reached;
      const closing = store.close(1000);
      await rejectsWith("overloaded", fixture.put(store, keyOf("too late", MiB)));
      gate.release();
      assert.deepEqual(await Promise.all(puts), ["stored", "stored"]);
      await closing;
    });

    test("at the deadline, running and waiting puts are overloaded, and so are reads", async () => {
      const { server, fixture, clock } = await open();
      const store = await fixture.store({ putsInFlightMax: 1 });
      const gate = server.hold("PUT", path);
      const failed = [fixture.put(store, key), fixture.put(store, keyOf("later", MiB))].map((put) =>
        rejectsWith("overloaded", put),
      );
      await gate.reached;
      const closing = store.close(1000);
      await clock.advance(1000);
      await Promise.all(failed);
      await closing;
      assert.equal(await outcomeOf(store), "overloaded");
      assert.equal(fixture.budget.usedBytes, 0);
    });
  });
});
