/**
 * The origin of a simulated cluster: objects that change, answers that take time, bodies that come in pieces and break
 * off. Every replica has its own connection to it, which ends with the replica; requests are counted here, where they
 * arrive, and not where they are sent.
 */

import type { ByteSink } from "../../src/base/byte-sink.ts";
import { type Clock, sleep } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { KiB } from "../../src/base/units.ts";
import type {
  ListPage,
  ListRequest,
  ObjectHead,
  ObjectLocation,
  OpeningReceiver,
  OpenOutcome,
  OpenRequest,
  Origin,
  RangeRequest,
} from "../../src/origin/origin.ts";
import type { Chance } from "../support/chance.ts";
import type { StallableClock } from "../support/stallable-clock.ts";
import { pageAt } from "./listing-model.ts";
import { ObjectHistory, type StoredVersion } from "./object-history.ts";
import type { Trace } from "./trace.ts";
import { versionBytes } from "./version-bytes.ts";

export const originId = "origin-a";
export const bucket = "b";

/** A request that is being answered. */
export interface OriginRequest {
  readonly replicaId: string;
  readonly startedMs: number;
}

/** One GET, as it went. */
export interface OriginGet {
  readonly key: string;
  readonly etag: string;
  readonly offset: number;
  readonly lengthBytes: number;
  deliveredBytes: number;
}

/** How the origin behaves at the moment. */
export interface OriginWeather {
  latencyMs: number;
  bytesPerMs: number;
  /** Share of requests that fail before they are answered. */
  failing: number;
  /** Share of bodies that break off. */
  breaking: number;
  /** Share of requests that are never answered: the driver gives up on them. */
  hanging: number;
}

export const fairWeather: Readonly<OriginWeather> = {
  latencyMs: 40,
  bytesPerMs: 6 * KiB,
  failing: 0,
  breaking: 0,
  hanging: 0,
};

/** What a driver's stall deadline is in production. */
const hangMs = 3000;

interface Connection {
  readonly replicaId: string;
  readonly clock: StallableClock;
}

export interface SimulatedOriginOptions {
  readonly clock: Clock;
  readonly chance: Chance;
  readonly trace: Trace;
  /** Called with each request as it arrives. */
  readonly onRequest: (request: OriginRequest) => void;
}

export class SimulatedOrigin {
  readonly objects = new Map<string, ObjectHistory>();
  readonly gets: OriginGet[] = [];
  readonly inFlight = new Set<OriginRequest>();
  weather: OriginWeather = { ...fairWeather };
  readonly #options: SimulatedOriginOptions;
  #versions = 0;

  constructor(options: SimulatedOriginOptions) {
    this.#options = options;
  }

  /** A new version of an object, of this size, or none where it is undefined. */
  write(key: string, sizeBytes: number | undefined): void {
    const version = sizeBytes === undefined ? undefined : this.#newVersion(key, sizeBytes);
    const object = this.objects.get(key);
    if (object) object.become(version, this.#options.clock.monotonic());
    else this.objects.set(key, new ObjectHistory(key, version));
    this.#options.trace.note("origin", version ? `${version.etag} has ${sizeBytes} bytes` : `${key} is gone`);
  }

  object(key: string): ObjectHistory {
    const object = this.objects.get(key);
    if (!object) throw new Error(`there never was an object "${key}"`);
    return object;
  }

  /** The driver of one replica. What it is answered reaches it by its own clock, and never once that stands still. */
  connect(connection: Connection): Origin {
    return {
      id: originId,
      head: (location, signal) => this.#head(connection, location, signal),
      read: (request, sink, signal) => this.#read(connection, request, sink, signal),
      open: (request, receive, signal) => this.#open(connection, request, receive, signal),
      list: (request, signal) => this.#list(connection, request, signal),
      look: async () => {},
      listBuckets: async () => [],
      close: () => {},
    };
  }

  /** The replica is gone, and its connections with it. */
  disconnect(replicaId: string): void {
    for (const request of this.inFlight) if (request.replicaId === replicaId) this.inFlight.delete(request);
  }

  #newVersion(key: string, sizeBytes: number): StoredVersion {
    const ordinal = this.#versions;
    this.#versions += 1;
    return { etag: `${key}-v${ordinal}`, ordinal, sizeBytes };
  }

  async #head(from: Connection, { key }: ObjectLocation, signal: AbortSignal): Promise<ObjectHead | null> {
    return this.#request(from, async () => {
      this.#options.trace.note("origin", `HEAD ${key} by ${from.replicaId}`);
      await this.#answerTime(from, signal);
      const { current } = this.object(key);
      await this.#pass(from, this.weather.latencyMs / 2, signal);
      if (!current) return null;
      return headOf(current);
    });
  }

  async #list(from: Connection, request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    const { clock, trace } = this.#options;
    const { prefix, continuationToken } = request;
    return this.#request(from, async () => {
      trace.note("origin", `LIST "${prefix}" after "${continuationToken}" by ${from.replicaId}`);
      await this.#answerTime(from, signal);
      const page = pageAt(this.objects.values(), request, clock.monotonic());
      await this.#pass(from, this.weather.latencyMs / 2, signal);
      return page;
    });
  }

  /** What an opening says of an object is as old as the answer of a HEAD would be. */
  async #open(
    from: Connection,
    request: OpenRequest,
    receive: OpeningReceiver,
    signal: AbortSignal,
  ): Promise<OpenOutcome> {
    const { key, offset } = request;
    return this.#request(from, async () => {
      this.#options.trace.note(
        "origin",
        `opens ${key} ${offset}+${request.lengthBytes} by ${from.replicaId}`,
      );
      await this.#answerTime(from, signal);
      const { current } = this.object(key);
      await this.#pass(from, this.weather.latencyMs / 2, signal);
      if (!current) return null;
      if (offset >= current.sizeBytes) return "unsatisfiable";
      const lengthBytes = Math.min(request.lengthBytes, current.sizeBytes - offset);
      const sink = receive({ head: headOf(current), offset, lengthBytes });
      if (!sink) return "opened";
      const get: OriginGet = { key, etag: current.etag, offset, lengthBytes, deliveredBytes: 0 };
      this.gets.push(get);
      await this.#send(from, get, current, sink, signal);
      return "opened";
    });
  }

  async #read(from: Connection, request: RangeRequest, sink: ByteSink, signal: AbortSignal): Promise<void> {
    const { key, etag, offset, lengthBytes } = request;
    const { trace } = this.#options;
    const get: OriginGet = { key, etag, offset, lengthBytes, deliveredBytes: 0 };
    this.gets.push(get);
    return this.#request(from, async () => {
      trace.note("origin", `GET ${etag} ${offset}+${lengthBytes} by ${from.replicaId}`);
      await this.#answerTime(from, signal);
      const { current } = this.object(key);
      if (current?.etag !== etag) {
        trace.note("origin", `412 ${etag} to ${from.replicaId}`);
        throw new OrcaError("origin_etag_changed", "origin", `Cannot read "${key}": it changed`);
      }
      await this.#send(from, get, current, sink, signal);
    });
  }

  /** A body, or as much of it as comes before it breaks off. */
  async #send(
    from: Connection,
    get: OriginGet,
    { ordinal }: StoredVersion,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<void> {
    const { trace, chance } = this.#options;
    const { key, etag, offset, lengthBytes } = get;
    const breaks = chance.happens(this.weather.breaking);
    const sentBytes = breaks ? chance.below(lengthBytes) : lengthBytes;
    while (get.deliveredBytes < sentBytes) {
      const takeBytes = Math.min(sentBytes - get.deliveredBytes, (1 + chance.below(32)) * 16 * KiB);
      await this.#pass(from, takeBytes / this.weather.bytesPerMs, signal);
      const bytes = versionBytes(ordinal, offset + get.deliveredBytes, takeBytes);
      get.deliveredBytes += deliver(bytes, sink, signal);
      signal.throwIfAborted();
    }
    if (!breaks) return;
    trace.note("origin", `breaks off ${etag} ${offset}+${sentBytes} to ${from.replicaId}`);
    throw new OrcaError("origin_unavailable", "origin", `Cannot read "${key}": the origin broke off`);
  }

  async #request<Answer>({ replicaId }: Connection, answer: () => Promise<Answer>): Promise<Answer> {
    const request: OriginRequest = { replicaId, startedMs: this.#options.clock.monotonic() };
    this.inFlight.add(request);
    this.#options.onRequest(request);
    try {
      return await answer();
    } finally {
      this.inFlight.delete(request);
    }
  }

  /** Until the answer begins. @throws OrcaError origin_unavailable, origin_throttled. */
  async #answerTime(from: Connection, signal: AbortSignal): Promise<void> {
    const { chance, trace } = this.#options;
    const { latencyMs, failing, hanging } = this.weather;
    const hangs = chance.happens(hanging);
    await this.#pass(from, hangs ? hangMs : latencyMs * chance.between(0.5, 1.5), signal);
    if (!hangs && !chance.happens(failing)) return;
    trace.note("origin", `fails ${from.replicaId}`);
    const code = chance.happens(0.3) ? "origin_throttled" : "origin_unavailable";
    throw new OrcaError(code, "origin", "Cannot ask the origin: it fails");
  }

  async #pass({ clock }: Connection, durationMs: number, signal: AbortSignal): Promise<void> {
    await sleep(this.#options.clock, durationMs, signal);
    await new Promise<void>((resolve) => clock.deliver(resolve));
    signal.throwIfAborted();
  }
}

function headOf({ sizeBytes, etag }: StoredVersion): ObjectHead {
  return { sizeBytes, etag, lastModifiedMs: 0, metadata: {} };
}

/** `bytes` into `sink`, in the pieces it has room for, until `signal` aborts. @returns how many it took. */
export function deliver(bytes: Buffer, sink: ByteSink, signal?: AbortSignal): number {
  for (let at = 0; at < bytes.length; ) {
    if (signal?.aborted) return at;
    const copied = bytes.copy(sink.space(), 0, at);
    at += copied;
    sink.advance(copied);
  }
  return bytes.length;
}
