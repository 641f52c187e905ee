import assert from "node:assert/strict";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { sentError } from "../../../src/edge/threads/sent-error.ts";
import { BytesListener } from "../../../src/replica/threads/bytes-listener.ts";
import type { ThreadHandle } from "../../../src/replica/threads/thread-handle.ts";
import type { FromEdgeThread, ToEdgeThread } from "../../../src/replica/threads/thread-messages.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";
import { neverDies } from "../../support/never-dies.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";

type Answer = FromEdgeThread | Error | "never";

/** A thread that answers what a test says, by the kind of the answer. */
class FakeThread {
  readonly sent: ToEdgeThread[] = [];
  readonly gauges: ThreadHandle["gauges"];
  readonly #answers: Readonly<Record<string, Answer>>;

  constructor(answers: Readonly<Record<string, Answer>>, notice: string | null = null) {
    this.#answers = answers;
    this.gauges = { connections: 0, requestsInFlight: 0, requestsPipelined: 0, lag: null, bytesPort: notice };
  }

  send(message: ToEdgeThread): void {
    this.sent.push(message);
  }

  answer<Kind extends FromEdgeThread["kind"]>(kind: Kind): Promise<Extract<FromEdgeThread, { kind: Kind }>> {
    const answer = this.#answers[kind];
    if (answer === "never") return new Promise(() => {});
    if (answer instanceof Error) return Promise.reject(answer);
    return Promise.resolve(answer as Extract<FromEdgeThread, { kind: Kind }>);
  }
}

const listens = { listeningForPeers: { kind: "listeningForPeers", error: undefined } } as const;

function listenerOf(threads: readonly FakeThread[], port = 0): { listener: BytesListener; clock: FakeClock } {
  const clock = new FakeClock();
  const options = { clock, logger: new RecordedLogger(), onDied: neverDies };
  return { listener: new BytesListener({ host: "127.0.0.1", port }, options, () => threads), clock };
}

async function takenPort(context: TestContext): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  context.after(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  return (server.address() as { port: number }).port;
}

test("BytesListener.start: all threads listen on one free port", async () => {
  const threads = [new FakeThread(listens), new FakeThread(listens)];
  const { listener } = listenerOf(threads);
  const port = await listener.start();
  assert.ok(port > 0);
  for (const { sent } of threads)
    assert.deepEqual(sent, [{ kind: "listenForPeers", host: "127.0.0.1", port }]);
});

test("BytesListener.start: a port that another process has fails the start, before a thread begins", async (context) => {
  const port = await takenPort(context);
  const thread = new FakeThread(listens);
  await assert.rejects(listenerOf([thread], port).listener.start(), {
    code: "config_invalid",
    message:
      /^Cannot listen for other replicas on "127\.0\.0\.1:\d+": .* set cluster\.bytes_listen to another one$/,
  });
  assert.deepEqual(thread.sent, []);
});

test("BytesListener.start: a thread that cannot listen fails the start with its error", async () => {
  const error = sentError(new OrcaError("config_invalid", "config", "Cannot listen: no descriptors"));
  const failing = { listeningForPeers: { kind: "listeningForPeers", error } } as const;
  await assert.rejects(listenerOf([new FakeThread(listens), new FakeThread(failing)]).listener.start(), {
    code: "config_invalid",
    message: "Cannot listen: no descriptors",
  });
});

test("BytesListener.drain: sums what was cut, and waits neither for a thread that died nor for one that hangs", async () => {
  const threads = [
    new FakeThread({ ...listens, peersDrained: { kind: "peersDrained", cut: 3 } }),
    new FakeThread({ ...listens, peersDrained: new Error("died") }),
    new FakeThread({ ...listens, peersDrained: "never" }),
  ];
  const { listener, clock } = listenerOf(threads);
  await listener.start();
  let cut: number | undefined;
  const drained = listener.drain(1000).then((count) => (cut = count));
  await clock.advance(4999);
  await settle();
  assert.equal(cut, undefined);
  await clock.advance(1);
  assert.equal(await drained, 3);
  assert.equal(clock.pendingTimers, 0);
  assert.deepEqual(threads[0]?.sent.at(-1), { kind: "drainPeers", timeoutMs: 1000 });
});

test("BytesListener.drain: one that has not started has nothing to drain", async () => {
  assert.equal(await listenerOf([new FakeThread({})]).listener.drain(1000), 0);
});

test("BytesListener.notice: the first that a thread has", async () => {
  const threads = [new FakeThread(listens), new FakeThread(listens, "no TLS with 10.0.0.1")];
  const { listener } = listenerOf(threads);
  assert.equal(listener.notice, null);
  await listener.start();
  assert.equal(listener.notice, "no TLS with 10.0.0.1");
});
