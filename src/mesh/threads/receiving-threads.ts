/**
 * Chunks from peers, received by other threads: each peer by one of them, so that a replica opens as many connections as
 * with one thread. A peer that is new goes to the thread that has the fewest. While no thread runs, as before the start
 * and after the stop, this thread receives.
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { PlacedSink } from "../../base/byte-sink.ts";
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { PeerReadEnd } from "../../fill/chunk-peers.ts";
import type { FillCall, FillCalls } from "../fill-chunk/fill-calls.ts";
import type { Handshakes } from "../session/handshake-failures.ts";
import type { MeshTls } from "../session/mesh-tls.ts";
import type { ReceiverData } from "./receiver-messages.ts";
import { ReceivingThread } from "./receiving-thread.ts";

export interface ReceivingThreadsOptions extends Pick<ReceiverData, "stallTimeoutMs" | "pingIntervalMs"> {
  /** Where this thread receives. */
  readonly local: FillCalls;
  /** Undefined for a mesh without TLS. */
  readonly tls: Pick<MeshTls, "serverName" | "contextOptions" | "watch"> | undefined;
  readonly handshakes: Handshakes;
  readonly clock: Clock;
  /** As many as a view has members. */
  readonly peersMax: number;
}

/** For a new thread. */
export interface OpenedReceiver {
  /** `port` is to be transferred. */
  readonly data: ReceiverData;
  /** The thread has ended, and writes no more. */
  close(): void;
}

export class ReceivingThreads implements FillCalls {
  readonly #options: ReceivingThreadsOptions;
  readonly #threads = new Set<ReceivingThread>();
  /** By address. */
  readonly #byPeer: LruMap<string, ReceivingThread>;

  constructor(options: ReceivingThreadsOptions) {
    this.#options = options;
    this.#byPeer = new LruMap({ entriesMax: options.peersMax });
    options.tls?.watch((files) => {
      for (const thread of this.#threads) thread.send({ kind: "certificate", files });
    });
  }

  read(call: FillCall, sink: PlacedSink, signal: AbortSignal): Promise<PeerReadEnd> {
    const calls = this.#threadOf(call.address) ?? this.#options.local;
    return calls.read(call, sink, signal);
  }

  /** @see Peers.retryNow */
  retryNow(address: string): void {
    this.#byPeer.peek(address)?.send({ kind: "retryNow", address });
  }

  /** @see Peers.drop */
  drop(address: string): void {
    this.#byPeer.peek(address)?.send({ kind: "drop", address });
    this.#byPeer.delete(address);
  }

  /** Begins to use a thread that is about to start. */
  open(): OpenedReceiver {
    const { port1, port2 } = new MessageChannel();
    const { clock, handshakes } = this.#options;
    const thread = new ReceivingThread(port1, clock, handshakes);
    this.#threads.add(thread);
    return { data: this.#dataOf(port2), close: () => this.#close(thread, port1) };
  }

  #close(thread: ReceivingThread, port: MessagePort): void {
    this.#threads.delete(thread);
    for (const address of this.#byPeer.anyKeys())
      if (this.#byPeer.peek(address) === thread) this.#byPeer.delete(address);
    port.close();
    thread.close();
  }

  #dataOf(port: MessagePort): ReceiverData {
    const { tls, stallTimeoutMs, pingIntervalMs } = this.#options;
    const sentTls = tls && { serverName: tls.serverName, files: tls.contextOptions };
    return { port, tls: sentTls, stallTimeoutMs, pingIntervalMs };
  }

  #threadOf(address: string): ReceivingThread | undefined {
    const known = this.#byPeer.get(address);
    if (known) return known;
    let fewest: ReceivingThread | undefined;
    for (const thread of this.#threads)
      if (fewest === undefined || this.#peersOf(thread) < this.#peersOf(fewest)) fewest = thread;
    if (fewest) this.#byPeer.set(address, fewest);
    return fewest;
  }

  #peersOf(thread: ReceivingThread): number {
    return [...this.#byPeer.values()].filter((other) => other === thread).length;
  }
}
