/** The end of a thread of the edge, with an engine that takes nothing, or takes everything. */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { AskedBuckets, AskedConfigured } from "../../../src/edge/threads/asked-origin.ts";
import { EngineDesk } from "../../../src/edge/threads/engine-desk.ts";
import { EngineLink } from "../../../src/edge/threads/engine-link.ts";
import type { Bucket } from "../../../src/object/bucket.ts";
import { Buckets, type OtherBuckets } from "../../../src/object/buckets.ts";
import { type FoundBucket, OpenBuckets } from "../../../src/object/open-buckets.ts";
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

function deskOf(context: TestContext, port: MessagePort, index: SharedIndex, buckets: Buckets): void {
  const desk = new EngineDesk(port, {
    origins: new Map([["o", { directory: { forget: () => {} } } as never]]),
    buckets,
    bodies: {} as never,
    warmRequests: {} as never,
    index,
    traceContexts: new TraceContexts(),
    clock: new FakeClock(),
    log: () => assert.fail("nothing is logged"),
  });
  context.after(() => desk.close());
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

  test("a bucket that the engine goes on serving is found in a thread that asks for it first", async (context) => {
    const { link, index, enginePort } = linkOf(context);
    const clock = new FakeClock();
    const bucket = {} as Bucket;
    const down = new OrcaError("origin_unavailable", "origin", "Cannot look at bucket: down");
    const looks = [undefined, down];
    const open = new OpenBuckets({
      isName: () => true,
      bucketOf: () => bucket,
      ask: async () => {
        const fault = looks.shift();
        if (fault) throw fault;
      },
      clock,
      ttlMs: 1000,
      negativeTtlMs: 1000,
      queueTimeoutMs: 1000,
    });
    await open.find("b");
    await clock.advance(1000);
    deskOf(context, enginePort, index, new Buckets(new Map(), { open } as unknown as OtherBuckets));
    const bucketOf = (): Bucket => bucket;
    const asked = new AskedBuckets({ link, clock, ttlMs: 1000, region: undefined, bucketOf });
    const found = (await asked.open.find("b")) as FoundBucket;
    assert.equal(found.bucket, bucket);
    assert.equal(found.fault?.code, "origin_unavailable");
    assert.equal(asked.open.get("b"), bucket);
  });

  test("messages that the engine has taken count no more", async (context) => {
    const { link, index, enginePort } = linkOf(context);
    deskOf(context, enginePort, index, new Buckets(new Map()));
    fill(link);
    await settle();
    const { error } = await link.ask<{ error?: { code: string } }>({ what: "findBucket", name: "b" });
    assert.equal(error?.code, "no_such_bucket");
  });
});
