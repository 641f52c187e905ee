/** Threads that receive chunks, without threads: the two ends of their ports in one event loop, with one clock. */
import type { TestContext } from "node:test";
import { SeededRandom } from "../../src/base/random.ts";
import type { FillCalls } from "../../src/mesh/fill-chunk/fill-calls.ts";
import { HandshakeFailures } from "../../src/mesh/session/handshake-failures.ts";
import { ChunkReceiver } from "../../src/mesh/threads/chunk-receiver.ts";
import type { ReceiverData } from "../../src/mesh/threads/receiver-messages.ts";
import {
  type OpenedReceiver,
  ReceivingThreads,
  type ReceivingThreadsOptions,
} from "../../src/mesh/threads/receiving-threads.ts";
import type { FakeClock } from "./fake-clock.ts";
import type { RecordedLogger } from "./recorded-logger.ts";

export interface ReceiversOptions extends Partial<ReceivingThreadsOptions> {
  readonly clock: FakeClock;
  readonly logger: RecordedLogger;
}

export interface Receivers {
  readonly threads: ReceivingThreads;
  readonly handshakes: HandshakeFailures;
  /** Begins to use a thread, which `run` is. */
  readonly open: (run: (data: ReceiverData) => void) => OpenedReceiver;
}

/** Fails where the thread that asks is to receive. */
const nobody: FillCalls = { read: () => Promise.reject(new Error("this thread receives nothing")) };

export function receiversOf(context: TestContext, { clock, logger, ...rest }: ReceiversOptions): Receivers {
  const handshakes = new HandshakeFailures(clock, logger);
  const timings = { stallTimeoutMs: 5000, pingIntervalMs: 5000 };
  const threads = new ReceivingThreads({
    local: nobody,
    tls: undefined,
    handshakes,
    clock,
    peersMax: 100,
    ...timings,
    ...rest,
  });
  const open: Receivers["open"] = (run) => {
    const opened = threads.open();
    context.after(() => opened.close());
    run(opened.data);
    return opened;
  };
  return { threads, handshakes, open };
}

/** The calls of a client whose chunks another thread receives. */
export function callsOfThread(context: TestContext, options: ReceiversOptions): FillCalls {
  const { clock, logger } = options;
  const { threads, open } = receiversOf(context, options);
  open((data) => void new ChunkReceiver({ ...data, clock, logger, random: new SeededRandom(1) }));
  return threads;
}
