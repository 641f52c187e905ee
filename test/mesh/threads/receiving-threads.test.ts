import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { MessagePort } from "node:worker_threads";
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { Flight } from "../../../src/fill/flight.ts";
import type { FillCall } from "../../../src/mesh/fill-chunk/fill-calls.ts";
import { FillStreamFault } from "../../../src/mesh/fill-chunk/fill-stream-fault.ts";
import type { FromReceiver, ReceiverData, ToReceiver } from "../../../src/mesh/threads/receiver-messages.ts";
import type { OpenedReceiver } from "../../../src/mesh/threads/receiving-threads.ts";
import { type ReceiversOptions, receiversOf } from "../../support/chunk-receivers.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { MemorySink } from "../../support/memory-sink.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { until } from "../../support/until.ts";

const never = new AbortController().signal;

function callOf(lengthBytes: number, address = "r1.test:1"): FillCall {
  return { address, request: {}, lengthBytes, headers: {} };
}

/** A thread that does what a test says. */
class ScriptedThread {
  readonly messages: ToReceiver[] = [];
  readonly data: ReceiverData;
  readonly #port: MessagePort;

  constructor(data: ReceiverData) {
    this.data = data;
    this.#port = data.port;
    data.port.on("message", (batch: readonly ToReceiver[]) => void this.messages.push(...batch));
  }

  send(...messages: FromReceiver[]): void {
    this.#port.postMessage(messages);
  }

  async next<Kind extends ToReceiver["kind"]>(kind: Kind): Promise<Extract<ToReceiver, { kind: Kind }>> {
    await until(() => this.messages.some((message) => message.kind === kind));
    const [found] = this.messages.splice(
      this.messages.findIndex((message) => message.kind === kind),
      1,
    );
    return found as Extract<ToReceiver, { kind: Kind }>;
  }
}

/** Threads that are scripted, and how each is ended. */
function scripted(context: TestContext, count: number, options: Partial<ReceiversOptions> = {}) {
  const receivers = receiversOf(context, {
    clock: new FakeClock(),
    logger: new RecordedLogger(),
    ...options,
  });
  const threads: ScriptedThread[] = [];
  const opened: OpenedReceiver[] = [];
  for (let index = 0; index < count; index += 1)
    opened.push(receivers.open((data) => void threads.push(new ScriptedThread(data))));
  return { ...receivers, opened, threads: receivers.threads, scripts: threads };
}

/** Whether a promise has settled, after all messages underway have arrived. */
async function hasSettled(
  promise: Promise<unknown>,
  thread: ScriptedThread,
  receivers: { retryNow(a: string): void },
) {
  let settled = false;
  const note = (): void => void (settled = true);
  promise.then(note, note);
  receivers.retryNow("r1.test:1");
  await thread.next("retryNow");
  return settled;
}

test("ReceivingThread.read: names places for all bytes, and tells the sink of them block by block", async (context) => {
  const { threads, scripts } = scripted(context, 1);
  const [thread] = scripts as [ScriptedThread];
  const sink = new MemorySink(2 * MiB + 100);
  const received: number[] = [];
  sink.onAdvance = (bytes) => received.push(bytes);
  const read = threads.read(callOf(sink.lengthBytes), sink, never);
  const { id, places } = await thread.next("read");
  assert.deepEqual(
    places.map(({ lengthBytes }) => lengthBytes),
    [MiB, MiB, 100],
  );
  for (const [index, { slab, offset, lengthBytes }] of places.entries())
    Buffer.from(slab, offset, lengthBytes).fill(index + 1);
  const sha256 = new Uint8Array(32).fill(7);
  thread.send(
    { kind: "arrived", id, bytes: 10 },
    { kind: "arrived", id, bytes: 2 * MiB + 50 },
    { kind: "ended", id, bytes: 2 * MiB + 100, end: { source: "disk", sha256 } },
  );
  assert.deepEqual(await read, { source: "disk", sha256 });
  sink.settle();
  sink.assertUntouched();
  assert.deepEqual(received, [10, MiB, 2 * MiB, 2 * MiB + 50, 2 * MiB + 100]);
  for (const [at, expected] of [1, 2, 3].entries()) assert.equal(sink.received[at * MiB], expected);
});

test("ReceivingThread.read: an abort cancels, and the read settles only when the thread has ended it", async (context) => {
  const { threads, scripts } = scripted(context, 1);
  const [thread] = scripts as [ScriptedThread];
  const sink = new MemorySink(2 * MiB);
  const abort = new AbortController();
  const read = threads.read(callOf(sink.lengthBytes), sink, abort.signal);
  const { id } = await thread.next("read");
  thread.send({ kind: "arrived", id, bytes: 1000 });
  await until(() => sink.receivedBytes === 1000);
  const reason = new Error("cut");
  abort.abort(reason);
  assert.equal((await thread.next("cancel")).id, id);
  thread.send({ kind: "arrived", id, bytes: MiB });
  assert.equal(await hasSettled(read, thread, threads), false);
  // It may have come to its end before it was cancelled.
  thread.send({ kind: "ended", id, bytes: 2 * MiB, end: { source: "memory", sha256: undefined } });
  await assert.rejects(read, reason);
  assert.equal(sink.receivedBytes, 1000, "what comes after the abort is not for the sink");
  sink.settle();
  sink.assertUntouched();
});

test("ReceivingThread.read: a sink that aborts after a block learns of no byte after it", async (context) => {
  const { threads, scripts } = scripted(context, 1);
  const [thread] = scripts as [ScriptedThread];
  const sink = new MemorySink(3 * MiB);
  const abort = new AbortController();
  sink.onAdvance = (bytes) => void (bytes === MiB && abort.abort(new Error("cut")));
  const read = threads.read(callOf(sink.lengthBytes), sink, abort.signal);
  const { id } = await thread.next("read");
  thread.send({ kind: "arrived", id, bytes: 2 * MiB + 1 });
  await thread.next("cancel");
  assert.equal(sink.receivedBytes, MiB);
  thread.send({ kind: "ended", id, bytes: 2 * MiB + 1 });
  await assert.rejects(read, /cut/);
});

test("ReceivingThread.read: a flight that is cut keeps its memory until the thread has ended its read", async (context) => {
  const { threads, scripts } = scripted(context, 1);
  const [thread] = scripts as [ScriptedThread];
  const version = new ObjectVersion({
    originId: "o",
    bucket: "b",
    objectKey: "k",
    etag: "e",
    sizeBytes: 4 * MiB,
    chunkSizeBytes: 4 * MiB,
  });
  const budget = new MemoryBudget({ maxBytes: 4 * MiB, clock: new FakeClock(), poison: true });
  const flight = new Flight(
    { version, index: 0 },
    "peer",
    { from: 0, to: 4 * MiB },
    { isWorthFinishing: () => false },
  );
  const reservation = budget.tryReserve(4 * MiB);
  assert.ok(reservation);
  flight.useMemory(reservation);
  flight.join();
  const fetched = flight.fetch(async (sink, signal) => {
    await threads.read(callOf(4 * MiB), sink, signal);
  }, never);
  const { id, places } = await thread.next("read");
  thread.send({ kind: "arrived", id, bytes: 10 });
  await until(() => flight.filled === 10);
  flight.leave();
  assert.equal(flight.to, MiB);
  for (const { slab, offset, lengthBytes } of places) Buffer.from(slab, offset, lengthBytes).fill(7);
  thread.send({ kind: "arrived", id, bytes: 2 * MiB + 10 });
  await thread.next("cancel");
  assert.equal(await hasSettled(fetched, thread, threads), false);
  assert.equal(budget.usedBytes, 4 * MiB);
  thread.send({ kind: "ended", id, bytes: 3 * MiB });
  await fetched;
  const chunk = flight.complete();
  assert.deepEqual([flight.filled, budget.usedBytes], [MiB, MiB]);
  assert.equal(chunk?.block(0)?.bytes.at(-1), 7);
  flight.close();
  assert.equal(budget.usedBytes, 0);
});

test("ReceivingThread.read: what the sink throws ends the read, once the thread has ended it, and nothing else", async (context) => {
  const { threads, scripts } = scripted(context, 1);
  const [thread] = scripts as [ScriptedThread];
  const sink = new MemorySink(1000);
  sink.onAdvance = () => {
    throw new Error("a bug");
  };
  const read = threads.read(callOf(1000), sink, never);
  const { id } = await thread.next("read");
  thread.send({ kind: "arrived", id, bytes: 10 }, { kind: "arrived", id, bytes: 20 });
  await thread.next("cancel");
  assert.equal(await hasSettled(read, thread, threads), false);
  thread.send({ kind: "ended", id, bytes: 20 });
  await assert.rejects(read, /a bug/);
  assert.equal(sink.receivedBytes, 10);
});

test("ReceivingThread.read: with an aborted signal the thread is not asked", async (context) => {
  const { threads, scripts } = scripted(context, 1);
  const [thread] = scripts as [ScriptedThread];
  const reason = new Error("before");
  await assert.rejects(threads.read(callOf(1000), new MemorySink(1000), AbortSignal.abort(reason)), reason);
  threads.read(callOf(10), new MemorySink(10), never).catch(() => {});
  assert.equal((await thread.next("read")).call.lengthBytes, 10);
});

test("ReceivingThreads: a thread that ends breaks its reads off, which keep what came, and others take its peers", async (context) => {
  const { threads, scripts, opened } = scripted(context, 2);
  const [first, second] = scripts as [ScriptedThread, ScriptedThread];
  const sink = new MemorySink(1000);
  const read = threads.read(callOf(1000), sink, never);
  const { id } = await first.next("read");
  first.send({ kind: "arrived", id, bytes: 300 });
  await until(() => sink.receivedBytes === 300);
  opened[0]?.close();
  const fault = await read.catch((thrown: unknown) => thrown);
  assert.ok(fault instanceof FillStreamFault);
  assert.equal(fault.kind, "truncated");
  sink.settle();
  sink.assertUntouched();
  threads.read(callOf(1000), new MemorySink(1000), never).catch(() => {});
  await second.next("read");
});

test("ReceivingThreads: each peer belongs to one thread, and a new one to the thread with the fewest", async (context) => {
  const { threads, scripts } = scripted(context, 3);
  for (let round = 0; round < 2; round += 1)
    for (let peer = 1; peer <= 6; peer += 1)
      threads.read(callOf(10, `r${peer}.test:1`), new MemorySink(10), never).catch(() => {});
  for (const thread of scripts) {
    await until(() => thread.messages.length === 4);
    const asked = thread.messages.map((message) => (message.kind === "read" ? message.call.address : ""));
    assert.equal(new Set(asked).size, 2);
  }
});

test("ReceivingThreads: news about a peer goes to its thread alone, and after a drop another thread may have it", async (context) => {
  const { threads, scripts } = scripted(context, 2);
  const [first, second] = scripts as [ScriptedThread, ScriptedThread];
  for (const address of ["r1.test:1", "r2.test:1"])
    threads.read(callOf(10, address), new MemorySink(10), never).catch(() => {});
  threads.retryNow("r1.test:1");
  threads.drop("r2.test:1");
  threads.retryNow("r2.test:1");
  threads.drop("unknown.test:1");
  await until(() => first.messages.length + second.messages.length === 4);
  assert.deepEqual(
    first.messages.map(({ kind }) => kind),
    ["read", "retryNow"],
  );
  assert.deepEqual(
    second.messages.map(({ kind }) => kind),
    ["read", "drop"],
  );
});

test("ReceivingThreads: a thread gets the certificate that is in use, and each renewed one", async (context) => {
  const watchers: ((files: object) => void)[] = [];
  const tls = {
    serverName: "cluster.test",
    contextOptions: { cert: "first" },
    watch: (onChange: (files: object) => void) => void watchers.push(onChange),
  };
  const { scripts } = scripted(context, 2, { tls });
  assert.deepEqual(scripts[0]?.data.tls, { serverName: "cluster.test", files: { cert: "first" } });
  for (const onChange of watchers) onChange({ cert: "second" });
  for (const thread of scripts)
    assert.deepEqual((await thread.next("certificate")).files, { cert: "second" });
});

test("ReceivingThreads: without a thread, the thread that asks receives", async (context) => {
  const { threads } = receiversOf(context, {
    clock: new FakeClock(),
    logger: new RecordedLogger(),
    local: { read: async () => ({ source: "memory", sha256: undefined }) },
  });
  const { source } = await threads.read(callOf(10), new MemorySink(10), never);
  assert.equal(source, "memory");
});

test("ReceivingThreads: connections of a thread are counted, logged and shown as those of this one", async (context) => {
  const { scripts, handshakes } = scripted(context, 1);
  const [thread] = scripts as [ScriptedThread];
  const address = "r1.test:1";
  thread.send({ kind: "notConnected", address, reason: "expired", message: "Cannot connect to r1.test:1" });
  await until(() => handshakes.counts.expired === 1);
  assert.match(handshakes.notice ?? "", /r1\.test:1: certificate \(expired\)/);
  thread.send({ kind: "connected", address });
  await until(() => handshakes.notice === null);
});
