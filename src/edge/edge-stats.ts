/**
 * The edge's counters: requests by operation and status, and the time to the first and the last byte. A count is a few
 * additions to existing objects, because it happens on every request.
 */
import { Histogram } from "../base/histogram.ts";
import type { ErrorCode } from "../base/orca-error.ts";
import { HotObjects } from "../figures/hot-objects.ts";
import type { ReadSource } from "../fill/read-path.ts";

export type Operation =
  | "get_object"
  | "head_object"
  | "list_objects"
  | "head_bucket"
  | "list_buckets"
  | "bucket_location"
  | "bucket_configuration"
  | "object_configuration"
  | "preflight"
  | "rejected";

export class EdgeStats {
  readonly requests: Record<Operation, Map<number, number>> = {
    get_object: new Map(),
    head_object: new Map(),
    list_objects: new Map(),
    head_bucket: new Map(),
    list_buckets: new Map(),
    bucket_location: new Map(),
    bucket_configuration: new Map(),
    object_configuration: new Map(),
    preflight: new Map(),
    rejected: new Map(),
  };
  /** Time until the first byte of an object is available, by its source. */
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
    bucket_configuration: new Histogram(),
    object_configuration: new Histogram(),
    preflight: new Histogram(),
    rejected: new Histogram(),
  };
  /** Errors that clients were answered with, or that cut their bodies short, by code. */
  readonly errors = new Map<ErrorCode, number>();
  /** Bytes of bodies that have ended, by the id of their origin. */
  readonly servedBytes = new Map<string, number>();
  readonly hotObjects = new HotObjects();
  /** Bodies cut short because their remaining bytes could not be read. */
  bodiesCut = 0;
  /** Clients that disconnected, or were disconnected as stalled, before their response was complete. */
  clientsGone = 0;
  /** Requests that took longer than `logging.slow_request`. */
  requestsSlow = 0;
  /** Connections ended because the client took no byte for too long. */
  clientsStalled = 0;
  /** Connections ended because the client took its bytes more slowly than `server.client_min_rate`. */
  clientsSlow = 0;
  /** Connections whose TLS handshake failed or did not end in time. */
  handshakesFailed = 0;
  /** Requests that could not be parsed as HTTP. */
  requestsMalformed = 0;

  countRequest(operation: Operation, status: number): void {
    const byStatus = this.requests[operation];
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
  }

  countError(code: ErrorCode): void {
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
  }

  countServed(originId: string, bytes: number): void {
    this.servedBytes.set(originId, (this.servedBytes.get(originId) ?? 0) + bytes);
  }
}
