/**
 * What the mesh does for chunks, in memory: the bytes a ChunkServer answers with are copied from slice to sink, as they
 * would be over a wire. A test holds every fault in its hand: hosts that are gone, that swallow what they are sent, and
 * streams that are cut behind a byte.
 */

import type { ByteSink } from "../../src/base/byte-sink.ts";
import type { Clock } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import type { ChunkPeers, PeerRead, PeerReadEnd } from "../../src/fill/chunk-peers.ts";
import type { ChunkAnswer, ChunkServer } from "../../src/fill/chunk-server.ts";

export interface ChunkPeersNetworkOptions {
  readonly clock: Clock;
  readonly stallTimeoutMs: number;
  /** Passes the time that a message takes; rejects where it is lost. Messages take no time by default. */
  readonly carry?: (from: string, to: string) => Promise<void>;
}

/** One stream, from the asking to the asked replica. */
export interface ChunkStream {
  readonly from: string;
  readonly to: string;
  readonly request: PeerRead;
  receivedBytes: number;
}

export class ChunkPeersNetwork {
  readonly streams: ChunkStream[] = [];
  readonly hosts = new Map<string, ChunkServer>();
  /** Accept what they are sent, and never answer. */
  readonly blackHoles = new Set<string>();
  /** Called before each slice is handed over; what it throws cuts the stream there. */
  onSlice: (stream: ChunkStream) => void = () => {};
  /** Asked as a stream begins: after how many bytes it breaks off, be that within a slice. */
  cutAfterBytes: (stream: ChunkStream) => number | undefined = () => undefined;
  /** Asked as a stream begins: whether the replica refuses its offset. */
  refuses: (stream: ChunkStream) => boolean = () => false;
  readonly #options: ChunkPeersNetworkOptions;

  constructor(options: ChunkPeersNetworkOptions) {
    this.#options = options;
  }

  /** How `from` sees the others. */
  peersOf(from: string): ChunkPeers {
    return {
      read: (peer, request, sink, signal) => {
        const stream: ChunkStream = { from, to: peer.replicaId, request, receivedBytes: 0 };
        this.streams.push(stream);
        return this.#read(stream, sink, signal);
      },
    };
  }

  async #read(stream: ChunkStream, sink: ByteSink, signal: AbortSignal): Promise<PeerReadEnd> {
    const carry = this.#options.carry ?? (async () => {});
    await raced(carry(stream.from, stream.to), signal);
    if (this.blackHoles.has(stream.to)) await this.#stall(signal);
    if (this.refuses(stream)) {
      throw new OrcaError(
        "invalid_range",
        "mesh",
        `Cannot read from "${stream.to}": the offset is out of range`,
      );
    }
    const answer = this.#serverOf(stream).answer(stream.request);
    if (!answer) throw new OrcaError("not_held", "mesh", `Cannot read from "${stream.to}": it is not held`);
    try {
      await this.#transfer(stream, answer, sink, signal, carry);
    } finally {
      answer.slices.close();
    }
    return { source: answer.source, sha256: await answer.sha256() };
  }

  async #transfer(
    stream: ChunkStream,
    { slices }: ChunkAnswer,
    sink: ByteSink,
    signal: AbortSignal,
    carry: (from: string, to: string) => Promise<void>,
  ): Promise<void> {
    const cutAfterBytes = this.cutAfterBytes(stream) ?? Number.POSITIVE_INFINITY;
    while (!slices.done) {
      const slice = slices.take();
      if (slice === null) {
        await raced(slices.ready(), signal);
        this.#serverOf(stream);
        continue;
      }
      try {
        await raced(carry(stream.to, stream.from), signal);
        this.#serverOf(stream);
        this.onSlice(stream);
        const passed = slice.subarray(0, cutAfterBytes - stream.receivedBytes);
        copy(passed, sink);
        stream.receivedBytes += passed.length;
        if (passed.length < slice.length) throw cut(stream);
      } finally {
        slices.release();
      }
    }
  }

  #serverOf({ to }: ChunkStream): ChunkServer {
    const server = this.hosts.get(to);
    if (server) return server;
    throw new OrcaError("peer_unavailable", "mesh", `Cannot read from "${to}": it is gone`);
  }

  #stall(signal: AbortSignal): Promise<never> {
    const { clock, stallTimeoutMs } = this.#options;
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = clock.timer(stallTimeoutMs, () =>
      reject(new OrcaError("peer_unavailable", "mesh", `no byte came within ${stallTimeoutMs} ms`)),
    );
    return raced(promise, signal).finally(() => timer.cancel());
  }
}

function cut({ to, receivedBytes }: ChunkStream): OrcaError {
  const message = `Cannot read from "${to}": it broke off after ${receivedBytes} bytes`;
  return new OrcaError("peer_unavailable", "mesh", message);
}

function copy(slice: Buffer, sink: ByteSink): void {
  for (let at = 0; at < slice.length; ) {
    const copied = slice.copy(sink.space(), 0, at);
    at += copied;
    sink.advance(copied);
  }
}

/** `promise`, or the reason of `signal` as soon as it aborts. */
function raced<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => {});
    return Promise.reject(signal.reason as Error);
  }
  const { promise: outcome, resolve, reject } = Promise.withResolvers<T>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", onAbort, { once: true });
  promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  return outcome;
}
