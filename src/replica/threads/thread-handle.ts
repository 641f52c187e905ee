/** A thread that serves clients, as the main thread sees it: its worker, and the desk that answers its questions. */
import { MessageChannel, Worker } from "node:worker_threads";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { EngineDesk, type EngineDeskOptions } from "../../edge/threads/engine-desk.ts";
import { receivedError } from "../../edge/threads/sent-error.ts";
import type { ReceivingThreads } from "../../mesh/threads/receiving-threads.ts";
import type { LoadedThread, LoopTime } from "../../ops/thread-loads.ts";
import type { FromEdgeThread, ThreadData, ThreadGauges, ToEdgeThread } from "./thread-messages.ts";

export interface ThreadHandleOptions extends EngineDeskOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onDied: (error: OrcaError) => void;
  /** Undefined in a cluster of one. */
  readonly receivers?: Pick<ReceivingThreads, "open"> | undefined;
  /** The module that the thread runs; for tests. */
  readonly threadModule?: URL;
}

/** A thread sends counts each second. One that is silent for this long is said to hang. */
const silentMaxMs = 5000;

export class ThreadHandle implements LoadedThread {
  readonly #worker: Worker;
  readonly #desk: EngineDesk;
  readonly #onMessage: (message: FromEdgeThread) => void;
  readonly #waiting = new Map<FromEdgeThread["kind"], PromiseWithResolvers<FromEdgeThread>>();
  readonly name: string;
  /** Since the thread began, as it was measured last. */
  cpuSeconds = 0;
  gauges: ThreadGauges = {
    connections: 0,
    requestsInFlight: 0,
    requestsPipelined: 0,
    lag: null,
    bytesPort: null,
  };
  readonly #clock: Clock;
  /** When the thread sent something last. Undefined before it listens. */
  #heardMs: number | undefined;
  #isStopping = false;
  #died: OrcaError | undefined;

  constructor(
    name: string,
    data: Omit<ThreadData, "link" | "receiver">,
    options: ThreadHandleOptions,
    onMessage: (message: FromEdgeThread) => void,
  ) {
    this.name = name;
    this.#clock = options.clock;
    const { port1, port2 } = new MessageChannel();
    this.#desk = new EngineDesk(port1, options);
    this.#onMessage = onMessage;
    const receiver = options.receivers?.open();
    const receiverPort = receiver?.data.port;
    this.#worker = new Worker(options.threadModule ?? new URL("./edge-thread.ts", import.meta.url), {
      name,
      workerData: { ...data, link: port2, receiver: receiver?.data } satisfies ThreadData,
      transferList: receiverPort ? [port2, receiverPort] : [port2],
    });
    this.#worker.on("message", (message: FromEdgeThread) => this.#take(message));
    this.#worker.on("error", (error: Error) => this.#die(options, name, error));
    this.#worker.on("exit", () => {
      port1.close();
      this.#desk.close();
      receiver?.close();
      this.#die(options, name, new Error("it ended"));
    });
  }

  get connections(): number {
    return this.gauges.connections;
  }

  /** Does not ask the thread. */
  loopTime(): LoopTime {
    return this.#worker.performance.eventLoopUtilization();
  }

  /** Null while the thread is on time. One that hangs cannot tell that itself. @see EventLoopLag.notice */
  get lagNotice(): string | null {
    const { name, gauges } = this;
    const silentMs = this.#clock.monotonic() - (this.#heardMs ?? this.#clock.monotonic());
    if (silentMs > silentMaxMs) {
      return `thread ${name}: it hangs, and its clients wait: its last message is ${Math.round(silentMs / 1000)} s old`;
    }
    return gauges.lag === null ? null : `thread ${name}: ${gauges.lag}`;
  }

  send(message: ToEdgeThread): void {
    this.#worker.postMessage(message);
  }

  /** The next message of this kind, or one that says that it failed. */
  async answer<Kind extends FromEdgeThread["kind"]>(
    kind: Kind,
  ): Promise<Extract<FromEdgeThread, { kind: Kind }>> {
    if (this.#died) throw this.#died;
    let waiting = this.#waiting.get(kind);
    if (waiting === undefined) {
      waiting = Promise.withResolvers();
      this.#waiting.set(kind, waiting);
    }
    return (await waiting.promise) as Extract<FromEdgeThread, { kind: Kind }>;
  }

  /** Serves for a rehearsal until the returned function has ended. Resolves with the port on loopback. @throws Error */
  async rehearse(
    data: Omit<ThreadData, "link" | "receiver">,
    engine: Omit<EngineDeskOptions, "log" | "clock">,
  ): Promise<{ readonly port: number; readonly end: () => Promise<void> }> {
    const { port1, port2 } = new MessageChannel();
    // What a rehearsal logs is about objects that do not exist.
    const desk = new EngineDesk(port1, { ...engine, clock: this.#clock, log: () => {} });
    const end = async (): Promise<void> => {
      this.send({ kind: "endRehearsal" });
      await this.answer("rehearsed").catch(() => {});
      desk.close();
      port1.close();
    };
    this.#worker.postMessage(
      { kind: "rehearse", data: { ...data, link: port2, receiver: undefined } } satisfies ToEdgeThread,
      [port2],
    );
    const { port, fault } = await this.answer("rehearsing");
    if (fault === undefined) return { port, end };
    await end();
    throw new Error(fault);
  }

  async measure(): Promise<void> {
    const { user, system } = await this.#worker.cpuUsage();
    this.cpuSeconds = (user + system) / 1e6;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#worker.terminate();
  }

  #take(message: FromEdgeThread): void {
    // Before it listens, a thread speaks only when it is asked.
    if (message.kind === "listening" || this.#heardMs !== undefined) this.#heardMs = this.#clock.monotonic();
    this.#onMessage(message);
    const kind = message.kind === "failed" ? "listening" : message.kind;
    const waiting = this.#waiting.get(kind);
    this.#waiting.delete(kind);
    if (message.kind === "failed") waiting?.reject(receivedError(message.error));
    else waiting?.resolve(message);
  }

  #die({ onDied, logger }: ThreadHandleOptions, name: string, cause: Error): void {
    const message = `Thread "${name}" died: ${cause.message}`;
    const error = new OrcaError("internal", "edge", message, { cause });
    this.#died ??= error;
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
    if (this.#isStopping) return;
    this.#isStopping = true;
    logger.error(
      { error, stack: cause.stack },
      "A thread met a bug, and Orca stops. Please report this line.",
    );
    onDied(error);
  }
}
