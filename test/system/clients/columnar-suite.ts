/**
 * Polars through a replica that verifies signatures, over a table of Parquet files that Polars wrote to the store itself:
 * it lists, heads, reads whole files and only those ranges that a query needs, and fails as it should.
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { run } from "../../support/process.ts";
import { type Requirement, testWith } from "../installed.ts";
import { type CloudStore, s3CloudOf } from "./cloud-store.ts";
import {
  columnsOf,
  days,
  digestOf,
  fileBytesMin,
  fileOf,
  labelOf,
  rowsPerDay,
  tablePrefix,
} from "./columnar-table.ts";
import type { GuardedReplica } from "./guarded-replica.ts";

const program = join(import.meta.dirname, "polars-program.ts");
const programTimeoutMs = 60_000;

const polars: Requirement = {
  name: "nodejs-polars",
  isInstalled: hasNativePart,
  install: "npm ci",
  isInstalledByCi: true,
};

/** npm leaves the native part out where there is none for the platform. */
function hasNativePart(): boolean {
  const { resolve } = createRequire(import.meta.url);
  const manifest = createRequire(import.meta.url)("nodejs-polars/package.json") as {
    optionalDependencies: Record<string, string>;
  };
  return Object.keys(manifest.optionalDependencies).some((name) => {
    try {
      return resolve(name) !== "";
    } catch {
      return false;
    }
  });
}

/** Registers the tests of Polars on a store. */
export function columnarOn(store: string, replica: () => GuardedReplica): void {
  testWith(polars, `Polars on ${store}: lists, heads, reads whole files and ranges of a Parquet table`, () =>
    reads(replica()),
  );
  testWith(polars, `Polars on ${store}: fails on a missing key and on a wrong secret`, () =>
    fails(replica()),
  );
}

async function reads(replica: GuardedReplica): Promise<void> {
  for (const day of days) await polarsOn(replica.store.cloud, "write", fileOf(day), day);
  const orca = s3CloudOf(replica.accessWith());

  assert.deepEqual(
    ((await polarsOn(orca, "files", tablePrefix)) as string[]).sort(),
    days.map((day) => `${orca.url}${fileOf(day)}`),
  );

  const forCount = await sentFor(replica, async () => {
    assert.equal(await polarsOn(orca, "count", fileOf(1)), rowsPerDay);
  });
  // The size by a HEAD, and the footer: its length, then the rest.
  assert.deepEqual({ ...forCount, bytes: 0 }, { heads: 1, ranges: 2, whole: 0, bytes: 0 });
  assert.ok(forCount.bytes < fileBytesMin / 1000, `${forCount.bytes} bytes`);

  for (const day of days) {
    assert.equal(await polarsOn(orca, "digest", fileOf(day)), digestOf(columnsOf(day)));
  }

  const forQuery = await sentFor(replica, async () => {
    assert.deepEqual(await polarsOn(orca, "select", tablePrefix, 2, 59_998, 60_001), [
      { day: 2, id: 59_998, label: labelOf(59_998) },
      { day: 2, id: 59_999, label: labelOf(59_999) },
      { day: 2, id: 60_000, label: labelOf(60_000) },
      { day: 2, id: 60_001, label: labelOf(60_001) },
    ]);
  });
  // The footers of both files (one of them in two ranges), and two columns of the two row groups in which the rows are.
  assert.deepEqual({ ranges: forQuery.ranges, whole: forQuery.whole }, { ranges: 5, whole: 0 });
  assert.ok(forQuery.bytes < fileBytesMin / 100, `${forQuery.bytes} bytes`);
}

async function fails(replica: GuardedReplica): Promise<void> {
  const orca = s3CloudOf(replica.accessWith());
  await assert.rejects(polarsOn(orca, "count", `${tablePrefix}absent.parquet`), /not found.* 404 Not Found/);
  await assert.rejects(polarsOn(orca, "count", "absent/"), /expanded paths were empty/);
  const stranger = s3CloudOf(replica.accessWith({ secretAccessKey: "wrong" }));
  await assert.rejects(polarsOn(stranger, "count", fileOf(1)), /403 Forbidden/);
  await assert.rejects(polarsOn(stranger, "files", tablePrefix), /SignatureDoesNotMatch/);
}

async function polarsOn(cloud: CloudStore, action: string, key: string, ...args: number[]): Promise<unknown> {
  const all = [program, action, `${cloud.url}${key}`, ...args.map(String)];
  const env = { PATH: process.env["PATH"], OPTIONS: JSON.stringify(cloud.options) };
  return JSON.parse(await run(process.execPath, all, programTimeoutMs, env)) as unknown;
}

interface Sent {
  readonly heads: number;
  /** GETs answered with 206. */
  readonly ranges: number;
  /** GETs of objects answered with 200. */
  readonly whole: number;
  readonly bytes: number;
}

async function sentFor(replica: GuardedReplica, work: () => Promise<void>): Promise<Sent> {
  const before = await sentBy(replica);
  await work();
  const after = await sentBy(replica);
  return {
    heads: after.heads - before.heads,
    ranges: after.ranges - before.ranges,
    whole: after.whole - before.whole,
    bytes: after.bytes - before.bytes,
  };
}

async function sentBy(replica: GuardedReplica): Promise<Sent> {
  const requests = (operation: string, status: number): Promise<number> =>
    replica.metric(`orca_requests_total{operation="${operation}",status="${status}"}`);
  return {
    heads: await requests("head_object", 200),
    ranges: await requests("get_object", 206),
    whole: await requests("get_object", 200),
    bytes: await replica.metric("orca_bytes_sent_total{"),
  };
}
