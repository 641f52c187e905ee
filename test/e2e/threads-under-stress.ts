/**
 * Reads through several threads while memory and disk are too small, objects are overwritten and forgotten, the cache is
 * cleared, clients leave in the middle of a body, and the replica is stopped and killed. What the engine frees is
 * overwritten at once, so that a thread that still sends it sends wrong bytes. Every byte that a client gets is compared
 * with the version that its ETag names, and no version may come that was forgotten before the request.
 *
 *     npx node test/e2e/threads-under-stress.ts 1000000 2 7
 *
 * reads a million times with two threads and seed 7. The test reads fewer.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { Chance } from "../support/chance.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import {
  countOf,
  countWords,
  hotObjects,
  hottestAt,
  type StressData,
  type StressMessage,
} from "./stress/stress-clients.ts";
import { bytesOf, etagOf, keyOf, objectCount } from "./stress/stress-objects.ts";
import { type ReplicaSums, StressedReplica } from "./stress/stressed-replica.ts";

export interface StressOptions {
  readonly reads: number;
  readonly threads: number;
  readonly seed: number;
  /** The replica is stopped and started again so often; every other time it is killed. */
  readonly restarts: number;
}

export interface StressCounts extends ReplicaSums {
  /** Answers of which every byte was right. */
  readonly right: number;
  readonly wrong: number;
  /** Bodies and answers that the client left; that were cut by a restart, or because their object changed. */
  readonly left: number;
  readonly cut: number;
  /** Answers without bytes. */
  readonly others: number;
  /** About answers that were wrong or without bytes, the first ones. */
  readonly findings: readonly string[];
  readonly overwritten: number;
  readonly expired: number;
  readonly deleted: number;
  readonly cleared: number;
  readonly restarts: number;
  readonly originGets: number;
  readonly seconds: number;
}

const findingsMax = 20;
const pauseMs = 4;
/** Seldom, because a clear of one object reads the footers of all chunk files, and after one of all nothing is cached. */
const turnsPerClear = 100;
const turnsPerWholeClear = 1500;
const turnsBeforeWholeClear = 150;

class Stress {
  readonly #options: StressOptions;
  readonly #origin: S3Server;
  readonly #replica: StressedReplica;
  readonly #chance: Chance;
  readonly #counts = new Int32Array(new SharedArrayBuffer(4 * countWords));
  readonly #versionsMin = new Int32Array(new SharedArrayBuffer(4 * objectCount));
  readonly #versions = new Array<number>(objectCount).fill(0);
  readonly #findings: string[] = [];
  readonly #disturbed = { overwritten: 0, expired: 0, deleted: 0, cleared: 0 };
  #restarts = 0;
  #originGets = 0;
  #isOver = false;

  constructor(options: StressOptions, origin: S3Server, replica: StressedReplica) {
    this.#options = options;
    this.#origin = origin;
    this.#replica = replica;
    this.#chance = new Chance(options.seed);
    for (let number = 0; number < objectCount; number += 1) this.#put(number);
  }

  async run(): Promise<StressCounts> {
    const startedMs = performance.now();
    const { reads, seed } = this.#options;
    const data: StressData = { reads, seed, counts: this.#counts, versionsMin: this.#versionsMin };
    const clients = new Worker(new URL("stress/stress-clients.ts", import.meta.url), { workerData: data });
    clients.on("message", (finding: string) => {
      if (this.#findings.length < findingsMax) this.#findings.push(finding);
    });
    const ended = new Promise<void>((resolve, reject) => {
      clients.once("error", reject);
      clients.once("exit", () => resolve());
    });
    try {
      const work = Promise.all([this.#restartAgainAndAgain(clients), this.#disturb()]);
      await Promise.race([ended, work, this.#replica.failed]);
      this.#isOver = true;
      await Promise.all([ended, work]);
    } finally {
      this.#isOver = true;
      await clients.terminate();
    }
    this.#forgetRequests();
    return {
      ...this.#answers(),
      ...this.#disturbed,
      ...(await this.#replica.sums()),
      findings: this.#findings,
      restarts: this.#restarts,
      originGets: this.#originGets,
      seconds: (performance.now() - startedMs) / 1000,
    };
  }

  /** How many answers have come so far, of each kind. */
  #answers(): Record<keyof typeof countOf, number> {
    const at = (word: keyof typeof countOf): number => this.#counts[countOf[word]] as number;
    return { right: at("right"), wrong: at("wrong"), left: at("left"), cut: at("cut"), others: at("others") };
  }

  progress(): string {
    const { right, ...rest } = this.#answers();
    return `${right} right, ${JSON.stringify({ ...rest, ...this.#disturbed })}, ${this.#restarts} restarts`;
  }

  async #restartAgainAndAgain(clients: Worker): Promise<void> {
    const tell = (port: number): void => clients.postMessage({ port } satisfies StressMessage);
    const { reads, restarts } = this.#options;
    tell(await this.#replica.start());
    while (!this.#isOver && this.#restarts < restarts) {
      await sleep(20);
      if (this.#answers().right < ((this.#restarts + 1) * reads) / (restarts + 1)) continue;
      // Clients that cannot connect meanwhile try again.
      await this.#replica.end(this.#restarts % 2 === 0 ? "SIGTERM" : "SIGKILL");
      tell(0);
      tell(await this.#replica.start());
      this.#restarts += 1;
    }
  }

  #put(number: number): void {
    const version = (this.#versions[number] as number) + 1;
    this.#versions[number] = version;
    const named = { number, version };
    this.#origin.put(testBucket, keyOf(number), { body: bytesOf(named), etag: etagOf(named) });
  }

  /** Overwrites an object, makes the replica forget one, or both, again and again. Rarely all of them are forgotten. */
  async #disturb(): Promise<void> {
    for (let turn = 0; !this.#isOver; turn += 1) {
      await sleep(pauseMs);
      const number = this.#anyObject();
      const what = this.#chance.below(3);
      if (what !== 0) {
        this.#put(number);
        this.#disturbed.overwritten += 1;
      }
      if (what !== 1) await this.#forget(number, turn % turnsPerClear === 0);
      if (turn % turnsPerWholeClear === turnsBeforeWholeClear) await this.#forgetAll();
      if (this.#origin.requests.length > 10_000) this.#forgetRequests();
    }
  }

  /** Half of them are read often. */
  #anyObject(): number {
    if (this.#chance.happens(0.5)) return this.#chance.below(objectCount);
    return ((this.#counts[hottestAt] as number) + this.#chance.below(hotObjects)) % objectCount;
  }

  async #forget(number: number, withBytes: boolean): Promise<void> {
    const version = this.#versions[number] as number;
    const key = keyOf(number);
    if (!(await (withBytes ? this.#replica.clear(key) : this.#replica.expire(key)))) return;
    Atomics.store(this.#versionsMin, number, version);
    if (withBytes) this.#disturbed.deleted += 1;
    else this.#disturbed.expired += 1;
  }

  async #forgetAll(): Promise<void> {
    const versions = [...this.#versions];
    if (!(await this.#replica.clear())) return;
    for (const [number, version] of versions.entries()) Atomics.store(this.#versionsMin, number, version);
    this.#disturbed.cleared += 1;
  }

  #forgetRequests(): void {
    this.#originGets += this.#origin.count("GET");
    this.#origin.forgetRequests();
  }
}

export async function threadsUnderStress(
  options: StressOptions,
  report?: (progress: () => string) => void,
): Promise<StressCounts> {
  const folder = mkdtempSync(join(tmpdir(), "orca-stress-"));
  const origin = await S3Server.start({ buckets: [testBucket] });
  const { threads } = options;
  const replica = new StressedReplica({ folder, originEndpoint: origin.endpoint, threads });
  try {
    const stress = new Stress(options, origin, replica);
    report?.(() => stress.progress());
    return await stress.run();
  } finally {
    await replica.end("SIGKILL");
    await origin.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const [reads = "100000", threads = "2", seed = "1", restarts = "6"] = process.argv.slice(2);
  const options = { reads: Number(reads), threads: Number(threads), restarts: Number(restarts) };
  let timer: NodeJS.Timeout | undefined;
  const counts = await threadsUnderStress({ ...options, seed: Number(seed) }, (progress) => {
    timer = setInterval(() => process.stderr.write(`${progress()}\n`), 10_000);
  });
  clearInterval(timer);
  const { findings, evictions, right, seconds } = counts;
  process.stdout.write(`${JSON.stringify(counts, null, 1)}\n`);
  process.stdout.write(
    `${(right / seconds).toFixed(0)} reads/s, ${((1000 * evictions) / right).toFixed(1)} evictions in 1,000 reads\n`,
  );
  process.exitCode = findings.length === 0 ? 0 : 1;
}
