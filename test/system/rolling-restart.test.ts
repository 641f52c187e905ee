/**
 * An upgrade at noon, as docs/operations/upgrade.md describes it: five replicas restart one after the other under constant
 * load, behind a balancer that follows `/readyz`. No client sees an error or a wrong byte, and the origin is asked for
 * nothing that the cluster held.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, type TestContext, test } from "node:test";
import { ProcessCluster, type ProcessClusterOptions } from "../e2e/process-cluster.ts";
import { endProcesses } from "../support/process.ts";
import { until } from "../support/until.ts";
import {
  byteHitRatio,
  ConstantLoad,
  localHitRatio,
  putObjects,
  warmChunks,
} from "./upgrade/constant-load.ts";
import { ReadyBalancer } from "./upgrade/ready-balancer.ts";

const replicas = 5;
/** Of the hit ratio before. */
const ratioMin = 0.9;
/** Readings of the hit ratio before the first restart, and after the last one. */
const calmWindows = 3;
/** The machine may be busy with other tests. */
const calmTimeoutMs = 120_000;

type Sort = Pick<ProcessClusterOptions, "settings" | "clusterSettings"> & {
  /** Series whose sum over the replicas says how many copies of chunks were written, and how many are wanted of each. */
  readonly written: string;
  readonly copies: number;
};

const sorts: Readonly<Record<string, Sort>> = {
  "cluster.replication: 2": {
    settings: (index, folder) =>
      `memory: { max_bytes: 64MiB }\ndisk: { root: ${join(folder, `disk-${index}`)}, max_bytes: 4GiB }`,
    clusterSettings: "  replication: 2",
    written: "orca_disk_chunks",
    copies: 2,
  },
  "a posixfs cachestore": {
    settings: (_, folder) =>
      `memory: { max_bytes: 64MiB }\ncachestore: { driver: posixfs, posixfs: { root: ${storeIn(folder)} } }`,
    clusterSettings: "",
    written: 'orca_cachestore_commits_total{result="stored"}',
    copies: 1,
  },
};

function storeIn(folder: string): string {
  const store = join(folder, "store");
  mkdirSync(store, { recursive: true });
  return store;
}

afterEach(endProcesses);

/** All that an operator does to one replica. */
async function restart(cluster: ProcessCluster, balancer: ReadyBalancer, index: number): Promise<void> {
  const { child } = cluster.replicas[index] ?? {};
  assert.ok(child);
  child.signal("SIGTERM");
  assert.equal(await child.exited, 0, child.output.slice(-5).join("\n"));
  balancer.set(index, await cluster.serve(index));
  await until(() => balancer.isReady(index));
  await cluster.allKnow(replicas);
}

async function sumOf(cluster: ProcessCluster, series: string): Promise<number> {
  const values = await Promise.all(cluster.replicas.map(({ metric }) => metric(series)));
  return values.reduce((sum, value) => sum + value);
}

async function roll(t: TestContext, { written, copies, ...options }: Sort): Promise<void> {
  const cluster = await ProcessCluster.start({
    ...options,
    replicas,
    serverSettings: ', drain_delay: "2s"',
  });
  t.after(() => cluster.stop());
  const { origin } = cluster;
  putObjects(origin);
  const balancer = new ReadyBalancer();
  t.after(() => balancer.stop());
  await balancer.start();
  for (const [index, replica] of cluster.replicas.entries()) balancer.set(index, replica);
  await until(() => cluster.replicas.every((_, index) => balancer.isReady(index)));
  const load = new ConstantLoad(balancer.endpoint, origin);
  t.after(() => load.stop());

  await load.warm();
  assert.equal(origin.count("GET"), warmChunks);
  await until(async () => (await sumOf(cluster, written)) === copies * warmChunks);
  const heads = origin.count("HEAD");

  load.start();
  await until(() => load.windows.length >= calmWindows, calmTimeoutMs);
  const before = load.since(0);
  const rolledMs = performance.now();
  for (let index = 0; index < replicas; index += 1) await restart(cluster, balancer, index);
  const seconds = (performance.now() - rolledMs) / 1000;
  const rolledWindows = load.windows.length;
  await until(() => load.windows.length >= rolledWindows + calmWindows, calmTimeoutMs);
  await load.stop();

  const during = load.since(calmWindows);
  const lowest = Math.min(...load.windows.slice(calmWindows).map(byteHitRatio));
  t.diagnostic(
    `${during.responses} responses, ${Math.round(seconds)} s of restarts; by bytes ${byteHitRatio(before).toFixed(4)} before, ` +
      `${lowest.toFixed(4)} at the lowest; by requests ${localHitRatio(before).toFixed(3)} before, ` +
      `${localHitRatio(during).toFixed(3)} since; ${load.fresh} fresh objects, ${origin.count("GET") - warmChunks} GETs, ` +
      `${origin.count("HEAD") - heads} HEADs; connections ${balancer.stats.given.join(", ")}`,
  );
  assert.deepEqual(load.errors, []);
  assert.equal(balancer.stats.rejected, 0);
  assert.ok(lowest >= ratioMin * byteHitRatio(before));
  assert.equal(origin.count("GET"), warmChunks + load.fresh, "nothing was fetched twice");
}

for (const [name, sort] of Object.entries(sorts)) {
  test(
    `rolling restart of five replicas with ${name}: no client error, right bytes, and no chunk fetched twice`,
    {
      timeout: 600_000,
    },
    (t) => roll(t, sort),
  );
}
