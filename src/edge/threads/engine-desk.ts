/**
 * The engine's end of a thread of the edge: answers what the thread cannot answer itself, and reads for it what is not in
 * shared memory. Each read is an ObjectReader of the engine, so its flights, its bounds on memory and its counters are
 * those of any reader. It holds one slice at a time, until the thread has given that to the kernel.
 *
 * Invariants:
 * 1. A slab reaches the thread before the first slice in it, because messages keep their order.
 * 2. Every read ends with `close` of the thread, with a failure that the thread receives, or with the thread.
 * 3. A read that begins with the answer to a look-up begins in the turn of the answer, and its slices come after that.
 */
import type { MessagePort } from "node:worker_threads";
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { BatchedPort } from "../../base/threads/batched-port.ts";
import { ObjectVersion } from "../../chunk/object-version.ts";
import { type BodyReader, type EngineBodies, tracePlan } from "../../fill/bodies.ts";
import type { PeerRead, PeerSource } from "../../fill/chunk-peers.ts";
import type { Buckets, OtherLookups } from "../../object/buckets.ts";
import type { Directory } from "../../object/directory.ts";
import type { Listings } from "../../object/listing-cache.ts";
import type { PartLookups } from "../../object/object-lookups.ts";
import type { LookupResult } from "../../object/object-record.ts";
import type { SubResourceAnswer, SubResourceQuestion } from "../../origin/origin.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { SharedIndex } from "../../store/shared-index/shared-index.ts";
import type { Asker } from "../../trace/trace.ts";
import type { TraceContexts } from "../../trace/trace-contexts.ts";
import type { OriginVerdicts } from "../auth/origin-verdicts.ts";
import { wantedBytes } from "../headers/wanted-bytes.ts";
import type { WarmRequests } from "../headers/warm-header.ts";
import { readHeaders } from "../sub-resources/sub-resource-handler.ts";
import {
  type FromSampled,
  type ObjectQuestion,
  type Question,
  type SentAnswer,
  type SentAsker,
  type SentLine,
  type SentWaits,
  sentVersion,
  type ToEngine,
  type ToThread,
} from "./question.ts";
import { sentError } from "./sent-error.ts";

/** An origin, as threads ask for it. */
export interface DeskOrigin {
  readonly directory: Directory;
  readonly parts: PartLookups;
  readonly listings: Listings;
  readonly origin: { subResource(question: SubResourceQuestion): Promise<SubResourceAnswer> };
}

export interface EngineDeskOptions {
  /** By their ids. */
  readonly origins: ReadonlyMap<string, DeskOrigin>;
  readonly buckets: Buckets<OtherLookups>;
  readonly bodies: EngineBodies;
  /** Answers other replicas. Undefined where there are none. */
  readonly chunks?: ChunksForPeers | undefined;
  readonly warmRequests: WarmRequests;
  /** Undefined where the origin is not asked what a client may read. */
  readonly verdicts?: Pick<OriginVerdicts, "leased"> | undefined;
  readonly index: SharedIndex;
  readonly traceContexts: TraceContexts;
  readonly clock: Clock;
  /** Receives the lines that threads log. */
  readonly log: (line: SentLine) => void;
}

/** The part of a ChunkServer that reads. */
export interface ChunksForPeers {
  answer(request: PeerRead): { readonly source: PeerSource; readonly slices: BodyReader } | undefined;
  digest(key: ChunkKey): Uint8Array | undefined;
}

class AskerOfThread implements Asker {
  readonly requestId: string;
  waits: Asker["waits"];

  constructor(requestId: string) {
    this.requestId = requestId;
  }

  /** What it has waited for since the last call. */
  takeWaits(): SentWaits | undefined {
    const { waits } = this;
    this.waits = undefined;
    waits?.end();
    return waits && { ms: { ...waits.ms }, retries: waits.retries, coordinator: waits.coordinator };
  }
}

interface Read {
  readonly reader: BodyReader;
  readonly asker: AskerOfThread;
}

/** A thread learns of so many messages that have arrived, and at once of lines of its log. */
const takenMax = 256;

type OpenMessage = Extract<ToEngine, { readonly kind: "open" }>;

/** Headers that an origin's answer about a sub-resource is asked for. */
type Headers = Record<string, string>;

export class EngineDesk {
  readonly #options: EngineDeskOptions;
  readonly #port: BatchedPort<ToThread, ToEngine>;
  readonly #reads = new Map<number, Read>();
  readonly #answerIds = new WeakMap<LookupResult, number>();
  readonly #unsubscribe: () => void;
  #lastAnswerId = 0;
  #isClosed = false;
  /** That the thread does not know to have arrived, and the lines of the log among them. */
  #taken = 0;
  #lines = 0;

  constructor(port: MessagePort, options: EngineDeskOptions) {
    this.#options = options;
    this.#port = new BatchedPort(
      port,
      options.clock,
      (message) => this.#take(message),
      () => this.#acknowledge(),
    );
    this.#unsubscribe = options.index.subscribe((slab, number) =>
      this.#port.send({ kind: "slab", slab, number }),
    );
  }

  /** Reads in progress. */
  get reads(): number {
    return this.#reads.size;
  }

  /** The thread has ended. */
  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    for (const { reader } of this.#reads.values()) reader.close();
    this.#reads.clear();
  }

  #take(message: ToEngine): void {
    this.#taken += 1;
    switch (message.kind) {
      case "ask":
        void this.#answer(message.id, message.question, message.asker);
        return;
      case "open":
        this.#openOf(message);
        return;
      case "next":
        this.#reads.get(message.id)?.reader.release();
        void this.#sendSlice(message.id);
        return;
      case "line":
        this.#lines += 1;
        this.#options.log(message);
        return;
      case "close":
        this.#reads.get(message.id)?.reader.close();
        this.#reads.delete(message.id);
        return;
      case "forget":
        this.#origin(message.originId).directory.forget(message.location, message.etag);
        return;
      default:
        this.#takeSampled(message);
    }
  }

  #openOf({ id, version: fields, hash, start, end, forPeer, ...message }: OpenMessage): void {
    const asker = this.#asker(message.asker);
    const version = new ObjectVersion(fields, hash);
    if (forPeer === undefined) {
      this.#open(id, version, [start, end], asker);
      return;
    }
    const index = Math.floor(start / version.chunkSizeBytes);
    const offset = start - index * version.chunkSizeBytes;
    try {
      const read = { key: { version, index }, offset, lengthBytes: end - start, ...forPeer };
      const answer = this.#options.chunks?.answer(read);
      if (answer === undefined) throw notHeld(version.memoryKey(index));
      this.#reads.set(id, { reader: answer.slices, asker });
      this.#port.send({ kind: "accepted", id, source: answer.source });
    } catch (thrown) {
      this.#port.send({ kind: "failure", id, error: sentError(thrown) });
      return;
    }
    void this.#sendSlice(id);
  }

  #acknowledge(): void {
    if (this.#lines === 0 && this.#taken < takenMax) return;
    this.#port.send({ kind: "taken", messages: this.#taken, lines: this.#lines });
    this.#taken = 0;
    this.#lines = 0;
  }

  #takeSampled(message: FromSampled): void {
    const { requestId } = message;
    const { traceContexts } = this.#options;
    const { spans } = traceContexts;
    if (message.kind === "sampled") {
      const { traceId, clientId, tracestate } = message;
      if (tracestate) traceContexts.accept(requestId, `00-${traceId}-${clientId}-01`, tracestate);
      spans?.begin?.(message);
    } else if (message.kind === "step") spans?.step(message.step, requestId, message.fields);
    else spans?.responded(requestId, message.fields);
  }

  #asker({ requestId, traceparent, tracestate }: SentAsker): AskerOfThread {
    this.#options.traceContexts.accept(requestId, traceparent, tracestate);
    return new AskerOfThread(requestId);
  }

  #open(
    id: number,
    version: ObjectVersion,
    [start, end]: readonly [start: number, end: number],
    asker: AskerOfThread,
  ): void {
    const reader = this.#options.bodies.open(version, start, end, asker);
    this.#reads.set(id, { reader, asker });
    void this.#sendSlice(id);
  }

  async #sendSlice(id: number): Promise<void> {
    const read = this.#reads.get(id);
    if (read === undefined) return;
    const { reader, asker } = read;
    try {
      for (let slice = reader.take(); ; slice = reader.take()) {
        if (slice) {
          this.#port.send({
            kind: "slice",
            id,
            slab: this.#options.index.numberOf(slice.buffer),
            offset: slice.byteOffset,
            lengthBytes: slice.length,
            source: reader.source ?? "memory",
            waits: asker.takeWaits(),
          });
          return;
        }
        await reader.ready();
        if (this.#reads.get(id) !== read) return;
      }
    } catch (thrown) {
      if (this.#reads.get(id) !== read) return;
      this.#reads.delete(id);
      reader.close();
      this.#port.send({ kind: "failure", id, error: sentError(thrown), waits: asker.takeWaits() });
    }
  }

  async #answer(id: number, question: Question, sent: SentAsker | undefined): Promise<void> {
    const asker = sent && this.#asker(sent);
    try {
      switch (question.what) {
        case "lookup":
        case "lookupRefreshed":
        case "revalidate":
          await this.#lookUp(id, question, asker);
          return;
        default: {
          const value = await this.#valueOf(question, asker);
          this.#port.send({ kind: "answer", id, value, waits: asker?.takeWaits() });
        }
      }
    } catch (thrown) {
      this.#port.send({ kind: "failure", id, error: sentError(thrown), waits: asker?.takeWaits() });
    }
  }

  async #valueOf(question: Exclude<Question, ObjectQuestion>, asker: Asker | undefined): Promise<unknown> {
    switch (question.what) {
      case "part":
        return this.#origin(question.originId).parts.find(question.request, asker);
      case "list":
        return this.#origin(question.originId).listings.list(question.request);
      case "right":
        assert(this.#options.verdicts !== undefined, "a thread asks for rights where the origin decides");
        return this.#options.verdicts.leased(question.name, question.originId, question.question);
      case "subResource":
        return sentSubResource(await this.#origin(question.originId).origin.subResource(question.question));
      case "warm":
        return this.#options.warmRequests.add(new ObjectVersion(question.version));
      case "digest": {
        const { version, hash, index } = question;
        return this.#options.chunks?.digest({ version: new ObjectVersion(version, hash), index });
      }
      case "findBucket": {
        const { buckets } = this.#options;
        const found = await buckets.find(question.name);
        if (!(found instanceof Error)) return { fault: found.fault && sentError(found.fault) };
        return { error: sentError(found), isKnown: buckets.get(question.name) !== undefined };
      }
      case "listOthers":
        return this.#options.buckets.listOthers(question.as);
    }
  }

  /** A read that it begins finds the flight that the look-up has started: both happen in one turn. */
  async #lookUp(id: number, question: ObjectQuestion, asker: AskerOfThread | undefined): Promise<void> {
    const { directory } = this.#origin(question.originId);
    const { what, location, firstBytes } = question;
    const kept = what === "revalidate" ? undefined : directory[peekBefore[what]](location, asker);
    const result =
      what === "revalidate"
        ? await directory.revalidate(location, this.#contradicted(question, directory), asker)
        : (kept ?? (await directory[what](location, asker, firstBytes)));
    const value = this.#sentAnswer(question, result, kept !== undefined, directory);
    const begun = asker && this.#bytesToBegin(question, result);
    this.#port.send({ kind: "answer", id, value, begun, waits: asker?.takeWaits() });
    if (!begun || result.kind === "error") return;
    const { trace } = this.#options.bodies;
    if (trace?.isOn) tracePlan(trace, asker.requestId, result.record.version, ...begun);
    this.#open(id, result.record.version, begun, new AskerOfThread(asker.requestId));
  }

  #sentAnswer(
    { location, knownId }: ObjectQuestion,
    result: LookupResult,
    wasKept: boolean,
    directory: Directory,
  ): SentAnswer {
    const answerId = this.#idOf(result);
    const sent = { answerId, lease: directory.leaseOf(location, result), wasKept };
    if (answerId === knownId) return { ...sent, result: undefined };
    if (result.kind === "error") return { ...sent, result: { error: sentError(result.error, location) } };
    const { version, head, stale } = result.record;
    return { ...sent, result: { version: sentVersion(version), hash: version.hash, head, stale } };
  }

  #bytesToBegin(
    { read }: ObjectQuestion,
    result: LookupResult,
  ): readonly [start: number, end: number] | undefined {
    // Nobody would end a read that begins after the end of its thread.
    if (this.#isClosed || read === undefined || result.kind === "error") return undefined;
    const { bodies, clock } = this.#options;
    const wanted = wantedBytes(read, result.record.head, clock);
    return wanted && !bodies.holds(result.record.version, wanted[0]) ? wanted : undefined;
  }

  /** The answer that the thread has, as its directory compares it. Where it is gone, one with the same ETag. */
  #contradicted({ location, knownId, knownEtag }: ObjectQuestion, directory: Directory): LookupResult {
    const kept = directory.peek(location);
    if (kept && this.#idOf(kept) === knownId) return kept;
    const record = { version: { etag: knownEtag } };
    const contradicted = { kind: "found", record } as LookupResult;
    this.#answerIds.set(contradicted, knownId);
    return contradicted;
  }

  #idOf(result: LookupResult): number {
    const known = this.#answerIds.get(result);
    if (known !== undefined) return known;
    this.#lastAnswerId += 1;
    this.#answerIds.set(result, this.#lastAnswerId);
    return this.#lastAnswerId;
  }

  #origin(id: string): DeskOrigin {
    const origin = this.#options.origins.get(id);
    assert(origin !== undefined, "a thread asks about an origin that there is");
    return origin;
  }
}

function notHeld(chunk: string): OrcaError {
  return new OrcaError(
    "not_held",
    "fill",
    `Cannot read chunk "${chunk}" for another replica: it is not held here`,
  );
}

/** As the edge does in the thread of the directories. */
const peekBefore = { lookup: "peek", lookupRefreshed: "peekRefreshed" } as const;

export interface SentSubResource {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

function sentSubResource(answer: SubResourceAnswer): SentSubResource {
  const headers: Headers = {};
  for (const name of readHeaders) {
    const value = answer.header(name);
    if (value !== undefined) headers[name] = value;
  }
  return { status: answer.status, headers, body: answer.body };
}
