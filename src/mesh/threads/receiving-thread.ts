/**
 * The engine's end of a thread that receives chunks from peers. It names the places for all bytes of a read beforehand,
 * because the thread cannot wait for one: to hold up one stream would hold up its session. And it tells the sink of the
 * bytes as the thread reports them, block by block, so that a sink that is cut after a block sees each end of one.
 *
 * Invariants:
 * 1. A read settles when the thread has said that it ended, or when there is no thread any more. So nobody writes to
 *    memory whose owner has given it up, whatever the signal says.
 * 2. After the signal has aborted, or the sink has thrown, the sink is not used.
 */
import type { MessagePort } from "node:worker_threads";
import type { PlacedSink } from "../../base/byte-sink.ts";
import type { Clock } from "../../base/clock.ts";
import { BatchedPort } from "../../base/threads/batched-port.ts";
import type { PeerReadEnd } from "../../fill/chunk-peers.ts";
import type { FillCall, FillCalls } from "../fill-chunk/fill-calls.ts";
import { FillStreamFault } from "../fill-chunk/fill-stream-fault.ts";
import type { Handshakes } from "../session/handshake-failures.ts";
import type { FromReceiver, Place, ToReceiver } from "./receiver-messages.ts";
import { receivedFault } from "./sent-fault.ts";

interface Read extends PromiseWithResolvers<PeerReadEnd> {
  readonly sink: PlacedSink;
  readonly signal: AbortSignal;
  readonly onAbort: () => void;
  arrivedBytes: number;
  /** What the sink has thrown. */
  fault: { readonly thrown: unknown } | undefined;
}

export class ReceivingThread implements FillCalls {
  readonly #port: BatchedPort<ToReceiver, FromReceiver>;
  readonly #handshakes: Handshakes;
  readonly #reads = new Map<number, Read>();
  #lastId = 0;
  #isClosed = false;

  constructor(port: MessagePort, clock: Clock, handshakes: Handshakes) {
    this.#port = new BatchedPort(port, clock, (message) => this.#take(message));
    this.#handshakes = handshakes;
  }

  /** Reads in progress. */
  get reads(): number {
    return this.#reads.size;
  }

  async read(call: FillCall, sink: PlacedSink, signal: AbortSignal): Promise<PeerReadEnd> {
    signal.throwIfAborted();
    if (this.#isClosed) throw ended();
    const places = placesOf(sink, call.lengthBytes);
    this.#lastId += 1;
    const id = this.#lastId;
    const onAbort = (): void => this.#port.send({ kind: "cancel", id });
    const read: Read = {
      ...Promise.withResolvers<PeerReadEnd>(),
      sink,
      signal,
      onAbort,
      arrivedBytes: 0,
      fault: undefined,
    };
    this.#reads.set(id, read);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#port.send({ kind: "read", id, call, places });
    return read.promise;
  }

  send(message: Extract<ToReceiver, { kind: "retryNow" | "drop" | "certificate" }>): void {
    this.#port.send(message);
  }

  /** The thread has ended, and writes no more. */
  close(): void {
    this.#isClosed = true;
    for (const [id, read] of this.#reads) this.#settle(id, read, ended());
  }

  #take(message: FromReceiver): void {
    switch (message.kind) {
      case "connected":
        this.#handshakes.succeeded(message.address);
        return;
      case "notConnected": {
        const { reason, address } = message;
        this.#handshakes.count(reason, address, { address }, message.message);
        return;
      }
      case "arrived": {
        const read = this.#reads.get(message.id);
        if (read) this.#advance(message.id, read, message.bytes);
        return;
      }
      case "ended": {
        const { id, bytes, end, fault } = message;
        const read = this.#reads.get(id);
        if (!read) return;
        this.#advance(id, read, bytes);
        this.#settle(id, read, end ?? (fault ? receivedFault(fault) : read.signal.reason));
      }
    }
  }

  #advance(id: number, read: Read, bytes: number): void {
    const { sink, signal } = read;
    try {
      while (read.arrivedBytes < bytes && !signal.aborted && !read.fault) {
        const lengthBytes = Math.min(bytes - read.arrivedBytes, sink.space().length);
        read.arrivedBytes += lengthBytes;
        sink.advance(lengthBytes);
      }
    } catch (thrown) {
      read.fault = { thrown };
      this.#port.send({ kind: "cancel", id });
    }
  }

  #settle(id: number, { signal, onAbort, fault, resolve, reject }: Read, outcome: PeerReadEnd | Error): void {
    this.#reads.delete(id);
    signal.removeEventListener("abort", onAbort);
    if (fault) reject(fault.thrown);
    else if (signal.aborted) reject(signal.reason);
    else if (outcome instanceof Error) reject(outcome);
    else resolve(outcome);
  }
}

function placesOf(sink: PlacedSink, lengthBytes: number): Place[] {
  const places: Place[] = [];
  for (let at = 0; at < lengthBytes; ) {
    const { buffer, byteOffset, length } = sink.spaceAhead(at);
    const placed = Math.min(length, lengthBytes - at);
    places.push({ slab: buffer as unknown as SharedArrayBuffer, offset: byteOffset, lengthBytes: placed });
    at += placed;
  }
  return places;
}

function ended(): FillStreamFault {
  return new FillStreamFault("truncated", "the thread that received it has ended");
}
