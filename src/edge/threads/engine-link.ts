/**
 * The end of a thread of the edge on the way to the engine: sends questions and reads, and knows which answer is for which.
 * What the engine waited for on behalf of a request is added to what the request waited for.
 *
 * A read that the engine has begun with its answer to a look-up has the id of the question. It is kept here from the answer
 * to the end of the turn: its request takes it over then, or it is ended.
 *
 * Invariant: with {@link messagesMax} messages on their way, no question, read or sampled step is added. Requests whose
 * clients have left count no more for `server.max_requests`, but what they have asked stays on its way.
 */
import type { MessagePort } from "node:worker_threads";
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { BatchedPort } from "../../base/threads/batched-port.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { PeerSource } from "../../fill/chunk-peers.ts";
import type { ReadSource } from "../../fill/read-path.ts";
import type { ObjectLocation } from "../../origin/origin.ts";
import type { SharedBlocks } from "../../store/shared-index/shared-blocks.ts";
import type { Asker } from "../../trace/trace.ts";
import type { TraceContexts } from "../../trace/trace-contexts.ts";
import { type Wait, Waits } from "../../trace/waits.ts";
import {
  type FromSampled,
  type Question,
  type SentAsker,
  type SentPeerRead,
  type SentWaits,
  sentVersion,
  type ToEngine,
  type ToThread,
} from "./question.ts";
import { receivedError } from "./sent-error.ts";

/** Learns of a read that the engine does. */
export interface ReadListener {
  readonly asker: Asker;
  /** A range that another replica reads. */
  readonly forPeer?: SentPeerRead | undefined;
  accepted?(source: PeerSource): void;
  sliceCame(bytes: Buffer, source: ReadSource): void;
  failed(error: OrcaError): void;
}

/** Of a KiB or so each. More wait only where the engine is far behind. */
const messagesMax = 32_768;

interface Asked extends PromiseWithResolvers<unknown> {
  readonly asker: Asker | undefined;
}

export interface EngineLinkOptions {
  readonly blocks: SharedBlocks;
  readonly traceContexts: TraceContexts;
  readonly clock: Clock;
}

export class EngineLink {
  /** Called with the number of lines of the log that the engine has taken. */
  onLogged: (lines: number) => void = () => {};
  readonly #options: EngineLinkOptions;
  readonly #port: BatchedPort<ToEngine, ToThread>;
  readonly #asked = new Map<number, Asked>();
  readonly #reads = new Map<number, ReadListener>();
  /** By the requests that have asked. Each is taken over by {@link takeBegun}, or ended by {@link dropBegun}. */
  readonly #begun = new Map<Asker, BegunRead>();
  #lastId = 0;
  /** Messages that are not known to have arrived. */
  #underway = 0;

  constructor(port: MessagePort, options: EngineLinkOptions) {
    this.#options = options;
    this.#port = new BatchedPort(port, options.clock, (message) => this.#take(message));
  }

  /** @throws OrcaError overloaded where the engine is far behind, else as the part of the engine that answers. */
  ask<Answer>(question: Question, asker?: Asker): Promise<Answer> {
    if (this.#isFull) return Promise.reject(overloaded());
    this.#lastId += 1;
    const id = this.#lastId;
    const asked: Asked = { ...Promise.withResolvers<unknown>(), asker };
    this.#asked.set(id, asked);
    this.#send({ kind: "ask", id, question, asker: asker && this.#sent(asker) });
    return asked.promise as Promise<Answer>;
  }

  /** The SHA-256 of a chunk, if the engine's disk knows it. Rejects as {@link ask} does. */
  digest(version: ObjectVersion, index: number): Promise<Uint8Array | undefined> {
    return this.ask({ what: "digest", version: sentVersion(version), hash: version.hash, index });
  }

  /**
   * The id of the read of `[start, end)` that the engine has begun with its answer to the same request; 0 where it has
   * not. The listener learns at once what has come of it.
   */
  takeBegun(start: number, end: number, listener: ReadListener): number {
    const begun = this.#begun.size === 0 ? undefined : this.#begun.get(listener.asker);
    if (begun?.start !== start || begun.end !== end) return 0;
    this.#begun.delete(listener.asker);
    if (this.#reads.has(begun.id)) this.#reads.set(begun.id, listener);
    begun.passTo(listener);
    return begun.id;
  }

  /** The request that has asked does not read what the engine has begun for it, or reads it already. */
  dropBegun(asker: Asker): void {
    const begun = this.#begun.get(asker);
    if (begun === undefined) return;
    this.#begun.delete(asker);
    this.close(begun.id);
  }

  tell(message: Extract<ToEngine, FromSampled | { kind: "line" }>): void {
    // The logger counts its lines itself.
    if (message.kind === "line" || !this.#isFull) this.#send(message);
  }

  forget(originId: string, location: ObjectLocation, etag: string): void {
    this.#send({ kind: "forget", originId, location, etag });
  }

  /**
   * Starts a read of `[start, end)`. Each slice after the first comes after {@link next}.
   * @throws OrcaError overloaded where the engine is far behind.
   */
  open(version: ObjectVersion, start: number, end: number, listener: ReadListener): number {
    if (this.#isFull) throw overloaded();
    this.#lastId += 1;
    this.#reads.set(this.#lastId, listener);
    const { asker, forPeer } = listener;
    this.#send({
      kind: "open",
      id: this.#lastId,
      version: sentVersion(version),
      hash: version.hash,
      start,
      end,
      asker: this.#sent(asker),
      forPeer,
    });
    return this.#lastId;
  }

  /** The slice that came last is not used any more. */
  next(id: number): void {
    this.#send({ kind: "next", id });
  }

  /** `isDone`: the engine has nothing left to send, and holds the last slice only. */
  close(id: number, isDone = false): void {
    if (!this.#reads.delete(id)) return;
    if (!isDone) return this.#send({ kind: "close", id });
    this.#underway += 1;
    this.#port.sendLate({ kind: "close", id });
  }

  get #isFull(): boolean {
    return this.#underway >= messagesMax;
  }

  #send(message: ToEngine): void {
    this.#underway += 1;
    this.#port.send(message);
  }

  #take(message: ToThread): void {
    if (message.kind === "slab") {
      this.#options.blocks.addSlab(message.slab, message.number);
      return;
    }
    if (message.kind === "taken") {
      this.#underway -= message.messages;
      this.onLogged(message.lines);
      return;
    }
    const { id } = message;
    const read = this.#reads.get(id);
    if (message.kind === "accepted") {
      read?.accepted?.(message.source);
      return;
    }
    const asked = this.#asked.get(id);
    const asker = read?.asker ?? asked?.asker;
    if (message.waits && asker) this.#addWaits(asker, message.waits);
    switch (message.kind) {
      case "slice": {
        const { slab, offset, lengthBytes, source } = message;
        read?.sliceCame(this.#options.blocks.bytes(slab, offset, lengthBytes), source);
        return;
      }
      case "answer": {
        const { value, begun } = message;
        this.#asked.delete(id);
        if (begun && asker) {
          const begunRead = new BegunRead(id, asker, begun);
          this.#reads.set(id, begunRead);
          this.#begun.set(asker, begunRead);
        }
        asked?.resolve(value);
        return;
      }
      case "failure":
        this.#asked.delete(id);
        this.#reads.delete(id);
        asked?.reject(receivedError(message.error));
        read?.failed(receivedError(message.error));
        return;
    }
  }

  #sent({ requestId }: Asker): SentAsker {
    const { traceContexts } = this.#options;
    return traceContexts.size === 0 ? { requestId } : { requestId, ...traceContexts.headers(requestId) };
  }

  #addWaits(asker: Asker, { ms, retries, coordinator }: SentWaits): void {
    asker.waits ??= new Waits(this.#options.clock);
    const { waits } = asker;
    assert(waits !== undefined, "an asker keeps what it waits for");
    for (const [wait, each] of Object.entries(ms)) waits.ms[wait as Wait] += each;
    waits.retries += retries;
    waits.coordinator = coordinator ?? waits.coordinator;
  }
}

/** A read that the engine has begun with its answer to a look-up, before the request that has asked reads. */
class BegunRead implements ReadListener {
  readonly id: number;
  readonly asker: Asker;
  readonly start: number;
  readonly end: number;
  #pass: ((listener: ReadListener) => void) | undefined;

  constructor(id: number, asker: Asker, [start, end]: readonly [start: number, end: number]) {
    this.id = id;
    this.asker = asker;
    this.start = start;
    this.end = end;
  }

  sliceCame(bytes: Buffer, source: ReadSource): void {
    this.#pass = (listener) => listener.sliceCame(bytes, source);
  }

  failed(error: OrcaError): void {
    this.#pass = (listener) => listener.failed(error);
  }

  /** What has come until now. */
  passTo(listener: ReadListener): void {
    this.#pass?.(listener);
  }
}

function overloaded(): OrcaError {
  const reason = `${messagesMax} messages are on their way to the main thread, which is busy`;
  return new OrcaError("overloaded", "edge", `Cannot answer a request: ${reason}`);
}
