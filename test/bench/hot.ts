/**
 * Warm hits: out of Orca's memory against the bare server and nginx, and out of its disk tier against nginx.
 */
import { GiB, KiB, MiB } from "../../src/base/units.ts";
import type { Contender } from "./contender.ts";
import { type LoadRequest, load } from "./http-load.ts";
import { compare, type Figures, type Workload } from "./workload.ts";

function wholeObjects(count: number, sizeBytes: number): Workload["next"] {
  return () => ({ path: `/bench/o${Math.floor(Math.random() * count)}-${sizeBytes}`, range: "" });
}

function randomRanges(objectBytes: number, rangeBytes: number): Workload["next"] {
  return () => {
    const start = Math.floor(Math.random() * (objectBytes - rangeBytes));
    return { path: `/bench/ranges-${objectBytes}`, range: `${start}-${start + rangeBytes - 1}` };
  };
}

/** Objects one after the other, more than memory holds, so that every one of them has left memory when it comes again. */
function loopOver(count: number, sizeBytes: number): Workload["next"] {
  let turn = 0;
  return () => ({ path: `/bench/loop${turn++ % count}-${sizeBytes}`, range: "" });
}

export const hotWorkloads: readonly Workload[] = [
  { name: "8 MiB objects, 8 connections", connections: 8, next: wholeObjects(16, 8 * MiB) },
  { name: "1 MiB ranges, 32 connections", connections: 32, next: randomRanges(GiB, MiB) },
  { name: "64 KiB ranges, 32 connections", connections: 32, next: randomRanges(GiB, 64 * KiB) },
  { name: "4 KiB ranges, 32 connections", connections: 32, next: randomRanges(GiB, 4 * KiB) },
];

const diskObjects = 128;
export const diskWorkload: Workload = {
  name: "8 MiB objects from disk, 8 connections",
  connections: 8,
  next: loopOver(diskObjects, 8 * MiB),
};

/** Everything the hot workloads ask for, asked for once. */
export async function warm(contender: Contender): Promise<void> {
  const all: LoadRequest[] = [{ path: `/bench/ranges-${GiB}`, range: "" }];
  for (let index = 0; index < 16; index += 1) all.push({ path: `/bench/o${index}-${8 * MiB}`, range: "" });
  await askOnce(contender, all);
}

export async function warmDisk(contender: Contender): Promise<void> {
  const all: LoadRequest[] = [];
  for (let index = 0; index < diskObjects; index += 1)
    all.push({ path: `/bench/loop${index}-${8 * MiB}`, range: "" });
  await askOnce(contender, all);
}

async function askOnce(contender: Contender, requests: readonly LoadRequest[]): Promise<void> {
  for (const request of requests) {
    await load({ port: contender.port, connections: 1, durationMs: 0, next: () => request });
  }
}

export function compareHot(contenders: readonly Contender[]): Promise<[Workload, Map<string, Figures>][]> {
  return inTurn(hotWorkloads, (workload) => compare(workload, contenders));
}

async function inTurn<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<[Item, Result][]> {
  const results: [Item, Result][] = [];
  for (const item of items) results.push([item, await work(item)]);
  return results;
}
