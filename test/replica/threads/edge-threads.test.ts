/** Threads of the edge that end when they should not. */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import type { SecureContextOptions } from "node:tls";
import type { OrcaError } from "../../../src/base/orca-error.ts";
import { pages } from "../../../src/base/pages.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { EdgeStats } from "../../../src/edge/edge-stats.ts";
import { drainEdge } from "../../../src/edge/threads/edge-counts.ts";
import { Buckets } from "../../../src/object/buckets.ts";
import { Revocations, revocationMemory } from "../../../src/object/freshness/revocations.ts";
import { ReleaseStack } from "../../../src/replica/release-stack.ts";
import { EdgeThreads, type EdgeThreadsOptions } from "../../../src/replica/threads/edge-threads.ts";
import type { ThreadCounts } from "../../../src/replica/threads/thread-messages.ts";
import { SharedIndex } from "../../../src/store/shared-index/shared-index.ts";
import { TraceContexts } from "../../../src/trace/trace-contexts.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { until } from "../../support/until.ts";

/** Two threads that run `code` in place of the edge. */
function threadsOf(
  context: TestContext,
  code: string,
  { tls, log }: Partial<Pick<EdgeThreadsOptions, "tls" | "log">> = {},
): {
  threads: EdgeThreads;
  options: EdgeThreadsOptions;
  died: OrcaError[];
  clock: FakeClock;
  logger: RecordedLogger;
} {
  const died: OrcaError[] = [];
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const options: EdgeThreadsOptions = {
    config: loadConfig({
      env: {},
      overrides: {
        server: { threads: 2, listen: "127.0.0.1:0" },
        origin: { id: "o", driver: "file", file: { root: "/srv" } },
      },
    }),
    replicaId: "r",
    places: { configured: [], other: undefined },
    revocations: new Revocations(revocationMemory(10)),
    origins: new Map(),
    buckets: new Buckets(new Map()),
    bodies: {} as never,
    warmRequests: {} as never,
    index: new SharedIndex(1),
    traceContexts: new TraceContexts(),
    counters: { edge: new EdgeStats(), add: () => {} },
    logger,
    accessLogger: logger,
    access: undefined,
    tls,
    log,
    clock,
    onDied: (error) => died.push(error),
    threadModule: new URL(`data:text/javascript,${encodeURIComponent(code)}`),
  };
  const threads = new EdgeThreads(options);
  context.after(() => threads.close());
  return { threads, options, died, clock, logger };
}

const listens = `
  import { parentPort } from "node:worker_threads";
  const address = { address: "127.0.0.1", family: "IPv4", port: 4711 };
  parentPort.on("message", ({ kind, port }) => {
    if (kind === "listen") parentPort.postMessage({ kind: "listening", address });
    if (kind === "drain") throw new Error("a bug");
    if (kind === "announceStop") parentPort.close();
  });`;

const counts: ThreadCounts = {
  edge: drainEdge(new EdgeStats()),
  memoryHits: 0,
  memoryBytes: 0,
  lookups: {},
  access: undefined,
  acceptErrors: 0,
  pipelinesCut: 0,
  peers: undefined,
  linesDropped: 0,
  bytesPort: undefined,
  gauges: { connections: 3, requestsInFlight: 3, requestsPipelined: 0, lag: null, bytesPort: null },
};

/** The first thread hangs with three requests when it is to drain, and the second one has cut four. */
const oneHangs = `
  import { parentPort, threadName } from "node:worker_threads";
  const counts = ${JSON.stringify(counts)};
  const send = (message) => parentPort.postMessage(message);
  parentPort.on("message", ({ kind }) => {
    if (kind === "listen") {
      send({ kind: "counts", counts });
      send({ kind: "listening", address: {} });
    }
    if (kind !== "drain") return;
    if (threadName === "orca-edge-1") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    send({ kind: "drained", cut: 4 });
    send({ kind: "counts", counts: { ...counts, acceptErrors: 1 } });
  });`;

/** The second one cannot rehearse. */
const oneRehearses = `
  import { parentPort, threadName } from "node:worker_threads";
  const send = (message) => parentPort.postMessage(message);
  const answers = {
    rehearse: () =>
      send({ kind: "rehearsing", ...(threadName === "orca-edge-1" ? { port: 4712 } : { port: 0, fault: "no port" }) }),
    endRehearsal: () => send({ kind: "rehearsed" }),
    collect: () => send({ kind: "collected", counts: ${JSON.stringify(counts)} }),
    listen: () => send({ kind: "listening", address: { port: 4711 } }),
  };
  parentPort.on("message", ({ kind }) => answers[kind]());`;

type TlsChange = (context: SecureContextOptions) => void;

/** Each logs the keys of each certificate. */
const tellsKeys = `
  import { parentPort, workerData } from "node:worker_threads";
  const tell = ({ ticketKeys }) => {
    const message = Buffer.from(ticketKeys).toString("hex");
    workerData.link.postMessage([{ kind: "line", level: "info", fields: {}, message }]);
  };
  tell(workerData.certificate);
  parentPort.on("message", ({ kind, certificate }) => {
    if (kind === "certificate") tell(certificate);
    if (kind === "listen") parentPort.postMessage({ kind: "listening", address: {} });
  });`;

/** Each logs at once whether it logs debug events. */
const tellsDebug = `
  import { parentPort, threadName, workerData } from "node:worker_threads";
  const tell = (isDebug) => {
    const message = \`\${threadName} \${isDebug}\`;
    workerData.link.postMessage([{ kind: "line", level: "info", fields: {}, message }]);
  };
  tell(workerData.isDebug);
  parentPort.on("message", ({ kind, isDebug }) => {
    if (kind === "debug") tell(isDebug);
    if (kind === "listen") parentPort.postMessage({ kind: "listening", address: {} });
  });`;

suite("EdgeThreads", () => {
  test("start: a thread that fails before it listens fails the start", async (context) => {
    const { threads, died } = threadsOf(context, "throw new Error('cannot be loaded')");
    // Both fail, and either may be the first.
    await assert.rejects(threads.start(), {
      code: "internal",
      message: /Thread "orca-edge-[12]" died: cannot be loaded/,
    });
    assert(died.length >= 1);
  });

  test("drain: a bug in a thread ends the wait, and the replica learns of it once for each thread", async (context) => {
    const { threads, died } = threadsOf(context, listens);
    assert.equal((await threads.start()).port, 4711);
    assert.equal(await threads.drain(1000), 0);
    assert.equal(await threads.drain(1000), 0);
    await threads.close();
    assert(died.length >= 1 && died.length <= 2);
    assert.match(died[0]?.message ?? "", /^Thread "orca-edge-[12]" died: a bug$/);
  });

  test("drain: a thread that hangs is named and holds up nobody, and what it served counts as cut", async (context) => {
    const { threads, clock, logger } = threadsOf(context, oneHangs);
    await threads.start();
    const drained = threads.drain(1000);
    await until(() => threads.acceptErrors === 1);
    await clock.advance(4999);
    assert.equal(logger.count("warn"), 0);
    await clock.advance(1);
    assert.equal(await drained, 3 + 4);
    assert.deepEqual(logger.events, [
      {
        level: "warn",
        fields: { thread: "orca-edge-1", see: pages.stop },
        message: "A thread that serves clients hangs, and is ended with its responses",
      },
    ]);
    assert.equal(clock.pendingTimers, 0);
  });

  test("lagNotice: a thread that sends nothing is named, because it cannot tell that itself", async (context) => {
    const { threads, clock } = threadsOf(context, listens);
    await clock.advance(60_000);
    await threads.start();
    await clock.advance(5000);
    assert.equal(threads.lagNotice(), null);
    await clock.advance(1000);
    const late = "it hangs, and its clients wait: its last message is 6 s old";
    assert.equal(threads.lagNotice(), `thread orca-edge-1: ${late}`);
  });

  test("rehearse: a thread that cannot is left out, serves all the same, and is not silent meanwhile", async (context) => {
    const { threads, options, clock, logger } = threadsOf(context, oneRehearses);
    const held = new ReleaseStack(logger, clock);
    assert.deepEqual(await threads.rehearse(options, held), [4712]);
    await held.unwind();
    // A page of metrics before the start.
    await threads.collect();
    await clock.advance(60_000);
    assert.equal(threads.lagNotice(), null);
    assert.equal((await threads.start()).port, 4711);
    assert.deepEqual(logger.events, []);
    assert.equal(clock.pendingTimers, 0);
  });

  test("start: all threads have the same keys of tickets, and others with another certificate", async (context) => {
    const changes: TlsChange[] = [];
    const tls = {
      secureContextOptions: {},
      watch: (change: TlsChange) => void changes.push(change),
      stop: () => {},
    };
    const { threads, logger } = threadsOf(context, tellsKeys, { tls });
    await threads.start();
    changes[0]?.({});
    const keysTold = (): string[] => logger.events.map(({ message }) => message);
    await until(() => keysTold().length === 4);
    const [first, second, ...others] = [...new Set(keysTold())];
    assert.match(`${first} ${second}`, /^[0-9a-f]{96} [0-9a-f]{96}$/);
    assert.deepEqual(others, []);
    assert.equal(keysTold().filter((keys) => keys === first).length, 2);
  });

  test("start: threads learn at once that the level of the log has changed", async (context) => {
    const changes: (() => void)[] = [];
    const log = { level: { watch: (onChange: () => void) => void changes.push(onChange) } };
    const { threads, logger } = threadsOf(context, tellsDebug, { log });
    logger.isDebug = false;
    await threads.start();
    logger.isDebug = true;
    for (const change of changes) change();
    await until(() => logger.events.length === 4);
    assert.deepEqual(logger.events.map(({ message }) => message).sort(), [
      "orca-edge-1 false",
      "orca-edge-1 true",
      "orca-edge-2 false",
      "orca-edge-2 true",
    ]);
  });

  test("close: neither a start nor a rehearsal in progress begins threads that nobody would end", async (context) => {
    const { threads, options, clock, logger, died } = threadsOf(context, oneRehearses);
    const starting = threads.start();
    await Promise.all([
      threads.close(),
      assert.rejects(starting, { code: "internal", message: /are closed/ }),
    ]);
    const held = new ReleaseStack(logger, clock);
    await assert.rejects(threads.rehearse(options, held), { code: "internal", message: /are closed/ });
    assert.equal(threads.loaded().length, 0);
    assert.deepEqual(died, []);
  });

  test("close: threads that are ended are no bug", async (context) => {
    const { threads, died } = threadsOf(context, listens);
    await threads.start();
    await threads.close();
    assert.deepEqual(died, []);
  });
});
