/**
 * The clients of the stress test, in a thread of their own. The thread that starts it tells the port of the replica, 0
 * while there is none, and reads the counts in shared memory.
 */
import { parentPort, workerData } from "node:worker_threads";
import { LruMap } from "../../../src/base/lru-map.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import { Chance } from "../../support/chance.ts";
import { CheckedConnection, type CheckedRead } from "./checked-connection.ts";
import { bytesOf, namedBy, objectCount, sizeOf } from "./stress-objects.ts";

/** Words of {@link StressData.counts}. */
export const countOf = { right: 0, wrong: 1, left: 2, cut: 3, others: 4 } as const;
/** Another word of them: the number of the object that is read most at this moment. */
export const hottestAt = 5;
export const countWords = 6;

export interface StressData {
  /** No request is begun after so many answers were checked. */
  readonly reads: number;
  readonly seed: number;
  readonly counts: Int32Array<SharedArrayBuffer>;
  /** By the number of an object: the oldest version that may be served. */
  readonly versionsMin: Int32Array<SharedArrayBuffer>;
}

export interface StressMessage {
  readonly port: number;
}

const fastConnections = 24;
const pipelinedMax = 14;
/**
 * They ask for more than the kernel keeps for them (some MiB), and take it slowly. So a slice of a response waits in the
 * server, which has to keep its bytes meanwhile, although they are evicted.
 */
const slowConnections = 6;
const slowPipelined = 8;
/** From the hottest one on. */
export const hotObjects = 100;
/** After so many reads another object is the hottest one. */
const readsPerStep = 64;
const coldShare = 0.02;
const expectedBytesMax = 768 * MiB;

class Clients {
  readonly #data: StressData;
  readonly #chance: Chance;
  readonly #expected = new LruMap<string, Buffer>({ weightMax: expectedBytesMax });
  #port = Promise.withResolvers<number>();
  #currentPort = 0;
  #asked = 0;

  constructor(data: StressData) {
    this.#data = data;
    this.#chance = new Chance(data.seed);
  }

  setPort(port: number): void {
    this.#currentPort = port;
    if (port === 0) this.#port = Promise.withResolvers();
    else this.#port.resolve(port);
  }

  async run(): Promise<void> {
    const fast = Array.from({ length: fastConnections }, () => this.#connections(false));
    const slow = Array.from({ length: slowConnections }, () => this.#connections(true));
    await Promise.all([...fast, ...slow]);
  }

  /** One connection after the other, until all has been read. */
  async #connections(isSlow: boolean): Promise<void> {
    while (!this.#isOver) {
      const port = await this.#port.promise;
      const connection = new CheckedConnection({
        port,
        next: () => (this.#isOver || this.#currentPort !== port ? [] : this.#next(isSlow)),
        expected: (etag) => this.#bytes(etag),
        restMs: () => (isSlow ? this.#chance.between(5, 60) : 0),
        right: () => this.#count(countOf.right, 1),
        wrong: (what) => {
          this.#count(countOf.wrong, 1);
          parentPort?.postMessage(what);
        },
        other: (answer) => {
          this.#count(countOf.others, 1);
          // It changed twice while one request was answered: errors.md promises no more.
          if (!answer.includes("OriginETagChanged")) parentPort?.postMessage(answer);
        },
      });
      const { left, cut } = await connection.ended;
      this.#count(countOf.left, left);
      this.#count(countOf.cut, cut);
      // The replica may have ended, and nobody has said so yet.
      if (left === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  get #isOver(): boolean {
    const { counts, reads } = this.#data;
    return (counts[countOf.right] as number) + (counts[countOf.wrong] as number) >= reads;
  }

  #count(word: number, count: number): void {
    Atomics.add(this.#data.counts, word, count);
  }

  #bytes(etag: string): Buffer {
    const known = this.#expected.get(etag);
    if (known) return known;
    const named = namedBy(etag);
    if (named === undefined) throw new Error(`an ETag is checked before its bytes are: ${etag}`);
    const bytes = bytesOf(named);
    this.#expected.set(etag, bytes, bytes.length);
    return bytes;
  }

  #next(isSlow: boolean): CheckedRead[] {
    const count = isSlow ? slowPipelined : 1 + this.#chance.below(pipelinedMax);
    return Array.from({ length: count }, () =>
      isSlow ? this.#readOf(this.#largeObject(), 3 * MiB) : this.#readOf(this.#anyObject(), 128 * KiB),
    );
  }

  /** Most reads are of a few objects, and these are other ones after a while, so that what was read often is evicted. */
  #anyObject(): number {
    this.#asked += 1;
    if (this.#chance.happens(coldShare)) return this.#chance.below(objectCount);
    const hottest = Math.floor(this.#asked / readsPerStep) % objectCount;
    this.#data.counts[hottestAt] = hottest;
    return (hottest + Math.floor(hotObjects * this.#chance.between(0, 1) ** 2)) % objectCount;
  }

  #largeObject(): number {
    let number = this.#anyObject();
    while (sizeOf(number) < 256 * KiB) number = (number + 1) % objectCount;
    return number;
  }

  #readOf(number: number, lengthMax: number): CheckedRead {
    const sizeBytes = sizeOf(number);
    const isWhole = sizeBytes <= lengthMax && this.#chance.happens(0.7);
    const start = isWhole ? 0 : this.#chance.below(sizeBytes);
    const end = isWhole ? sizeBytes : Math.min(sizeBytes, start + 1 + this.#chance.below(lengthMax));
    const leavesAfter = this.#chance.happens(0.01) ? this.#chance.below(end - start) : Infinity;
    const versionMin = Atomics.load(this.#data.versionsMin, number);
    return { number, start, end, isWhole, versionMin, leavesAfter };
  }
}

if (parentPort) {
  const clients = new Clients(workerData as StressData);
  parentPort.on("message", ({ port }: StressMessage) => clients.setPort(port));
  await clients.run();
  parentPort.close();
}
