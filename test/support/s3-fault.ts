/**
 * What can go wrong at an S3 origin, as a script that a test writes beforehand: each request takes the next fault in
 * its queue, so a run is the same every time. Gates stand in for slowness. A test waits until the server has reached
 * one and opens it when it is done looking, and nobody sleeps.
 */
import { assert } from "../../src/base/assert.ts";

export type S3Operation =
  | "GET"
  | "HEAD"
  | "LIST"
  | "PUT"
  | "DELETE"
  | "HEAD_BUCKET"
  | "LIST_BUCKETS"
  | "CREATE_BUCKET"
  | "GET_VERSIONING";

/** A point that an answer does not pass until the test lets it. */
export class Gate {
  /** Body bytes that are sent before the gate; undefined holds the answer back before its head. */
  readonly afterBytes: number | undefined;
  readonly #opened = Promise.withResolvers<void>();
  readonly #watchers = new Set<{ readonly count: number; readonly reached: () => void }>();
  #arrivals = 0;

  constructor(afterBytes?: number) {
    this.afterBytes = afterBytes;
  }

  get arrivals(): number {
    return this.#arrivals;
  }

  /** Resolves when the first answer stands at the gate. */
  get reached(): Promise<void> {
    return this.reachedBy(1);
  }

  /** Resolves when `count` answers have come to the gate. */
  reachedBy(count: number): Promise<void> {
    if (this.#arrivals >= count) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#watchers.add({ count, reached: resolve });
    return promise;
  }

  /** Opens the gate, for those that wait and for those that will come. */
  release(): void {
    this.#opened.resolve();
  }

  /** @internal For the server: resolves when the gate is open. */
  pass(): Promise<void> {
    this.#arrivals += 1;
    for (const watcher of this.#watchers) {
      if (this.#arrivals < watcher.count) continue;
      this.#watchers.delete(watcher);
      watcher.reached();
    }
    return this.#opened.promise;
  }
}

/** Faults compose: `{ delayHeadMs: 50, cutAfterBytes: 1000 }` is a late answer that breaks off. `{}` is none. */
export interface Fault {
  /** TCP reset before any byte of the answer. */
  readonly reset?: true;
  readonly gate?: Gate;
  /** Milliseconds of the server's clock before the head. */
  readonly delayHeadMs?: number;
  /** Bytes that are no HTTP in place of the head; then the connection ends. */
  readonly garbageHead?: true;
  /** An error answer of this status, with an XML body. A PUT's own body is not waited for. */
  readonly status?: number;
  /** The S3 error code of such an answer, where the status alone does not name it. */
  readonly code?: string;
  /** Set over the answer's own headers, errors and objects alike; null takes a header away. Raw, so ETags need quotes. */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** Answers 200 and the whole object whatever `Range` says. */
  readonly ignoreRange?: true;
  /** Sends the object whatever `If-Match` and the other conditions say, as some clones of S3 do. */
  readonly ignoreConditions?: true;
  /** Pace of the body, by the server's clock. */
  readonly bytesPerSecond?: number;
  /** Ends the connection after this many body bytes. */
  readonly cutAfterBytes?: number;
  /** Sends no more after this many body bytes and keeps the connection open until the client or the server closes it. */
  readonly stallAfterBytes?: number;
  /**
   * Added to the true Content-Length. Below zero, bytes follow the declared body; above zero, the connection ends
   * before the declared body is complete.
   */
  readonly contentLengthDelta?: number;
  /** Bytes of junk after a complete body. The client sees them as part of its next answer on this connection. */
  readonly extraBytes?: number;
  /** `Transfer-Encoding: chunked` in place of a Content-Length. */
  readonly chunked?: true;
}

const none: Fault = {};

interface Rule {
  readonly operation: S3Operation | "*";
  readonly key: string;
  readonly queue: Fault[];
  readonly lasting: boolean;
}

/** Keys are object keys, the prefix for LIST, "" for buckets; `*` matches every operation and every key. */
export class FaultScript {
  #rules: Rule[] = [];

  /** Each matching request takes one fault of `faults`, in order; `{}` lets one pass. Queues come before `always`. */
  next(operation: S3Operation | "*", key: string, ...faults: readonly Fault[]): void {
    if (faults.length === 0) return;
    this.#rules.push({ operation, key, queue: [...faults], lasting: false });
  }

  /** Every matching request has `fault`. A later call goes before an earlier one. */
  always(operation: S3Operation | "*", key: string, fault: Fault): void {
    this.#rules.push({ operation, key, queue: [fault], lasting: true });
  }

  /** Holds the next matching answer: before its head, or after `afterBytes` bytes of its body. */
  hold(operation: S3Operation | "*", key: string, afterBytes?: number): Gate {
    const gate = new Gate(afterBytes);
    this.next(operation, key, { gate });
    return gate;
  }

  clear(): void {
    this.#rules = [];
  }

  /** @internal For the server: the fault of a request that has just come in. */
  take(operation: S3Operation, key: string): Fault {
    const matching = this.#rules.filter(
      (rule) =>
        (rule.operation === "*" || rule.operation === operation) && (rule.key === "*" || rule.key === key),
    );
    const queued = matching.find((rule) => !rule.lasting);
    if (!queued) return matching.at(-1)?.queue[0] ?? none;
    const fault = queued.queue.shift();
    if (queued.queue.length === 0) this.#rules.splice(this.#rules.indexOf(queued), 1);
    assert(fault !== undefined, "a queue of faults in the script is not empty");
    return fault;
  }
}
