/**
 * The checks of `npm run bench -- hit-ratio` on some of the same traces, small enough for every day. The bounds are a
 * little wider: the contents of these caches are replaced only a few times, so the cost of learning shows.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type HitRatios, hitRatios } from "../bench/hit-ratio.ts";
import { type RequestTrace, requestTraces } from "../bench/request-traces.ts";

const names = new Set([
  "Zipf 1.0",
  "Zipf 0.8, mixed sizes",
  "Zipf 1.2, 30 % wonders",
  "Zipf 1.0, scans",
  "ranges of large objects",
  "Zipf 1.0, 50 % 3 readers 1 % apart",
  "Zipf 1.0, 50 % pairs 0.5 % apart",
  "Zipf 1.0, drifting",
]);
const lruDeficitMax = 0.3;
const peerDeficitMax = 1.5;
const zipfGainMin = 10;

const traces: RequestTrace[] = [];
for (const trace of requestTraces({ keyCount: 6000, requestCount: 120_000, seed: 1 })) {
  if (names.has(trace.name)) traces.push(trace);
}

function asText(ratios: HitRatios): string {
  const { orca, lru, s3Fifo, sieve } = ratios;
  const figures = Object.entries({ orca, lru, s3Fifo, sieve });
  return `of ${ratios.cacheShare}: ${figures.map(([name, percent]) => `${name} ${percent.toFixed(2)}`).join(", ")}`;
}

test("hit ratio: every named trace exists", () => {
  assert.deepEqual(new Set(traces.map((trace) => trace.name)), names);
});

for (const trace of traces) {
  test(`hit ratio: ${trace.name}: not below LRU, nor below S3-FIFO and SIEVE by more than the bound`, () => {
    for (const cacheShare of [0.03, 0.1]) {
      const ratios = hitRatios(trace, cacheShare);
      assert.ok(ratios.orca >= ratios.lru - lruDeficitMax, asText(ratios));
      assert.ok(ratios.orca >= Math.max(ratios.s3Fifo, ratios.sieve) - peerDeficitMax, asText(ratios));
    }
  });
}

test("hit ratio: ten points above LRU at Zipf 1.0 with a cache of a hundredth", () => {
  const zipf = traces.find((trace) => trace.name === "Zipf 1.0");
  assert.ok(zipf);
  const ratios = hitRatios(zipf, 0.01);
  assert.ok(ratios.orca >= ratios.lru + zipfGainMin, asText(ratios));
});
