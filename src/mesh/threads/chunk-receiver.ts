/**
 * Receives chunks from peers in a thread, on sessions of its own: TLS, HTTP/2 and the codec write the bytes to the places
 * in shared memory that the engine has named, and the engine learns how far they have come.
 *
 * A read tells of its first bytes and of each place (a block) that is full at once, and of other bytes after a few
 * milliseconds. So a peer that sends slowly is read as it sends, and one that sends fast costs a message for each block.
 *
 * Invariants:
 * 1. The places of a read are written to only before its `ended`, which is its last message. Each read has one.
 * 2. The timer runs only while bytes arrive.
 */
import { AssertionFailure } from "../../base/assert.ts";
import type { ByteSink } from "../../base/byte-sink.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Random } from "../../base/random.ts";
import { BatchedPort } from "../../base/threads/batched-port.ts";
import { type FillCall, LocalFillCalls } from "../fill-chunk/fill-calls.ts";
import { MeshClientTls } from "../session/mesh-client-tls.ts";
import type { PeerStats } from "../session/peer-session.ts";
import { Peers } from "../session/peers.ts";
import type { FromReceiver, Place, ReceiverData, ToReceiver } from "./receiver-messages.ts";
import { sentFault } from "./sent-fault.ts";

export interface ChunkReceiverOptions extends ReceiverData {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** How late the engine may learn of bytes inside a block. */
const reportMs = 10;

/** The places of one read, as the sink of its bytes. */
class Reception implements ByteSink {
  readonly id: number;
  readonly cancelling = new AbortController();
  arrivedBytes = 0;
  readonly #spaces: readonly Buffer[];
  readonly #onArrival: (reception: Reception, isDue: boolean) => void;
  /** The place of the next byte, and how much of it is filled. */
  #place = 0;
  #filledBytes = 0;

  constructor(
    id: number,
    places: readonly Place[],
    onArrival: (reception: Reception, isDue: boolean) => void,
  ) {
    this.id = id;
    this.#spaces = places.map(({ slab, offset, lengthBytes }) => Buffer.from(slab, offset, lengthBytes));
    this.#onArrival = onArrival;
  }

  space(): Buffer {
    return (this.#spaces[this.#place] as Buffer).subarray(this.#filledBytes);
  }

  advance(lengthBytes: number): void {
    const isFirst = this.arrivedBytes === 0;
    this.arrivedBytes += lengthBytes;
    this.#filledBytes += lengthBytes;
    const isFull = this.#filledBytes === this.#spaces[this.#place]?.length;
    if (isFull) {
      this.#place += 1;
      this.#filledBytes = 0;
    }
    this.#onArrival(this, isFirst || isFull);
  }
}

export class ChunkReceiver {
  readonly #port: BatchedPort<FromReceiver, ToReceiver>;
  readonly #tls: MeshClientTls | undefined;
  readonly #peers: Peers;
  readonly #calls: LocalFillCalls;
  readonly #clock: Clock;
  readonly #receptions = new Map<number, Reception>();
  /** Those with bytes that the engine does not know of. */
  readonly #unreported = new Set<Reception>();
  #timer: Timer | undefined;
  #isTimed = false;

  constructor({ port, tls, clock, random, logger, stallTimeoutMs, pingIntervalMs }: ChunkReceiverOptions) {
    this.#clock = clock;
    this.#port = new BatchedPort(port, clock, (message) => this.#take(message));
    this.#tls = tls && new MeshClientTls(tls.serverName, tls.files);
    this.#peers = new Peers({
      tls: this.#tls,
      clock,
      random,
      logger,
      pingIntervalMs,
      handshakes: {
        succeeded: (address) => this.#port.send({ kind: "connected", address }),
        count: (reason, address, _fields, message) =>
          this.#port.send({ kind: "notConnected", address, reason, message }),
      },
    });
    this.#calls = new LocalFillCalls({ peers: this.#peers, clock, timings: { stallTimeoutMs } });
  }

  /** Of its sessions. */
  get stats(): PeerStats {
    return this.#peers.stats;
  }

  #take(message: ToReceiver): void {
    switch (message.kind) {
      case "read":
        void this.#read(message.id, message.call, message.places);
        return;
      case "cancel":
        this.#receptions.get(message.id)?.cancelling.abort();
        return;
      case "retryNow":
        this.#peers.retryNow(message.address);
        return;
      case "drop":
        this.#peers.drop(message.address);
        return;
      case "certificate":
        this.#tls?.renew(message.files);
        return;
    }
  }

  /** Rejects for a bug alone, which ends the thread, and so the process. */
  async #read(id: number, call: FillCall, places: readonly Place[]): Promise<void> {
    const reception = new Reception(id, places, this.#onArrival);
    this.#receptions.set(id, reception);
    const { signal } = reception.cancelling;
    try {
      const end = await this.#calls.read(call, reception, signal);
      // A clone of a part of a buffer clones all of it.
      const sha256 = end.sha256 && Uint8Array.from(end.sha256);
      this.#end(reception, { end: { ...end, sha256 } });
    } catch (thrown) {
      if (thrown instanceof AssertionFailure) throw thrown;
      this.#end(reception, signal.aborted && thrown === signal.reason ? {} : { fault: sentFault(thrown) });
    }
  }

  #end(reception: Reception, outcome: Pick<Extract<FromReceiver, { kind: "ended" }>, "end" | "fault">): void {
    const { id, arrivedBytes: bytes } = reception;
    this.#receptions.delete(id);
    this.#unreported.delete(reception);
    this.#port.send({ kind: "ended", id, bytes, ...outcome });
  }

  readonly #onArrival = (reception: Reception, isDue: boolean): void => {
    if (isDue) {
      this.#report(reception);
      return;
    }
    this.#unreported.add(reception);
    if (this.#isTimed) return;
    this.#isTimed = true;
    if (this.#timer) this.#timer.refresh();
    else this.#timer = this.#clock.timer(reportMs, () => this.#reportAll());
  };

  #reportAll(): void {
    this.#isTimed = false;
    for (const reception of this.#unreported) this.#report(reception);
  }

  #report(reception: Reception): void {
    this.#unreported.delete(reception);
    this.#port.send({ kind: "arrived", id: reception.id, bytes: reception.arrivedBytes });
  }
}
