/**
 * Sends spans that have ended, in batches. What the collector cannot take in time is dropped and counted: a trace is worth
 * no memory of a replica, and no wait of a client.
 *
 * Invariants:
 * 1. At most {@link spansMax} spans wait, and those of one batch are on their way.
 * 2. One timer runs while spans wait, and none else.
 */
import { type Clock, sleep, type Timer } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import { pages } from "../../base/pages.ts";
import type { Span, SpanSink } from "./span.ts";

export interface SpanExporter {
  /** @throws the reason why the collector did not take them. */
  send(spans: readonly Span[]): Promise<void>;
  close(): Promise<void>;
}

/** About 2 MiB. */
const spansMax = 4096;
const batchMax = 512;
const waitMs = 1000;
const closeMs = 2000;

export class SpanQueue implements SpanSink {
  readonly stats = { sent: 0, dropped: 0, failed: 0 };
  readonly #exporter: SpanExporter;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pace: LogPace;
  #waiting: Span[] = [];
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;
  #closed = false;

  constructor(exporter: SpanExporter, clock: Clock, logger: Logger) {
    this.#exporter = exporter;
    this.#clock = clock;
    this.#logger = logger;
    this.#pace = new LogPace(clock);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  ended(span: Span): void {
    if (this.#closed || this.#waiting.length >= spansMax) {
      this.stats.dropped += 1;
      return;
    }
    this.#waiting.push(span);
    if (this.#waiting.length >= batchMax) this.#flush();
    else this.#timer ??= this.#clock.timer(waitMs, () => this.#flush());
  }

  /** Sends what waits, and closes the exporter, which waits for a batch on its way: for two seconds at most. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const patience = new AbortController();
    const sent = (async () => {
      await this.#sending;
      this.#flush();
      await this.#sending;
    })();
    const late = sleep(this.#clock, closeMs, patience.signal).catch(() => undefined);
    try {
      await Promise.race([sent, late]);
      this.#timer?.cancel();
      this.stats.dropped += this.#waiting.length;
      this.#waiting = [];
      await Promise.race([this.#exporter.close(), late]);
    } finally {
      patience.abort();
    }
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#sending || this.#waiting.length === 0) return;
    const batch = this.#waiting.splice(0, batchMax);
    this.#sending = this.#send(batch).finally(() => {
      this.#sending = undefined;
      if (this.#waiting.length >= batchMax) this.#flush();
      else if (this.#waiting.length > 0) this.#timer ??= this.#clock.timer(waitMs, () => this.#flush());
    });
  }

  async #send(batch: readonly Span[]): Promise<void> {
    try {
      await this.#exporter.send(batch);
      this.stats.sent += batch.length;
    } catch (thrown) {
      this.stats.failed += batch.length;
      const suppressed = this.#pace.take("send");
      const fields = { event: "spans_not_sent", err: thrown, spans: batch.length, see: pages.tracing };
      if (suppressed)
        this.#logger.warn(
          { ...fields, ...suppressed },
          "Cannot send spans to the collector: they are dropped",
        );
    }
  }
}
