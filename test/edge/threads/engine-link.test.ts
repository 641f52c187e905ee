/** The end of a thread of the edge, with an engine that takes nothing, or takes everything. */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { AskedBuckets, AskedConfigured } from "../../../src/edge/threads/asked-origin.ts";
import { EngineDesk } from "../../../src/edge/threads/engine-desk.ts";
import { EngineLink } from "../../../src/edge/threads/engine-link.ts";
import { Buckets } from "../../../src/object/buckets.ts";
import { SharedBlocks } from "../../../src/store/shared-index/shared-blocks.ts";
import { SharedIndex } from "../../../src/store/shared-index/shared-index.ts";
import { TraceContexts } from "../../../src/trace/trace-contexts.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";

const messagesMax = 32_768;

function linkOf(context: TestContext): { link: EngineLink; index: SharedIndex; enginePort: MessagePort } {
  const { port1: enginePort, port2 } = new MessageChannel();
  const index = new SharedIndex(1);
  const blocks = new SharedBlocks(index.memory);
  const link = new EngineLink(port2, { blocks, traceContexts: new TraceContexts(), clock: new FakeClock() });
  context.after(() => enginePort.close());
  return { link, index, enginePort };
}

function fill(link: EngineLink): void {
  for (let count = 0; count < messagesMax; count += 1) link.forget("o", { bucket: "b", key: "k" }, "e");
}

suite("EngineLink", () => {
  test("with an engine that takes nothing, questions and reads beyond the bound are overloaded", async (context) => {
    const { link } = linkOf(context);
    fill(link);
    const overloaded = { code: "overloaded", message: /^Cannot answer a request: 32768 messages/ };
    await assert.rejects(link.ask({ what: "findBucket", name: "b" }), overloaded);
    const version = new ObjectVersion({
      originId: "o",
      bucket: "b",
      objectKey: "k",
      etag: "e",
      sizeBytes: 1,
      chunkSizeBytes: 1024,
    });
    const listener = { asker: { requestId: "r", waits: undefined }, sliceCame: () => {}, failed: () => {} };
    assert.throws(() => link.open(version, 0, 1, listener), overloaded);
    assert.equal((await new AskedConfigured(link).faultOf("b"))?.code, "overloaded");
    const clock = new FakeClock();
    const buckets = new AskedBuckets({
      link,
      clock,
      ttlMs: 1,
      region: undefined,
      bucketOf: () => assert.fail("none is found"),
    });
    assert.equal(((await buckets.open.find("b")) as { code?: string }).code, "overloaded");
  });

  test("messages that the engine has taken count no more", async (context) => {
    const { link, index, enginePort } = linkOf(context);
    const desk = new EngineDesk(enginePort, {
      origins: new Map([["o", { directory: { forget: () => {} } } as never]]),
      buckets: new Buckets(new Map()),
      bodies: {} as never,
      warmRequests: {} as never,
      index,
      traceContexts: new TraceContexts(),
      log: () => assert.fail("nothing is logged"),
    });
    context.after(() => desk.close());
    fill(link);
    await settle();
    const { error } = await link.ask<{ error?: { code: string } }>({ what: "findBucket", name: "b" });
    assert.equal(error?.code, "no_such_bucket");
  });
});
