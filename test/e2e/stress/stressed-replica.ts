/**
 * The replica of the stress test: a process that ends and starts again on the same disk, and whose memory is overwritten as
 * it is freed. Its counters start anew with it, so they are summed here.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { httpGet } from "../../support/http-get.ts";
import { type OrcaProcess, serveOrca } from "../../support/orca-process.ts";
import { testBucket } from "../../support/replica-fixture.ts";

export interface StressedReplicaOptions {
  readonly folder: string;
  readonly originEndpoint: string;
  readonly threads: number;
}

/** Series of `/metrics` that are summed. */
const series = {
  hits: "orca_memory_hits_total",
  misses: "orca_memory_misses_total",
  evictions: "orca_memory_evictions_total",
  diskBlocks: "orca_disk_blocks_read_total",
  diskEvictions: "orca_disk_evictions_total",
} as const;

export type ReplicaSums = Record<keyof typeof series, number>;

const poison = new URL("poisoned-memory.ts", import.meta.url).href;

export class StressedReplica {
  readonly #options: StressedReplicaOptions;
  readonly #sums: ReplicaSums = { hits: 0, misses: 0, evictions: 0, diskBlocks: 0, diskEvictions: 0 };
  readonly #failed = Promise.withResolvers<never>();
  #orca: OrcaProcess | undefined;

  constructor(options: StressedReplicaOptions) {
    this.#options = options;
  }

  /** Its port for clients. */
  async start(): Promise<number> {
    const { folder, originEndpoint, threads } = this.#options;
    const configuration = `
server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0", threads: ${threads}, drain_delay: 0s }
origin:
  id: test
  driver: awss3
  awss3: { bucket: ${testBucket}, endpoint: "${originEndpoint}", use_path_style: true }
memory: { max_bytes: 24MiB }
disk: { root: "${folder}/disk", max_bytes: 80MiB }
chunking: { size: 2MiB, tiers: [] }
metadata: { ttl: 5s }
`;
    const orca = await serveOrca(folder, "stress", configuration, ["--import", poison]);
    this.#orca = orca;
    void orca.child.exited.then((code) => {
      if (this.#orca !== orca) return;
      // Nothing is left to ask or to end.
      this.#orca = undefined;
      this.#failed.reject(orca.child.failure(`ended by itself with ${code}`));
    });
    return Number(new URL(orca.endpoint).port);
  }

  /** Rejects where it ends by itself. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** What it has counted since its first start, but for what a signal cut off. */
  async sums(): Promise<ReplicaSums> {
    const orca = this.#orca;
    if (orca === undefined) return { ...this.#sums };
    const text = await (await httpGet(`${orca.opsEndpoint}/metrics`)).text();
    const sums = { ...this.#sums };
    for (const [name, each] of Object.entries(series)) {
      const value = new RegExp(`^${each} (.*)$`, "m").exec(text)?.[1] ?? "0";
      sums[name as keyof ReplicaSums] += Number(value);
    }
    return sums;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.#orca === undefined) return;
    Object.assign(this.#sums, await this.sums());
    const { child } = this.#orca;
    this.#orca = undefined;
    await child.stop(signal);
  }

  /** Makes it ask the origin again about an object. False where the replica ended meanwhile. */
  expire(key: string): Promise<boolean> {
    return this.#act(`purge?prefix=${testBucket}/${key}&match=key&stale=true`, /"state":"complete"/);
  }

  /** Deletes an object from all tiers, or all objects. It looks at all files of the disk. */
  clear(key?: string): Promise<boolean> {
    return this.#act(key === undefined ? "clear" : `clear?prefix=${testBucket}/${key}&match=key`, /"memory"/);
  }

  async #act(action: string, expected: RegExp): Promise<boolean> {
    const orca = this.#orca;
    if (orca === undefined) return false;
    const name = /^\w+/.exec(action)?.[0] ?? "";
    try {
      const answer = await fetch(`${orca.opsEndpoint}/cache/${action}`, {
        method: "POST",
        headers: { "x-orca-action": name },
      });
      const text = await answer.text();
      if (answer.status === 200 && expected.test(text)) return true;
      if (this.#orca === orca) throw new Error(`${action} answers ${answer.status}: ${text}`);
    } catch (thrown) {
      // Where it has ended by itself, `failed` says why.
      if (this.#orca === orca && orca.child.running) throw thrown;
    }
    await sleep(10);
    return false;
  }
}
