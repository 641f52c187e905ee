/**
 * What the edge counts: requests by operation and status, and how long the first and the last byte took. Counting is a
 * few additions in objects that exist already, because it happens on every request.
 */
import { Histogram } from "../base/histogram.ts";
import type { ReadSource } from "../fill/object-reader.ts";

export type Operation =
  | "get_object"
  | "head_object"
  | "list_objects"
  | "head_bucket"
  | "list_buckets"
  | "bucket_location"
  | "refused";

export class EdgeStats {
  readonly requests: Record<Operation, Map<number, number>> = {
    get_object: new Map(),
    head_object: new Map(),
    list_objects: new Map(),
    head_bucket: new Map(),
    list_buckets: new Map(),
    bucket_location: new Map(),
    refused: new Map(),
  };
  /** Until the first byte of an object is in hand, by where it came from. */
  readonly firstByteSeconds: Record<ReadSource, Histogram> = {
    memory: new Histogram(),
    disk: new Histogram(),
    cachestore: new Histogram(),
    peer: new Histogram(),
    origin: new Histogram(),
    join: new Histogram(),
  };
  readonly totalSeconds: Record<Operation, Histogram> = {
    get_object: new Histogram(),
    head_object: new Histogram(),
    list_objects: new Histogram(),
    head_bucket: new Histogram(),
    list_buckets: new Histogram(),
    bucket_location: new Histogram(),
    refused: new Histogram(),
  };
  /** Bodies cut short because their bytes could not be had any more. */
  bodiesCut = 0;
  /** Clients that went away, or were cut off as stalled, before their response was complete. */
  clientsGone = 0;
  /** Connections ended because the client took no byte for too long. */
  clientsStalled = 0;
  /** What could not be read as HTTP at all. */
  requestsMalformed = 0;

  countRequest(operation: Operation, status: number): void {
    const byStatus = this.requests[operation];
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
  }
}
