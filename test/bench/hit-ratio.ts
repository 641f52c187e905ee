/**
 * Hit ratios of the eviction policy on seeded traces, beside LRU, S3-FIFO as in its paper, and SIEVE. Part `hit-ratio` of
 * `npm run bench`; the test of the same name asks the same of smaller traces. Ratios are of requests, in percent, after a
 * warm-up of a fifth of the trace. Three bounds are promised: nowhere less than LRU, nowhere more than a point less than
 * the better of S3-FIFO and SIEVE, and ten points more than LRU where popularity is Zipf's and the cache holds a hundredth.
 */
import { noRow, type PolicyEntries } from "../../src/store/eviction/eviction-policy.ts";
import { mixedHash } from "../../src/store/eviction/shared-columns.ts";
import { TunedS3Fifo } from "../../src/store/eviction/tuned-s3-fifo.ts";
import { type CacheModel, lru, s3Fifo, sieve } from "./reference-policies.ts";
import { type RequestTrace, requestTraces, type TraceScale } from "./request-traces.ts";

export const cacheShares: readonly number[] = [0.01, 0.03, 0.1];
const fullScale: TraceScale = { keyCount: 12_000, requestCount: 300_000, seed: 0 };
const warmUpShare = 0.2;

/** Points, as the two below. Where two hold the same, one may have come to it a few requests later. */
const tie = 0.1;
const peerDeficitMax = 1;
const zipfGainMin = 10;

/** More rows than any trace has keys. */
const rowsMax = 100_000;

function orca(capacityBytes: number): CacheModel {
  const sizesBytes: number[] = [];
  // The row of a key is one more than the key.
  const entries: PolicyEntries = {
    sizeOf: (row) => sizesBytes[row] as number,
    hashOf: (row) => mixedHash(row),
  };
  const policy = new TunedS3Fifo(entries, rowsMax);
  const held = new Set<number>();
  return (key, sizeBytes) => {
    const row = key + 1;
    if (held.has(row)) {
      policy.touch(row);
      return true;
    }
    while (policy.bytes + sizeBytes > capacityBytes) {
      const victim = policy.evict();
      if (victim === noRow) return false;
      held.delete(victim);
    }
    sizesBytes[row] = sizeBytes;
    held.add(row);
    policy.insert(row);
    return false;
  };
}

function hitPercent({ keys, sizes }: RequestTrace, cache: CacheModel): number {
  const warmUp = keys.length * warmUpShare;
  let hits = 0;
  for (let request = 0; request < keys.length; request += 1) {
    const key = keys[request] as number;
    const isHit = cache(key, sizes[key] as number);
    if (isHit && request >= warmUp) hits += 1;
  }
  return (hits / (keys.length - warmUp)) * 100;
}

/** Of one trace and one size of cache, in percent. */
export interface HitRatios {
  readonly trace: string;
  readonly cacheShare: number;
  readonly orca: number;
  readonly lru: number;
  readonly s3Fifo: number;
  readonly sieve: number;
}

export function hitRatios(trace: RequestTrace, cacheShare: number): HitRatios {
  const capacityBytes = Math.floor(trace.setBytes * cacheShare);
  return {
    trace: trace.name,
    cacheShare,
    orca: hitPercent(trace, orca(capacityBytes)),
    lru: hitPercent(trace, lru(capacityBytes)),
    s3Fifo: hitPercent(trace, s3Fifo(capacityBytes)),
    sieve: hitPercent(trace, sieve(capacityBytes)),
  };
}

/** Which bounds do not hold, each with the points that are missing. */
export function brokenBounds(ratios: HitRatios): string[] {
  const gainMin = ratios.trace === "Zipf 1.0" && ratios.cacheShare === 0.01 ? zipfGainMin : -tie;
  const bounds: [string, number][] = [
    ["LRU", ratios.orca - ratios.lru - gainMin],
    ["S3-FIFO", ratios.orca - ratios.s3Fifo + peerDeficitMax + tie],
    ["SIEVE", ratios.orca - ratios.sieve + peerDeficitMax + tie],
  ];
  return bounds.flatMap(([name, points]) => (points < 0 ? [`${name} ${points.toFixed(2)}`] : []));
}

export const hitRatioHeadings = [
  "trace",
  "cache",
  "LRU",
  "S3-FIFO",
  "SIEVE",
  "Orca",
  "- LRU",
  "- S3-FIFO",
  "- SIEVE",
  "bounds",
];

/** A row per trace and size of cache. Takes about 45 s. */
export function hitRatioRows(scale = fullScale): string[][] {
  const rows: string[][] = [];
  for (const trace of requestTraces(scale)) {
    for (const cacheShare of cacheShares) {
      const ratios = hitRatios(trace, cacheShare);
      const { orca: own, lru: ofLru, s3Fifo: ofS3Fifo, sieve: ofSieve } = ratios;
      const figures = [ofLru, ofS3Fifo, ofSieve, own, own - ofLru, own - ofS3Fifo, own - ofSieve];
      const broken = brokenBounds(ratios);
      const verdict = broken.length === 0 ? "PASS" : `FAIL: ${broken.join(", ")}`;
      rows.push([
        trace.name,
        `${cacheShare * 100} %`,
        ...figures.map((figure) => figure.toFixed(1)),
        verdict,
      ]);
    }
  }
  return rows;
}
