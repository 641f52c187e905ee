/**
 * Load in a process of its own, on all cores, so that two kinds of load do not wait for each other: hits at a fixed pace
 * with the time that each took, and cold objects as fast as they come.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { pid } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { MiB } from "../../src/base/units.ts";
import { freeOfCore } from "./contender.ts";
import { LoadConnection, type LoadRequest } from "./http-load.ts";

export interface Probe {
  readonly kind: "probe";
  readonly port: number;
  readonly connections: number;
  readonly perSecond: number;
  readonly durationMs: number;
  /** Read whole, in turn. */
  readonly objects: readonly LoadRequest[];
}

interface Stream {
  readonly kind: "stream";
  readonly port: number;
  readonly connections: number;
}

type Order = Probe | Stream | { readonly kind: "stop" };

/** In milliseconds, sorted. */
type Times = readonly number[];

interface Streamed {
  readonly bytes: number;
  readonly seconds: number;
}

export class LoadProcess {
  readonly #child: ChildProcess = fork(new URL(import.meta.url), [], { serialization: "advanced" });

  readonly #ended = once(this.#child, "exit");

  constructor() {
    freeOfCore(this.#child);
  }

  async probe(probe: Omit<Probe, "kind">): Promise<Times> {
    this.#child.send({ kind: "probe", ...probe } satisfies Order);
    return (await this.#answer()) as Times;
  }

  /** Streams cold objects through a server until {@link endStream}. */
  stream(port: number, connections: number): void {
    this.#child.send({ kind: "stream", port, connections } satisfies Order);
  }

  /** Bytes a second. */
  async endStream(): Promise<number> {
    this.#child.send({ kind: "stop" } satisfies Order);
    const { bytes, seconds } = (await this.#answer()) as Streamed;
    return bytes / seconds;
  }

  end(): void {
    this.#child.kill("SIGKILL");
  }

  async #answer(): Promise<unknown> {
    const [answer] = (await Promise.race([
      once(this.#child, "message"),
      this.#ended.then(() => {
        throw new Error("the process that makes the load has ended");
      }),
    ])) as [unknown];
    return answer;
  }
}

/**
 * A request that must wait for the one before it on its connection counts from when it was due: a server that stalls would
 * else be asked less often while it does.
 */
async function hitTimes({ port, connections, perSecond, durationMs, objects }: Probe): Promise<Times> {
  const times: number[] = [];
  const intervalMs = (1000 * connections) / perSecond;
  const startMs = performance.now() + 10;
  await Promise.all(
    Array.from({ length: connections }, async (_, index) => {
      const connection = new LoadConnection(port);
      let at = index;
      for (let dueMs = startMs + index * (intervalMs / connections); dueMs < startMs + durationMs; ) {
        const aheadMs = dueMs - performance.now();
        if (aheadMs > 0) await sleep(aheadMs);
        const fromMs = aheadMs > 0 ? performance.now() : dueMs;
        await connection.get(objects[at % objects.length] as LoadRequest);
        times.push(performance.now() - fromMs);
        at += connections;
        dueMs += intervalMs;
      }
      connection.close();
    }),
  );
  return times.toSorted((left, right) => left - right);
}

const streamedSizeBytes = 64 * MiB;
let objectsStreamed = 0;

async function streamed({ port, connections }: Stream, isOver: () => boolean): Promise<Streamed> {
  const startedMs = performance.now();
  let bytes = 0;
  const all = Array.from({ length: connections }, () => {
    return new LoadConnection(port, (part) => {
      bytes += part.length;
    });
  });
  const reads = all.map(async (connection) => {
    for (;;) {
      objectsStreamed += 1;
      const path = `/bench/streamed-${pid}-${objectsStreamed}-${streamedSizeBytes}`;
      await connection.get({ path, range: "", bodyBytes: streamedSizeBytes });
    }
  });
  while (!isOver()) await Promise.race([sleep(20), ...reads]);
  for (const connection of all) connection.close();
  return { bytes, seconds: (performance.now() - startedMs) / 1000 };
}

function obey(): void {
  let isOver = false;
  const follow = async (order: Probe | Stream): Promise<void> => {
    process.send?.(order.kind === "probe" ? await hitTimes(order) : await streamed(order, () => isOver));
  };
  process.on("message", (order: Order) => {
    isOver = order.kind === "stop";
    if (order.kind !== "stop") void follow(order);
  });
}

if (import.meta.main && process.send) obey();
