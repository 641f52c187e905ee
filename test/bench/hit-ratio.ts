/**
 * Hit ratios of the eviction policy on seeded traces, beside LRU and SIEVE (Zhang et al., NSDI 2024), which are here for
 * comparison only. Part `hit-ratio` of `npm run bench`. Ratios are of requests, in percent, after a warm-up of a fifth of
 * the trace. "Best" is what the most popular keys would give if they were known beforehand.
 */
import { type Random, SeededRandom } from "../../src/base/random.ts";
import { Evictable } from "../../src/store/eviction-policy.ts";
import { S3Fifo } from "../../src/store/s3-fifo.ts";

interface Trace {
  readonly name: string;
  readonly keys: Int32Array;
  /** Size by key. */
  readonly sizes: Float64Array;
}

/** Brings a key in where it is not held, and says whether it was. */
type Cache = (key: number, size: number) => boolean;

const keyCount = 30_000;
const requestCount = 400_000;

function s3Fifo(capacity: number): Cache {
  const policy = new S3Fifo<Evictable>();
  const held = new Map<number, Evictable>();
  return (key, size) => {
    const entry = held.get(key);
    if (entry) {
      policy.touch(entry);
      return true;
    }
    while (policy.bytes + size > capacity) {
      const victim = policy.evict();
      if (!victim) return false;
      held.delete(Number(victim.key));
    }
    const inserted = new Evictable(String(key), size);
    held.set(key, inserted);
    policy.insert(inserted);
    return false;
  };
}

function lru(capacity: number): Cache {
  const held = new Map<number, number>();
  let bytes = 0;
  return (key, size) => {
    const isHit = held.delete(key);
    held.set(key, size);
    if (isHit) return true;
    bytes += size;
    for (const [oldest, oldestSize] of held) {
      if (bytes <= capacity) break;
      held.delete(oldest);
      bytes -= oldestSize;
    }
    return false;
  };
}

function sieve(capacity: number): Cache {
  interface Node {
    readonly key: number;
    readonly size: number;
    visited: boolean;
    newer: Node | undefined;
    older: Node | undefined;
  }
  const held = new Map<number, Node>();
  let newest: Node | undefined;
  let oldest: Node | undefined;
  let hand: Node | undefined;
  let bytes = 0;
  const makeRoom = (size: number): void => {
    while (bytes + size > capacity && oldest) {
      let victim = hand ?? oldest;
      while (victim.visited) {
        victim.visited = false;
        victim = victim.newer ?? oldest;
      }
      hand = victim.newer;
      if (victim.newer) victim.newer.older = victim.older;
      else newest = victim.older;
      if (victim.older) victim.older.newer = victim.newer;
      else oldest = victim.newer;
      held.delete(victim.key);
      bytes -= victim.size;
    }
  };
  return (key, size) => {
    const node = held.get(key);
    if (node) {
      node.visited = true;
      return true;
    }
    makeRoom(size);
    const inserted: Node = { key, size, visited: false, newer: undefined, older: newest };
    if (newest) newest.newer = inserted;
    else oldest = inserted;
    newest = inserted;
    held.set(key, inserted);
    bytes += size;
    return false;
  };
}

/** Draws ranks 0.. with probability proportional to 1 / (rank + 1)^exponent, by bisection of the cumulated weights. */
function zipfRanks(exponent: number, count: number, random: Random): () => number {
  const cumulated = new Float64Array(count);
  let total = 0;
  for (let rank = 0; rank < count; rank += 1) {
    total += 1 / (rank + 1) ** exponent;
    cumulated[rank] = total;
  }
  return () => {
    const drawn = random.next() * total;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((cumulated[middle] as number) < drawn) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

type KeyOfRequest = (request: number) => number;

function trace(name: string, keyOf: KeyOfRequest, sizes: Float64Array = unitSizes): Trace {
  return { name, keys: Int32Array.from({ length: requestCount }, (_, request) => keyOf(request)), sizes };
}

const unitSizes = new Float64Array(keyCount).fill(1);
const sizeRandom = new SeededRandom(7);
/** From 1 to 64 units, evenly on a logarithmic scale, and apart from popularity. */
const mixedSizes = Float64Array.from({ length: keyCount }, () => Math.floor(64 ** sizeRandom.next()));

function zipf(exponent: number, sizes?: Float64Array): Trace {
  const next = zipfRanks(exponent, keyCount, new SeededRandom(1));
  return trace(`Zipf ${exponent.toFixed(1)}${sizes ? ", mixed sizes" : ""}`, next, sizes);
}

/** Keys beyond the first half are asked for once and in order, so that none comes back within the trace's memory. */
function zipfWithOneHitWonders(share: number): Trace {
  const random = new SeededRandom(2);
  const next = zipfRanks(1, keyCount / 2, random);
  let wonder = 0;
  return trace(`Zipf 1.0, ${share * 100} % one-hit wonders`, () => {
    if (random.next() >= share) return next();
    wonder += 1;
    return keyCount / 2 + (wonder % (keyCount / 2));
  });
}

/** After every 10,000 requests somebody reads 5,000 keys from end to end. */
function zipfWithScans(): Trace {
  const next = zipfRanks(1, keyCount / 2, new SeededRandom(3));
  let scanned = 0;
  return trace("Zipf 1.0 with scans", (request) => {
    if (request % 15_000 < 10_000) return next();
    scanned += 1;
    return keyCount / 2 + (scanned % (keyCount / 2));
  });
}

/** The popular keys are others after every tenth of the trace. */
function shiftingZipf(): Trace {
  const next = zipfRanks(1, keyCount, new SeededRandom(4));
  const tenth = requestCount / 10;
  return trace("Zipf 1.0, shifting", (request) => (next() + Math.floor(request / tenth) * 997) % keyCount);
}

function loop(length: number): Trace {
  return trace(`loop over ${length}`, (request) => request % length);
}

/**
 * What S3-FIFO is known to be weak at: beside the popular keys, others are asked for twice and never again, so far apart
 * that a cache of a tenth still holds them under LRU, and the small queue does not.
 */
function zipfWithPairs(share: number, distance: number): Trace {
  const random = new SeededRandom(5);
  const next = zipfRanks(1, keyCount / 2, random);
  let step = 0;
  return trace(`Zipf 1.0, ${share * 100} % in pairs`, () => {
    if (random.next() >= share) return next();
    step += 1;
    const pair = Math.floor(step / 2);
    return keyCount / 2 + ((step % 2 === 0 ? pair : Math.max(0, pair - distance)) % (keyCount / 2));
  });
}

function hitRatio({ keys, sizes }: Trace, cache: Cache): number {
  const warmUp = keys.length / 5;
  let hits = 0;
  for (const [request, key] of keys.entries()) {
    const isHit = cache(key, sizes[key] as number);
    if (isHit && request >= warmUp) hits += 1;
  }
  return hits / (keys.length - warmUp);
}

/** Of the requests after the warm-up, those for the keys with the most requests per byte that fit. */
function bestRatio({ keys, sizes }: Trace, capacity: number): number {
  const counts = new Float64Array(keyCount);
  const counted = keys.subarray(keys.length / 5);
  for (const key of counted) counts[key] = (counts[key] as number) + 1;
  const worth = (key: number): number => (counts[key] as number) / (sizes[key] as number);
  const byWorth = Array.from(counts.keys()).sort((left, right) => worth(right) - worth(left));
  let bytes = 0;
  let hits = 0;
  for (const key of byWorth) {
    bytes += sizes[key] as number;
    if (bytes > capacity) break;
    hits += counts[key] as number;
  }
  return hits / counted.length;
}

const traces = [
  zipf(0.8),
  zipf(1),
  zipf(1.2),
  zipf(0.8, mixedSizes),
  zipf(1, mixedSizes),
  zipf(1.2, mixedSizes),
  zipfWithOneHitWonders(0.3),
  zipfWithScans(),
  shiftingZipf(),
  loop(200),
  loop(6000),
  zipfWithPairs(0.5, 400),
];

const percent = (ratio: number): string => (ratio * 100).toFixed(1);

export const hitRatioHeadings = [
  "trace",
  "cache",
  "LRU",
  "SIEVE",
  "S3-FIFO",
  "S3-FIFO - LRU",
  "best possible",
];

/** Hit ratios in percent of requests, a row per trace and size of cache. Takes about 15 s. */
export function hitRatioRows(): string[][] {
  const rows: string[][] = [];
  for (const each of traces) {
    const setBytes = each.sizes.reduce((total, size) => total + size, 0);
    for (const share of [0.01, 0.1]) {
      const capacity = Math.floor(setBytes * share);
      const lruRatio = hitRatio(each, lru(capacity));
      const s3Ratio = hitRatio(each, s3Fifo(capacity));
      const sieveRatio = hitRatio(each, sieve(capacity));
      const ratios = [lruRatio, sieveRatio, s3Ratio, s3Ratio - lruRatio, bestRatio(each, capacity)];
      rows.push([each.name, `${share * 100}%`, ...ratios.map(percent)]);
    }
  }
  return rows;
}
