/**
 * The read path under a random schedule that its seed repeats exactly: readers come, dawdle and leave, the origin lets
 * bytes through in any order and breaks off, chunks are evicted and lost, commits are slow or refused, and others take
 * memory away. Memory that goes back to the pool is overwritten, so a byte read after its release is a wrong byte.
 *
 * Time stands still unless a schedule moves it. In a calm schedule nothing can time out, so a wake-up that is lost or
 * two that wait for each other leave a reader that never ends.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Reservation } from "../../src/base/memory-budget.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import type { ObjectVersion } from "../../src/chunk/object-version.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import { fillFixture } from "../support/fill-fixture.ts";
import { assertPattern } from "../support/pattern.ts";
import type { ScriptedRead } from "../support/scripted-origin.ts";

interface SimulationOptions {
  readonly seed: number;
  readonly disk: boolean;
  /** Whether what can go wrong does: the origin fails, the disk refuses and loses, time passes. */
  readonly stormy: boolean;
}

/** A client: it takes a slice, keeps it for as long as it likes, and gives it back. */
interface Client {
  readonly reader: ObjectReader;
  readonly seed: number;
  offset: number;
  slice: Buffer | undefined;
  waits: boolean;
  error: unknown;
}

const chunkSizeBytes = 2 * MiB + 100 * KiB;
const objectSizesBytes = [1, 5 * KiB, 900 * KiB, 2 * MiB, chunkSizeBytes, 5 * MiB + 17, 7 * MiB];
const clientsMax = 10;
const stepsPerSimulation = 250;

class Simulation {
  readonly #random: SeededRandom;
  readonly #stormy: boolean;
  readonly #parts: ReturnType<typeof fillFixture>;
  readonly #versions: ObjectVersion[];
  readonly #clients = new Set<Client>();
  readonly #running = new Set<ScriptedRead>();
  #seenReads = 0;
  #pressure: Reservation | undefined;
  #openCommits = (): void => {};

  constructor({ seed, disk, stormy }: SimulationOptions) {
    this.#random = new SeededRandom(seed);
    this.#stormy = stormy;
    this.#parts = fillFixture({ disk, maxBytes: 12 * MiB, chunkSizeBytes, readAheadMax: this.#below(3) });
    this.#parts.origin.seedOf = (request) => Number(request.key);
    this.#versions = objectSizesBytes.map((sizeBytes, index) => this.#parts.version(`${index}`, sizeBytes));
  }

  /** @returns the reads the origin was asked for. @throws AssertionError on a wrong byte, a leak or a hang. */
  async run(): Promise<readonly ScriptedRead[]> {
    const { budget } = this.#parts;
    for (let step = 0; step < stepsPerSimulation; step += 1) {
      await this.#step();
      await this.#turn();
      assert.ok(budget.usedBytes <= budget.maxBytes);
    }
    await this.#finish();
    return this.#parts.origin.reads;
  }

  async #step(): Promise<void> {
    const dice = this.#below(100);
    if (dice < 15) this.#enter();
    else if (dice < 55) this.#pull(this.#oneOf([...this.#clients]));
    else if (dice < 60) this.#leave(this.#oneOf([...this.#clients]));
    else if (dice < 85) this.#letThrough(this.#oneOf([...this.#running]), 1 + this.#below(MiB + MiB / 2));
    else if (dice < 88) this.#evict();
    else if (dice < 92) this.#press();
    else if (dice < 95) this.#holdCommits();
    else if (this.#stormy) await this.#strike();
  }

  #enter(): void {
    if (this.#clients.size >= clientsMax) return;
    const seed = this.#below(this.#versions.length);
    const version = this.#versions[seed] as ObjectVersion;
    const start = this.#below(version.sizeBytes);
    const longest = this.#below(2) === 0 ? version.sizeBytes : 64 * KiB;
    const end = start + 1 + this.#below(Math.min(longest, version.sizeBytes - start));
    const reader = new ObjectReader(this.#parts.path, version, start, end);
    this.#clients.add({ reader, seed, offset: start, slice: undefined, waits: false, error: undefined });
  }

  #pull(client: Client | undefined): void {
    if (!client || client.waits) return;
    const { reader } = client;
    if (client.slice) {
      // Checked when it is given back and not when it is taken: until then nobody may have touched it.
      assertPattern(client.slice, client.seed, client.offset);
      client.offset += client.slice.length;
      client.slice = undefined;
      reader.release();
      if (reader.done) this.#leave(client);
      return;
    }
    void this.#take(client);
  }

  async #take(client: Client): Promise<void> {
    client.waits = true;
    try {
      while (this.#clients.has(client)) {
        client.slice = client.reader.take() ?? undefined;
        if (client.slice) break;
        await client.reader.ready();
      }
    } catch (thrown) {
      client.error = thrown;
      this.#leave(client);
    }
    client.waits = false;
  }

  #leave(client: Client | undefined): void {
    if (!client || !this.#clients.delete(client)) return;
    if (client.slice) assertPattern(client.slice, client.seed, client.offset);
    client.reader.close();
    if (client.error === undefined) return;
    const code = client.error instanceof OrcaError ? client.error.code : "thrown";
    const isExpected = this.#stormy && (code === "origin_unavailable" || code === "overloaded");
    if (!isExpected) throw client.error;
  }

  #letThrough(read: ScriptedRead | undefined, lengthBytes: number): void {
    if (!read) return;
    // The other part of its flight has failed, and the flight has ended this one.
    if (read.signal.aborted) return void this.#running.delete(read);
    read.deliver(Math.min(lengthBytes, read.owedBytes));
    if (read.owedBytes > 0) return;
    this.#running.delete(read);
    read.finish();
  }

  #evict(): void {
    const version = this.#oneOf(this.#versions) as ObjectVersion;
    this.#parts.memory.delete(version.memoryKey(this.#below(version.chunkCount)));
  }

  /** Somebody else takes memory, and gives it back the next time. */
  #press(): void {
    this.#pressure?.release();
    this.#pressure = this.#pressure ? undefined : this.#parts.budget.tryReserve(this.#below(6 * MiB));
  }

  #holdCommits(): void {
    const { disk } = this.#parts;
    this.#openCommits();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#openCommits = resolve;
    if (disk) disk.commitGate = this.#below(2) === 0 ? promise : Promise.resolve();
  }

  async #strike(): Promise<void> {
    const { clock, disk } = this.#parts;
    const read = this.#oneOf([...this.#running]);
    const dice = this.#below(4);
    if (dice === 0 && read) {
      this.#running.delete(read);
      read.fail(new OrcaError("origin_unavailable", "origin", "Cannot read: the origin broke off"));
    } else if (dice === 1) {
      await clock.advance(this.#below(4000));
    } else if (disk && dice === 2) {
      disk.refuses = !disk.refuses;
    } else if (disk && dice === 3) {
      const version = this.#oneOf(this.#versions) as ObjectVersion;
      // Half of the time the disk does not know yet what it lost.
      disk.believes = this.#oneOf(["held", undefined]);
      disk.chunks.delete(version.chunkPath(this.#below(version.chunkCount)));
    }
  }

  /** Everybody who is still here is served to the end; then nothing may be left but what is cached. */
  async #finish(): Promise<void> {
    const { budget, clock, disk, filler, memory, path } = this.#parts;
    this.#pressure?.release();
    this.#openCommits();
    if (disk) disk.commitGate = Promise.resolve();
    for (let round = 0; this.#clients.size > 0 || filler.flightsInProgress > 0; round += 1) {
      assert.ok(
        round < 2000,
        `${this.#clients.size} readers and ${filler.flightsInProgress} flights go on for ever`,
      );
      for (const client of this.#clients) this.#pull(client);
      for (const read of this.#running) this.#letThrough(read, read.owedBytes);
      await this.#turn();
    }
    assert.deepEqual([budget.waiting, budget.reservedBytes, clock.pendingTimers], [0, 0, 0]);
    assert.ok(budget.usedBytes >= memory.bytes);
    memory.clear();
    assert.equal(budget.usedBytes, 0);
    await this.#checkTiers(path);
  }

  /** What the tiers kept is right too: every object is read once more from where it lies now. */
  async #checkTiers(path: ReturnType<typeof fillFixture>["path"]): Promise<void> {
    if (!path.disk) return;
    this.#parts.origin.auto = true;
    for (const [seed, version] of this.#versions.entries()) {
      const reader = new ObjectReader(path, version, 0, version.sizeBytes);
      for (let offset = 0; !reader.done; ) {
        const slice = reader.take();
        if (slice) assertPattern(slice, seed, offset);
        offset += slice?.length ?? 0;
        reader.release();
        if (!slice) await reader.ready();
      }
      reader.close();
    }
    await this.#turn();
  }

  /** Lets what is ready run, and takes up the reads that the origin was asked for meanwhile. */
  async #turn(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    const { reads, auto } = this.#parts.origin;
    for (; this.#seenReads < reads.length; this.#seenReads += 1) {
      if (!auto) this.#running.add(reads[this.#seenReads] as ScriptedRead);
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }

  #oneOf<Item>(items: readonly Item[]): Item | undefined {
    return items[this.#below(items.length)];
  }
}

/** Bytes that were brought more than once. */
function bytesBroughtAgain(reads: readonly ScriptedRead[]): number {
  const ends = new Map<string, [from: number, to: number][]>();
  let again = 0;
  for (const { request, deliveredBytes } of reads) {
    const to = request.offset + deliveredBytes;
    const brought = ends.get(request.key) ?? [];
    for (const earlier of brought) {
      again += Math.max(0, Math.min(to, earlier[1]) - Math.max(request.offset, earlier[0]));
    }
    brought.push([request.offset, to]);
    ends.set(request.key, brought);
  }
  return again;
}

const seeds = Array.from({ length: 12 }, (_, index) => index + 1);

test("the read path, memory and disk, nothing goes wrong: right bytes, no leak, no hang, each byte fetched once", async () => {
  for (const seed of seeds) {
    const reads = await new Simulation({ seed, disk: true, stormy: false }).run();
    assert.equal(bytesBroughtAgain(reads), 0, `seed ${seed}`);
  }
});

test("the read path, memory alone, nothing goes wrong: right bytes, no leak, no hang", async () => {
  for (const seed of seeds) await new Simulation({ seed, disk: false, stormy: false }).run();
});

test("the read path, memory and disk, anything goes wrong: right bytes, no leak, no hang", async () => {
  for (const seed of seeds) await new Simulation({ seed, disk: true, stormy: true }).run();
});

test("the read path, memory alone, anything goes wrong: right bytes, no leak, no hang", async () => {
  for (const seed of seeds) await new Simulation({ seed, disk: false, stormy: true }).run();
});
