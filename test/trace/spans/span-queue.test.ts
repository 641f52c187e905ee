import assert from "node:assert/strict";
import { test } from "node:test";
import type { Span } from "../../../src/trace/spans/span.ts";
import { SpanQueue } from "../../../src/trace/spans/span-queue.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";

const span: Span = {
  traceId: "a".repeat(32),
  spanId: "b".repeat(16),
  parentId: "",
  name: "n",
  kind: "internal",
  startMs: 0,
  endMs: 1,
  attributes: {},
  isError: false,
};

/** A collector that answers when the test lets it. */
function fixture(closing = Promise.resolve()) {
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const batches: { size: number; answer: PromiseWithResolvers<void> }[] = [];
  let closed = 0;
  const exporter = {
    send: (spans: readonly Span[]) => {
      const answer = Promise.withResolvers<void>();
      batches.push({ size: spans.length, answer });
      return answer.promise;
    },
    close: () => {
      closed += 1;
      return closing;
    },
  };
  const queue = new SpanQueue(exporter, clock, logger);
  const end = (count: number): void => {
    for (let each = 0; each < count; each += 1) queue.ended(span);
  };
  return { clock, logger, batches, queue, end, closed: () => closed };
}

test("SpanQueue: spans are sent after a second, or 512 at once, one batch after the other", async () => {
  const { clock, batches, queue, end } = fixture();
  end(3);
  assert.equal(batches.length, 0);
  await clock.advance(1000);
  assert.deepEqual(
    batches.map(({ size }) => size),
    [3],
  );
  end(600);
  assert.equal(batches.length, 1, "one batch is on its way");
  batches[0]?.answer.resolve();
  await clock.advance(0);
  assert.deepEqual(
    batches.map(({ size }) => size),
    [3, 512],
  );
  batches[1]?.answer.resolve();
  await clock.advance(1000);
  assert.equal(batches[2]?.size, 88);
  batches[2]?.answer.resolve();
  await clock.advance(0);
  assert.deepEqual([queue.stats, clock.pendingTimers], [{ sent: 603, dropped: 0, failed: 0 }, 0]);
});

test("SpanQueue: what a slow collector does not take is dropped and counted, a failure is logged once a minute", async () => {
  const { clock, logger, batches, queue, end } = fixture();
  end(512 + 4096 + 7);
  assert.deepEqual([queue.waiting, queue.stats.dropped, batches.length], [4096, 7, 1]);
  batches[0]?.answer.reject(new Error("busy"));
  await clock.advance(0);
  batches[1]?.answer.reject(new Error("busy"));
  await clock.advance(0);
  assert.deepEqual([queue.stats.failed, logger.count("warn"), queue.waiting], [1024, 1, 3072]);
});

test("SpanQueue: a close sends what waits, for two seconds at most, and takes no more", async () => {
  const quick = fixture();
  quick.end(2);
  const closing = quick.queue.close();
  await quick.clock.advance(0);
  quick.batches[0]?.answer.resolve();
  await closing;
  assert.deepEqual([quick.queue.stats.sent, quick.closed(), quick.clock.pendingTimers], [2, 1, 0]);
  quick.end(1);
  assert.equal(quick.queue.stats.dropped, 1);
  // As that of OpenTelemetry, which waits for the batch that is on its way.
  const hanging = fixture(new Promise(() => undefined));
  hanging.end(700);
  const late = hanging.queue.close();
  await hanging.clock.advance(2000);
  await late;
  assert.deepEqual([hanging.queue.stats.dropped, hanging.closed(), hanging.clock.pendingTimers], [188, 1, 0]);
});
