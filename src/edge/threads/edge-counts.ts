/** What a thread of the edge has counted since it was asked last. The engine adds it to its own counters at a scrape. */
import type { HistogramCounts } from "../../base/histogram.ts";
import type { ErrorCode } from "../../base/orca-error.ts";
import type { HotObject } from "../../figures/replica-figures.ts";
import type { EdgeStats, Operation } from "../edge-stats.ts";

const plainCounts = [
  "bodiesCut",
  "clientsGone",
  "requestsSlow",
  "clientsStalled",
  "clientsSlow",
  "handshakesFailed",
  "requestsMalformed",
] as const;

export interface EdgeCounts {
  readonly requests: readonly (readonly [operation: Operation, status: number, count: number])[];
  readonly firstByteSeconds: Readonly<Record<string, HistogramCounts>>;
  readonly totalSeconds: Readonly<Record<string, HistogramCounts>>;
  readonly errors: readonly (readonly [code: ErrorCode, count: number])[];
  /** By the id of the origin. */
  readonly servedBytes: readonly (readonly [originId: string, bytes: number])[];
  /** As it is now: the engine puts it in the place of the last one. */
  readonly hotObjects: readonly HotObject[];
  readonly plain: Readonly<Record<(typeof plainCounts)[number], number>>;
}

export function drainEdge(stats: EdgeStats): EdgeCounts {
  const requests = Object.entries(stats.requests).flatMap(([operation, byStatus]) => {
    const counted = [...byStatus].map(([status, count]) => [operation as Operation, status, count] as const);
    byStatus.clear();
    return counted;
  });
  const plain = Object.fromEntries(plainCounts.map((name) => [name, stats[name]])) as EdgeCounts["plain"];
  for (const name of plainCounts) stats[name] = 0;
  const [errors, servedBytes] = [[...stats.errors], [...stats.servedBytes]];
  stats.errors.clear();
  stats.servedBytes.clear();
  return {
    requests,
    errors,
    servedBytes,
    hotObjects: stats.hotObjects.list(),
    firstByteSeconds: drained(stats.firstByteSeconds),
    totalSeconds: drained(stats.totalSeconds),
    plain,
  };
}

/** `thread` is the name of the thread that has counted. */
export function addEdge(stats: EdgeStats, thread: string, counts: EdgeCounts): void {
  stats.hotObjects.setOther(thread, counts.hotObjects);
  for (const [code, count] of counts.errors) stats.errors.set(code, (stats.errors.get(code) ?? 0) + count);
  for (const [originId, bytes] of counts.servedBytes) stats.countServed(originId, bytes);
  for (const [operation, status, count] of counts.requests) {
    const byStatus = stats.requests[operation];
    byStatus.set(status, (byStatus.get(status) ?? 0) + count);
  }
  for (const [source, histogram] of Object.entries(stats.firstByteSeconds)) {
    histogram.add(counts.firstByteSeconds[source] as HistogramCounts);
  }
  for (const [operation, histogram] of Object.entries(stats.totalSeconds)) {
    histogram.add(counts.totalSeconds[operation] as HistogramCounts);
  }
  for (const name of plainCounts) stats[name] += counts.plain[name];
}

function drained(histograms: EdgeStats["firstByteSeconds"] | EdgeStats["totalSeconds"]) {
  return Object.fromEntries(Object.entries(histograms).map(([name, each]) => [name, each.drain()]));
}
