/**
 * A client of a simulated cluster, with the edge's manners: it looks an object up, reads all or a part of it, and where
 * the object turns out to be another one before the first byte, it looks once more. It may dawdle over a slice, and it
 * may leave at any moment. What it was given is compared with what it was promised when it gives a slice back, and not
 * when it takes it: until then nobody may have written there.
 */
import assert from "node:assert/strict";
import { type Clock, sleep } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { KiB } from "../../src/base/units.ts";
import { firstBytesOf } from "../../src/edge/headers/first-bytes.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import type { ObjectRecord } from "../../src/object/object-record.ts";
import type { FirstBytes } from "../../src/origin/origin.ts";
import type { Chance } from "../support/chance.ts";
import type { ClusterChecks } from "./cluster-checks.ts";
import { bucket, type SimulatedOrigin } from "./simulated-origin.ts";
import type { SimulatedReplica } from "./simulated-replica.ts";
import type { Trace } from "./trace.ts";

/** `all`: the whole object at once, and stays to its end. `nothing`: it looks the object up, as a HEAD does. */
export type Reads = "all" | "something" | "nothing";

export interface SimulatedClientOptions {
  readonly name: string;
  readonly key: string;
  readonly replica: SimulatedReplica;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly trace: Trace;
  readonly checks: ClusterChecks;
  readonly reads: Reads;
  readonly origin: SimulatedOrigin;
}

export class SimulatedClient {
  readonly replica: SimulatedReplica;
  readonly #options: SimulatedClientOptions;
  readonly #dawdleMs: number;
  /** The first range; undefined for the whole object. */
  readonly #wanted: readonly [start: number, end: number] | undefined;
  #reader: ObjectReader | undefined;
  #left = false;

  constructor(options: SimulatedClientOptions) {
    const { replica, chance, clock, reads } = options;
    this.#options = options;
    this.replica = replica;
    const isPatient = reads !== "something";
    // A range is chosen by what the client has heard of the object, which may have changed.
    const { current } = options.origin.object(options.key);
    const heardBytes = (current?.sizeBytes ?? 1000) * (chance.happens(0.05) ? 4 : 1);
    this.#wanted = reads === "all" || chance.happens(0.4) ? undefined : rangeOf(heardBytes, chance);
    this.#dawdleMs = isPatient ? 0 : chance.oneOf([0, 0, 0, 5, 100, 800]);
    if (isPatient || !chance.happens(0.25)) return;
    // Some leave before the first byte, some before the object has been looked up.
    clock.timer(chance.between(1, chance.oneOf([1500, 1500, 150, 30])), () => this.leave());
  }

  /** Resolves when it has what it wants, has left or was refused; never when its replica dies. */
  async run(): Promise<void> {
    const { replica, checks } = this.#options;
    await replica.turn();
    try {
      const anew = await this.#request();
      // As the edge does: once, and only before the first byte.
      if (anew) await this.#request(anew);
    } catch (thrown) {
      if (!(thrown instanceof OrcaError)) throw thrown;
      this.#note(`fails: ${thrown.code}`);
      if (!this.#left) checks.clientFailed(this.#options, thrown);
    } finally {
      this.#reader?.close();
    }
  }

  /** The record that it could not begin to read because it was out of date; undefined where all is over. */
  async #request(before?: ObjectRecord): Promise<ObjectRecord | undefined> {
    const { replica, key, checks, clock, reads } = this.#options;
    const location = { bucket, key };
    const askedMs = clock.monotonic();
    const found =
      replica.directory.peek(location) ??
      (await replica.directory.lookup(location, undefined, this.#firstBytes()));
    checks.lookedUp(key, found, askedMs, before?.version.etag);
    if (found.kind === "error" || this.#left || reads === "nothing") return undefined;
    const { record } = found;
    this.#reader?.close();
    try {
      await this.#read(record);
      return undefined;
    } catch (thrown) {
      if (!(thrown instanceof OrcaError) || thrown.code !== "origin_etag_changed") throw thrown;
      checks.foundStale(record.version);
      replica.directory.forget(location, record.version.etag);
      if (before || this.#reader?.source !== undefined) throw thrown;
      this.#note(`looks again: ${record.version.etag} is out of date`);
      return record;
    }
  }

  async #read({ version }: ObjectRecord): Promise<void> {
    const { chance } = this.#options;
    const { sizeBytes } = version;
    if (sizeBytes === 0) return;
    if (!this.#wanted) return this.#readRange(version, 0, sizeBytes);
    let [start, end] = this.#wanted;
    // The object is another one than this client has heard of.
    if (start >= sizeBytes)
      return this.#note(`cannot read from ${start}: ${version.etag} has ${sizeBytes} bytes`);
    end = Math.min(end, sizeBytes);
    // Some ranges one after the other: scattered, or each where the last one ended.
    const ranges = chance.happens(0.5) ? 1 : 2 + chance.below(8);
    const isSequential = chance.happens(0.5);
    for (let count = 0; count < ranges && !this.#left; count += 1) {
      await this.#readRange(version, start, end);
      if (!isSequential) [start, end] = rangeOf(sizeBytes, chance);
      else if (end === sizeBytes) return;
      else [start, end] = [end, Math.min(sizeBytes, end + Math.max(64 * KiB, end - start))];
    }
  }

  /** As the edge tells a directory. Some clients want the object only if it is another one than they have. */
  #firstBytes(): FirstBytes | undefined {
    const { chance, reads, replica } = this.#options;
    if (reads === "nothing") return undefined;
    const range = this.#wanted && { range: `bytes=${this.#wanted[0]}-${this.#wanted[1] - 1}` };
    const condition = chance.happens(0.15) && { "if-none-match": '"another"' };
    const checksums = !range && chance.happens(0.2) && { "x-amz-checksum-mode": "ENABLED" };
    return firstBytesOf({ ...range, ...condition, ...checksums }, replica.chunkSizeBytesMin);
  }

  async #readRange(version: ObjectRecord["version"], start: number, end: number): Promise<void> {
    const { replica, checks, chance } = this.#options;
    this.#note(`reads ${version.etag} ${start}-${end}`);
    const reader = new ObjectReader(replica.path, version, start, end);
    this.#reader = reader;
    let offset = start;
    while (!reader.done) {
      const slice = reader.take();
      if (slice === null) await reader.ready();
      else {
        if (this.#dawdleMs > 0) await this.#wait(chance.between(0, this.#dawdleMs));
        if (this.#left) break;
        checks.received(this.#options, version, offset, slice);
        offset += slice.length;
        reader.release();
      }
      if (this.#left) break;
    }
    reader.close();
    if (this.#left) return;
    assert.equal(offset, end, "a read that ends as complete has all its bytes");
    this.#note(`has all of ${version.etag} ${start}-${end} by ${reader.source}`);
  }

  /** As the process hears of it. */
  leave(): void {
    this.replica.clock.deliver(() => {
      this.#left = true;
      this.#reader?.close();
    });
  }

  async #wait(durationMs: number): Promise<void> {
    await sleep(this.#options.clock, durationMs);
    await this.replica.turn();
  }

  #note(what: string): void {
    this.#options.trace.note(this.#options.name, `${what} (${this.replica.replicaId})`);
  }
}

function rangeOf(sizeBytes: number, chance: Chance): [start: number, end: number] {
  const start = chance.below(sizeBytes);
  const longest = chance.happens(0.5) ? Math.min(2000, sizeBytes - start) : sizeBytes - start;
  return [start, start + 1 + chance.below(longest)];
}
