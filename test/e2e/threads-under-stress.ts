/**
 * Reads through several threads while memory is too small, objects are overwritten and forgotten, the cache is cleared and
 * clients leave in the middle of a body. What the engine frees is overwritten at once, so that a thread that still sends
 * it sends wrong bytes. Every byte that a client gets is checked against the version that its ETag names.
 *
 *     npx node test/e2e/threads-under-stress.ts 1000000 2
 *
 * reads a million times with two threads. The test reads fewer.
 */
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { SeededRandom } from "../../src/base/random.ts";
import type { Piece } from "../../src/base/segment-pool.ts";
import { KiB, MiB } from "../../src/base/units.ts";

import { PatternChecker } from "../support/pattern.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";

export interface StressCounts {
  /** Answers of which every byte was right. */
  right: number;
  wrong: string[];
  /** Bodies that the client left, and that were cut because their object changed. */
  left: number;
  cut: number;
  /** Answers without bytes, by status. */
  readonly others: Map<number, number>;
  readonly hits: number;
  readonly evictions: number;
}

const objectCount = 240;
const sizes = [4 * KiB, 4 * KiB, 64 * KiB, 300 * KiB, MiB, 3 * MiB];
const connections = 16;
const poison = 0xee;

function keyOf(number: number): string {
  return `o${number}`;
}

/** Overwrites all memory that is freed in this thread, in which the engine runs. Returns a function that ends it. */
function poisonFreedMemory(): () => void {
  const { prototype } = MemoryBudget;
  const original = Object.getOwnPropertyDescriptor(prototype, "releasePiece") as PropertyDescriptor;
  const release = original.value as (this: MemoryBudget, piece: Piece) => void;
  prototype.releasePiece = function poisoned(piece) {
    piece.bytes.fill(poison);
    release.call(this, piece);
  };
  return () => void Object.defineProperty(prototype, "releasePiece", original);
}

class Stress {
  readonly counts = { right: 0, wrong: [] as string[], left: 0, cut: 0, others: new Map<number, number>() };
  readonly #replica: ReplicaFixture;
  readonly #chance: SeededRandom;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: connections });
  /** By ETag. */
  readonly #seeds = new Map<string, number>();
  #lastSeed = 0;
  #isOver = false;

  constructor(replica: ReplicaFixture, seed: number) {
    this.#replica = replica;
    this.#chance = new SeededRandom(seed);
    for (let number = 0; number < objectCount; number += 1) this.#put(number);
  }

  async run(reads: number): Promise<void> {
    // More than memory holds.
    for (let number = 0; number < objectCount; number += 1) await this.#readFrom(number, 0, Infinity);
    let left = reads;
    const reader = async (): Promise<void> => {
      for (; left > 0; ) {
        left -= 1;
        await this.#read();
      }
    };
    const disturber = this.#disturb();
    await Promise.all(Array.from({ length: connections }, reader));
    this.#isOver = true;
    await disturber;
    this.#agent.destroy();
  }

  #put(number: number): void {
    this.#lastSeed += 1;
    const sizeBytes = sizes[number % sizes.length] as number;
    const { etag } = this.#replica.origin.put(testBucket, keyOf(number), { seed: this.#lastSeed, sizeBytes });
    this.#seeds.set(etag, this.#lastSeed);
  }

  async #read(): Promise<void> {
    // A few objects get most reads.
    const number = Math.floor(objectCount * this.#chance.next() ** 3);
    const start = Math.floor(this.#chance.next() * (sizes[number % sizes.length] as number));
    await this.#readFrom(number, start, 1 + Math.floor(this.#chance.next() * 128 * KiB));
  }

  async #readFrom(number: number, start: number, lengthBytes: number): Promise<void> {
    const end = Math.min(sizes[number % sizes.length] as number, start + lengthBytes);
    const leavesAfter = this.#chance.next() < 0.02 ? Math.floor((end - start) / 2) : Infinity;
    const headers = { range: `bytes=${start}-${end - 1}` };
    const request = get(`${this.#replica.endpoint}/${testBucket}/${keyOf(number)}`, {
      agent: this.#agent,
      headers,
    });
    try {
      const [response] = (await once(request, "response")) as [IncomingMessage];
      await this.#check(response, start, end, leavesAfter);
    } catch {
      this.counts.cut += 1;
    }
  }

  async #check(response: IncomingMessage, start: number, end: number, leavesAfter: number): Promise<void> {
    const status = response.statusCode ?? 0;
    if (status !== 206) {
      this.counts.others.set(status, (this.counts.others.get(status) ?? 0) + 1);
      for await (const _ of response) continue;
      return;
    }
    const etag = (response.headers.etag ?? "").replaceAll('"', "");
    const checker = new PatternChecker(this.#seeds.get(etag) ?? -1, start);
    for await (const bytes of response as AsyncIterable<Buffer>) {
      try {
        checker.update(bytes);
      } catch (thrown) {
        this.counts.wrong.push(`${etag}: ${String(thrown)}`);
        return;
      }
      if (checker.offset - start > leavesAfter) {
        this.counts.left += 1;
        response.destroy();
        return;
      }
    }
    if (checker.offset === end) this.counts.right += 1;
    else this.counts.wrong.push(`${etag}: ${checker.offset - start} bytes of ${end - start}`);
  }

  /** Overwrites an object, or makes the replica forget one or all, again and again. */
  async #disturb(): Promise<void> {
    while (!this.#isOver) {
      const number = Math.floor(this.#chance.next() * objectCount);
      if (this.#chance.next() < 0.3) this.#put(number);
      const query = this.#chance.next() < 0.1 ? "" : `?prefix=${testBucket}/${keyOf(number)}&match=key`;
      const answer = await fetch(`${this.#replica.opsEndpoint}/cache/clear${query}`, {
        method: "POST",
        headers: { "x-orca-action": "clear" },
      });
      const text = await answer.text();
      if (answer.status !== 200) this.counts.wrong.push(`cache clear answers ${answer.status}: ${text}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

export async function threadsUnderStress(
  reads: number,
  threads: number,
  seed = Date.now(),
): Promise<StressCounts> {
  const endPoison = poisonFreedMemory();
  const replica = await startReplica({
    settings: {
      server: { threads },
      memory: { max_bytes: "64MiB" },
      chunking: { size: "2MiB", tiers: [] },
      metadata: { ttl: "200ms" },
    },
  });
  try {
    const stress = new Stress(replica, seed);
    await stress.run(reads);
    return {
      ...stress.counts,
      hits: await replica.metric("orca_memory_hits_total"),
      evictions: await replica.metric("orca_memory_evictions_total"),
    };
  } finally {
    endPoison();
    await replica.stop();
  }
}

if (import.meta.main) {
  const [reads = "100000", threads = "2"] = process.argv.slice(2);
  const { wrong, ...counts } = await threadsUnderStress(Number(reads), Number(threads));
  process.stdout.write(`${JSON.stringify({ ...counts, others: [...counts.others] })}\n`);
  process.stdout.write(`wrong: ${wrong.length} ${wrong.slice(0, 5).join("\n")}\n`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
}
