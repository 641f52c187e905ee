/** Readers of distinct cold objects that take a little and rest a while, all of them at once. */
import { KiB } from "../../src/base/units.ts";
import { freshObject } from "./cold.ts";
import type { Contender } from "./contender.ts";
import { LoadConnection } from "./http-load.ts";

export interface SlowReadersResult {
  readonly failed: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Of the readers that were served to the end. */
  readonly firstByteP99Ms: number;
  readonly peakRssBytes: number;
}

const restMs = 500;
const betweenRestsBytes = 512 * KiB;

export async function slowReaders(
  contender: Contender,
  readers: number,
  sizeBytes: number,
): Promise<SlowReadersResult> {
  const startedMs = performance.now();
  const cpuBefore = contender.cpuSeconds();
  const outcomes = await Promise.allSettled(
    Array.from({ length: readers }, () => readSlowly(contender, sizeBytes)),
  );
  const firstBytesMs = outcomes
    .flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []))
    .toSorted((left, right) => left - right);
  return {
    failed: readers - firstBytesMs.length,
    seconds: (performance.now() - startedMs) / 1000,
    cpuSeconds: contender.cpuSeconds() - cpuBefore,
    firstByteP99Ms:
      firstBytesMs[Math.min(firstBytesMs.length - 1, Math.floor(firstBytesMs.length * 0.99))] ?? 0,
    peakRssBytes: contender.peakRssBytes(),
  };
}

/** When its first byte came, in milliseconds. */
async function readSlowly({ port }: Contender, sizeBytes: number): Promise<number> {
  let sinceRest = 0;
  const connection: LoadConnection = new LoadConnection(port, (bytes) => {
    sinceRest += bytes.length;
    if (sinceRest < betweenRestsBytes) return;
    sinceRest = 0;
    connection.pause();
    setTimeout(() => connection.resume(), restMs);
  });
  try {
    return (await connection.get(freshObject(sizeBytes, "dawdle"))).firstByteMs;
  } finally {
    connection.close();
  }
}
