/**
 * Warm hits: out of Orca's memory against the bare server and the caches that are installed, and out of its disk tier
 * against nginx.
 */
import { GiB, KiB, MiB } from "../../src/base/units.ts";
import type { Contender } from "./contender.ts";
import type { LoadRequest } from "./http-load.ts";
import { compare, type Figures, type Workload } from "./workload.ts";

function whole(name: string, sizeBytes: number): LoadRequest {
  return { path: `/bench/${name}-${sizeBytes}`, range: "", bodyBytes: sizeBytes };
}

function objects(name: string, count: number, sizeBytes: number): LoadRequest[] {
  return Array.from({ length: count }, (_, index) => whole(`${name}${index}`, sizeBytes));
}

function anyOf(requests: readonly LoadRequest[]): Workload["next"] {
  return () => requests[Math.floor(Math.random() * requests.length)] as LoadRequest;
}

/** One after the other, more than memory holds, so that every one of them has left memory when it comes again. */
function loopOver(requests: readonly LoadRequest[]): Workload["next"] {
  let turn = 0;
  return () => requests[turn++ % requests.length] as LoadRequest;
}

const bigObject = whole("ranges", GiB);

function randomRanges(name: string, rangeBytes: number): Workload {
  const next = (): LoadRequest => {
    const start = Math.floor(Math.random() * (bigObject.bodyBytes - rangeBytes));
    return { path: bigObject.path, range: `${start}-${start + rangeBytes - 1}`, bodyBytes: rangeBytes };
  };
  return { name: `${name} ranges, 32 connections`, connections: 32, objects: [bigObject], next };
}

const smallObjects = objects("o", 16, 8 * MiB);
const manyObjects = objects("many", 10_000, 4 * KiB);

const hotWorkloads: readonly Workload[] = [
  {
    name: "8 MiB objects, 8 connections",
    connections: 8,
    objects: smallObjects,
    next: anyOf(smallObjects),
  },
  randomRanges("1 MiB", MiB),
  randomRanges("64 KiB", 64 * KiB),
  randomRanges("4 KiB", 4 * KiB),
  {
    name: "10,000 objects of 4 KiB, 64 connections",
    connections: 64,
    objects: manyObjects,
    next: anyOf(manyObjects),
  },
];

/** More than Orca remembers to have missed: an object that it remembers is read into memory as a whole, for others. */
const diskObjects = objects("loop", 288, 8 * MiB);

function fromDisk(connections: number): Workload {
  const name = `8 MiB objects from disk, ${connections} connection${connections > 1 ? "s" : ""}`;
  return { name, connections, objects: diskObjects, next: loopOver(diskObjects) };
}

const diskWorkloads = [fromDisk(8), fromDisk(1)];

type Compared = [Workload, Map<string, Figures | Error>][];

export function compareHot(contenders: readonly Contender[]): Promise<Compared> {
  return inTurn(hotWorkloads, (workload) => compare(workload, contenders));
}

export function compareDisk(contenders: readonly Contender[]): Promise<Compared> {
  return inTurn(diskWorkloads, (workload) => compare(workload, contenders));
}

async function inTurn<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<[Item, Result][]> {
  const results: [Item, Result][] = [];
  for (const item of items) results.push([item, await work(item)]);
  return results;
}
