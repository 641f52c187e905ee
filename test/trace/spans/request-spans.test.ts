import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestSpans } from "../../../src/trace/spans/request-spans.ts";
import type { Span } from "../../../src/trace/spans/span.ts";
import { TraceContexts } from "../../../src/trace/trace-contexts.ts";
import { FakeClock } from "../../support/fake-clock.ts";

function fixture(sampleRatio: number) {
  const ended: Span[] = [];
  const contexts = new TraceContexts();
  const sink = { ended: (span: Span) => void ended.push(span) };
  const spans = new RequestSpans({
    replicaId: "r0",
    sampleRatio,
    contexts,
    sink: sink as unknown as RequestSpans["sink"],
    clock: new FakeClock(),
  });
  const read = (requestId: string, chunks: number): void => {
    spans.step("request", requestId, {});
    for (let index = 0; index < chunks; index += 1)
      spans.step("first_bytes", requestId, { bucket: "b", key: "k", index, source: "memory" });
  };
  return { ended, contexts, spans, read };
}

test("RequestSpans: of all requests together 16,384 spans are remembered, and the newest request has room for its own", () => {
  const { ended, spans, read } = fixture(1);
  for (let request = 0; request < 200; request += 1) read(`q${request}`, 500);
  assert.ok(spans.openCount <= 16_384, `${spans.openCount}`);
  assert.equal(ended.length, 200 * 500, "each chunk has its span");
  spans.responded("q199", { status: 200 });
  assert.equal(ended.at(-1)?.name, "request");
  spans.responded("q0", { status: 200 });
  assert.equal(ended.length, 200 * 500 + 1, "what is forgotten has no span");
});

test("RequestSpans: a request that is forgotten, or begins again, counts no more", () => {
  const { spans, read } = fixture(1);
  for (let time = 0; time < 3; time += 1) read("q", 100);
  assert.equal(spans.openCount, 100);
  for (let request = 0; request < 3000; request += 1) read(`q${request}`, 1);
  assert.equal(spans.openCount, 2048);
});

test("RequestSpans: with a ratio of 0, only a request whose client says so is sampled", () => {
  const { contexts, ended, read, spans } = fixture(0);
  read("q", 1);
  contexts.accept("asked", `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, undefined);
  read("asked", 1);
  assert.deepEqual(
    ended.map(({ traceId }) => traceId),
    ["a".repeat(32)],
  );
  assert.equal(spans.openCount, 1);
});
