/**
 * What a request waited for, and how long. A request waits for one thing at a time: for metadata, for memory, for the
 * disk, or for a flight. A flight itself waits for one thing after the other (fetch-trace.ts), and a request that follows
 * it takes over what the flight waited for meanwhile.
 *
 * Invariant: the times add up to the time between each begin and its end, also when a request ends while it waits.
 */
import type { Clock } from "../base/clock.ts";

/**
 * `permit`: for a stream from a peer, or for a permit of the origin. `firstByte` of a chunk: from the origin, a peer or the
 * cachestore, with failed attempts and the pauses between them. `body`: the bytes after it.
 */
export type Wait = "metadata" | "memory" | "permit" | "disk" | "firstByte" | "body";

/** What a request that waits for a flight needs to know of it. */
export interface FollowedFetch {
  /** The peer that was asked last. */
  readonly replica: string | undefined;
  /** Adds what it has waited for until now to `waits`, or with a `sign` of -1 takes it off. */
  charge(waits: Pick<Waits, "ms" | "retries">, sign: 1 | -1): void;
}

export class Waits {
  readonly ms: Record<Wait, number> = { metadata: 0, memory: 0, permit: 0, disk: 0, firstByte: 0, body: 0 };
  /** Repeated attempts at the origin, and further peers, while this request waited. */
  retries = 0;
  /** The peer that was asked last for a chunk. */
  coordinator: string | undefined;
  /** Of the request that waits; empty where none is known. */
  readonly requestId: string;
  readonly #clock: Clock;
  #running: Wait | undefined;
  #sinceMs = 0;
  #fetch: FollowedFetch | undefined;

  constructor(clock: Clock, requestId = "") {
    this.#clock = clock;
    this.requestId = requestId;
  }

  begin(wait: Wait): void {
    this.end();
    this.#running = wait;
    this.#sinceMs = this.#clock.monotonic();
  }

  /** Begins to wait for a flight. */
  follow(fetch: FollowedFetch): void {
    this.end();
    this.#fetch = fetch;
    fetch.charge(this, -1);
  }

  /** Ends the wait that runs, if one does. */
  end(): void {
    if (this.#running) this.ms[this.#running] += this.#clock.monotonic() - this.#sinceMs;
    this.#running = undefined;
    const fetch = this.#fetch;
    if (!fetch) return;
    this.#fetch = undefined;
    fetch.charge(this, 1);
    this.coordinator = fetch.replica ?? this.coordinator;
  }
}
