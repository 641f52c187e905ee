/**
 * Replicas in processes of their own that keep each chunk on two disks, without a cachestore. What tests count are files,
 * as the file system has them, and GETs of the origin.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { GiB, KiB } from "../../src/base/units.ts";
import type { OrcaProcess } from "../support/orca-process.ts";
import { assertPattern } from "../support/pattern.ts";
import { testBucket } from "../support/replica-fixture.ts";
import type { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";
import { ProcessCluster } from "./process-cluster.ts";

/** One chunk each. Memory holds a third of them, so that most reads are of disks. */
export const objects = 300;
/** More of them, which `start` does not read. */
export const freshObjects = 60;
export const copiesWanted = 2;
export const sizeBytes = 48 * KiB;
const clients = 6;

/** A round begins 10 s after a start or a change of members, and a chunk is pulled in milliseconds. */
export const comparedWithinMs = 25_000;

export class DiskCluster {
  readonly origin: S3Server;
  readonly replicas: OrcaProcess[];
  readonly #cluster: ProcessCluster;

  private constructor(cluster: ProcessCluster) {
    this.#cluster = cluster;
    this.origin = cluster.origin;
    this.replicas = cluster.replicas;
  }

  /** Every chunk of the objects is on two of three disks. */
  static async start(diskMaxBytes = GiB, replicasMax = 4): Promise<DiskCluster> {
    const cluster = new DiskCluster(
      await ProcessCluster.start({
        replicasMax,
        settings: (index, folder) =>
          `memory: { max_bytes: 5MiB }\ndisk: { root: ${diskIn(folder, index)}, max_bytes: ${diskMaxBytes} }`,
        // Who is killed closes its connections. Who is late on a busy machine is asked, and no origin.
        clusterSettings: `  replication: ${copiesWanted}\n  stall_timeout: 1m`,
      }),
    );
    try {
      await cluster.#fill();
    } catch (thrown) {
      await cluster.stop();
      throw thrown;
    }
    return cluster;
  }

  /** Starts a replica, or starts it again. */
  serve(index: number): Promise<OrcaProcess> {
    return this.#cluster.serve(index);
  }

  /** Resolves when each replica that runs holds `count` members for alive. */
  allKnow(count: number): Promise<void> {
    return this.#cluster.allKnow(count);
  }

  diskOf(index: number): string {
    return diskIn(this.#cluster.folder, index);
  }

  pathOf(index: number, name = ""): string {
    return join(this.diskOf(index), "orca-disk.v1", `r${index}`, name);
  }

  /** Names of the chunks on a disk, as the file system has them. */
  chunksOn(index: number): string[] {
    return readdirSync(this.pathOf(index), { recursive: true, encoding: "utf8" }).filter((path) =>
      /^[0-9a-f]{2}\/test\./.test(path),
    );
  }

  /** On how many disks each chunk lies; a chunk that lies on none is left out. */
  copies(): Map<string, number> {
    const found = new Map<string, number>();
    for (const index of this.replicas.keys()) {
      for (const name of this.chunksOn(index)) found.set(name, (found.get(name) ?? 0) + 1);
    }
    return found;
  }

  isEachTwice(): boolean {
    const counts = [...this.copies().values()];
    return counts.length === objects && counts.every((count) => count === copiesWanted);
  }

  /** How many copies there are beyond two of each chunk; undefined where a chunk has fewer. */
  extraCopies(chunks: number): number | undefined {
    const counts = [...this.copies().values()];
    if (counts.length < chunks || counts.some((count) => count < copiesWanted)) return undefined;
    return counts.reduce((total, count) => total + count - copiesWanted, 0);
  }

  /** One metric of each replica. */
  metric(series: string): Promise<number[]> {
    return Promise.all(this.replicas.map(({ metric }) => metric(series)));
  }

  async sumOf(series: string): Promise<number> {
    return (await this.metric(series)).reduce((total, value) => total + value, 0);
  }

  /** Every object from one number to another once, through the given replicas in turn, by several clients. */
  async readAll(through: readonly OrcaProcess[], from = 0, to = objects): Promise<void> {
    let next = from;
    const client = async (): Promise<void> => {
      for (let seed = next++; seed < to; seed = next++) {
        const response = await (through[seed % through.length] as OrcaProcess).get(`k${seed}`);
        const body = Buffer.from(await response.arrayBuffer());
        assert.equal(response.status, 200, body.toString("utf8", 0, 300));
        assert.equal(body.length, sizeBytes);
        assertPattern(body, seed, 0);
      }
    };
    await Promise.all(Array.from({ length: clients }, client));
  }

  stop(): Promise<void> {
    return this.#cluster.stop();
  }

  async #fill(): Promise<void> {
    for (let seed = 0; seed < objects + freshObjects; seed += 1) {
      this.origin.put(testBucket, `k${seed}`, { seed, sizeBytes });
    }
    await this.readAll(this.replicas);
    await until(() => this.isEachTwice());
    assert.equal(this.origin.count("GET"), objects);
  }
}

function diskIn(folder: string, index: number): string {
  return join(folder, `disk-${index}`);
}
