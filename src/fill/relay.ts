/**
 * The assembler's side of a fill in a cluster: fetches a chunk from the replica that coordinates it. For chunks that
 * this replica coordinates, it uses the filler. A relay:
 *
 *   1. `fill` looks up the coordinator of the chunk. If it is this replica, the filler fetches the chunk.
 *   2. Else a flight asks the coordinator for the bytes, from the first one wanted on, and its readers read them as
 *      they arrive. The coordinator fills the chunk once, for all replicas that ask.
 *   3. Where the coordinator is unreachable, breaks off or stalls, the flight asks the next replica in rank for the
 *      rest, from the byte where it stopped. Where that is this replica, the filler takes the flight over.
 *   4. A "not coordinator" is believed once: this replica merges the view that came with it, and asks the coordinator
 *      by the new view. After a second one, this replica fills the chunk itself. An error of the origin is final,
 *      whichever replica asked it.
 *   5. Chunks that the catalog says are in the cachestore are read from there. Peers are asked only if that fails.
 *   6. A whole chunk goes into memory, where the eviction policy has it on probation; only its coordinator stores it on
 *      disk. A short range of a chunk that was not asked for before is fetched for its reader alone and not stored.
 *      Otherwise a few bytes would cost the network traffic of a chunk on every replica.
 *
 * No circle of joins is possible. The filler's flights wait for the origin and for memory, and where disks are
 * replicated for copies (chunk-server.ts says why that ends). Relays wait for the fillers of other replicas, and other
 * replicas never join a relay. A circle could close through memory: (a) relays of A hold all its memory and wait for B;
 * (b) relays of B hold all its memory and wait for A; (c) neither filler can reserve memory. So all relays together
 * hold at most half of the memory while they wait, and a filler always has the other half.
 */

import type { ByteSink } from "../base/byte-sink.ts";
import type { Clock } from "../base/clock.ts";
import { type MemoryBudget, segmentSizeBytes } from "../base/memory-budget.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type Permit, Semaphore } from "../base/semaphore.ts";
import { isBelow, type ObjectPrefix } from "../chunk/object-prefix.ts";
import type { Coordination } from "../membership/coordination.ts";
import type { Member } from "../membership/member.ts";
import { NotCoordinator } from "../membership/not-coordinator.ts";
import type { ChunkKey } from "../store/chunk-store.ts";
import { FetchTrace } from "../trace/fetch-trace.ts";
import type { Asker, Trace } from "../trace/trace.ts";
import type { ChunkFlights, FillRequest } from "./chunk-flights.ts";
import type { ChunkPeers } from "./chunk-peers.ts";
import type { Cachestore, Filler, MemoryChunks } from "./filler.ts";
import { Flight, type FlightPart, flightStart } from "./flight.ts";
import { tracedRead } from "./traced-read.ts";

export interface RelayOptions {
  readonly filler: Filler;
  readonly peers: ChunkPeers;
  readonly coordination: Coordination;
  readonly memory: MemoryChunks;
  /** Left out where there is no cachestore. */
  readonly cachestore?: Cachestore | undefined;
  readonly budget: MemoryBudget;
  /** How long a relay waits for memory before its readers get 503 SlowDown. */
  readonly queueTimeoutMs: number;
  readonly clock: Clock;
  readonly trace?: Trace | undefined;
}

/** Flights at once. Each has up to two streams, and all may be to one peer, whose session takes 1,024. */
const relaysMax = 500;
/** Flights that wait to be one of them, or for memory. */
const waitersMax = 10_000;

/** The replicas that the parts of one flight ask. */
interface Route {
  readonly key: ChunkKey;
  readonly passedOver: string[];
  /** The replica to ask next; undefined where it must be looked up again. */
  peer: Member | undefined;
  disagreements: number;
  /** @see FillRequest.skipDisk */
  readonly skipDisk: boolean;
}

/** This replica is the only one left to ask. Thrown within a flight, and never out of it. */
class NoPeerLeft extends Error {}

export class Relay implements ChunkFlights {
  readonly stats = {
    relays: 0,
    /** Short ranges that were fetched for one reader alone. */
    ranges: 0,
    joins: 0,
    readAheads: 0,
    moot: 0,
    failed: 0,
    /** Times another replica was asked for the rest of what one had begun to send. */
    resumed: 0,
    /** Relays that the filler continued, because no peer was left. */
    adopted: 0,
    peerBytes: 0,
  };
  readonly #options: RelayOptions;
  /** Bytes of memory that relays may hold while they wait. */
  readonly #memoryShare: Semaphore;
  readonly #streams: Semaphore;
  readonly #relays = new Map<string, Flight>();
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(options: RelayOptions) {
    this.#options = options;
    const { budget, clock } = options;
    const shareBytes = Math.floor(budget.maxBytes / 2);
    this.#memoryShare = new Semaphore("memory for bytes of peers", shareBytes, clock, waitersMax, "memory");
    this.#streams = new Semaphore("streams from peers", relaysMax, clock, waitersMax, "mesh");
  }

  get flightsInProgress(): number {
    return this.#relays.size;
  }

  /** A flight of the filler first: it depends on no peer. */
  find(key: ChunkKey): Flight | undefined {
    return this.#options.filler.find(key) ?? this.#relays.get(key.version.memoryKey(key.index));
  }

  fill(key: ChunkKey, request: FillRequest): Flight {
    const { filler, coordination } = this.#options;
    const passedOver: string[] = [];
    const peer = coordination.next(key.version.chunkPath(key.index), passedOver);
    const trace = this.#traceOf(key, request.asker, peer);
    if (peer.replicaId === coordination.selfId) return filler.fill(key, request);
    const { offset, end, seen, skipDisk } = request;
    const route: Route = { key, passedOver, peer, disagreements: 0, skipDisk };
    const source = this.#sourceOf(key, trace);
    if (!seen && end - offset < key.version.chunkLength(key.index) / 2) {
      const blockEnd = offset - (offset % segmentSizeBytes) + segmentSizeBytes;
      const flight = Flight.ofRange(key, source, offset, Math.min(end, blockEnd), trace);
      this.stats.ranges += 1;
      this.#track(this.#runRange(flight, route, request));
      return flight;
    }
    return this.#launch(new Flight(key, source, flightStart(offset), trace), route, false);
  }

  promote(key: ChunkKey, offset: number, asker?: Asker): Flight | undefined {
    return this.#options.filler.promote(key, offset, asker);
  }

  readAhead(key: ChunkKey, asker?: Asker): void {
    const { filler, coordination, memory } = this.#options;
    const memoryKey = key.version.memoryKey(key.index);
    if (memory.peek(memoryKey) || this.#relays.has(memoryKey)) return;
    const path = key.version.chunkPath(key.index);
    if (coordination.isMine(path)) return filler.readAhead(key, asker);
    const permit = this.#tryPermit(key.version.chunkLength(key.index));
    if (!permit) return;
    const reservation = filler.reserveAhead(key);
    if (!reservation) return permit.release();
    const passedOver: string[] = [];
    const peer = coordination.next(path, passedOver);
    const trace = this.#traceOf(key, asker, peer);
    const flight = new Flight(key, this.#sourceOf(key, trace), 0, trace);
    flight.useMemory(reservation);
    this.stats.readAheads += 1;
    this.#launch(flight, { key, passedOver, peer, disagreements: 0, skipDisk: false }, true, permit);
  }

  /** @see Filler.forget */
  forget(prefix: ObjectPrefix | undefined): Promise<void> {
    for (const flight of this.#relays.values()) if (isBelow(prefix, flight.key.version)) flight.forget();
    return this.#options.filler.forget(prefix);
  }

  /** Ends the relays that still wait for peers. */
  async stop(): Promise<void> {
    this.#stopping.abort(new OrcaError("shutting_down", "fill", "Cannot relay a chunk: Orca is stopping"));
    await Promise.all(this.#running);
  }

  #launch(flight: Flight, route: Route, ahead: boolean, permit?: Permit): Flight {
    this.stats.relays += 1;
    const memoryKey = flight.key.version.memoryKey(flight.key.index);
    this.#relays.set(memoryKey, flight);
    this.#track(this.#run(flight, route, ahead, permit));
    return flight;
  }

  #track(run: Promise<void>): void {
    const tracked = run.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  async #run(flight: Flight, route: Route, ahead: boolean, given: Permit | undefined): Promise<void> {
    const { memory, filler } = this.#options;
    const memoryKey = flight.key.version.memoryKey(flight.key.index);
    let adopted = false;
    let permit = given;
    try {
      permit ??= await this.#reserve(flight);
      // The chunk may have arrived in another way while the flight waited for memory. Its readers then look again.
      if (memory.peek(memoryKey) || filler.find(flight.key)) {
        this.stats.moot += 1;
        return;
      }
      const signal = this.#stopping.signal;
      await flight.fetch((part, sink, ended) => this.#readPart(flight, route, part, sink, ended), signal);
      const chunk = flight.complete();
      if (!flight.isForgotten) memory.put(memoryKey, chunk, ahead, flight.key.version);
    } catch (thrown) {
      if (thrown instanceof NoPeerLeft) {
        adopted = filler.adopt(flight, { ahead, skipDisk: route.skipDisk });
        if (adopted) this.stats.adopted += 1;
        return;
      }
      this.#fail(flight, thrown);
    } finally {
      permit?.release();
      this.#relays.delete(memoryKey);
      if (!adopted && flight.state.kind !== "failed") flight.close();
    }
  }

  /** A range flight lasts until its reader abandons it, which may be before its bytes have come. */
  async #runRange(flight: Flight, route: Route, request: FillRequest): Promise<void> {
    const { abandoned } = flight;
    let permit: Permit | undefined;
    try {
      permit = await this.#reserve(flight);
      if (abandoned.aborted) return;
      const signal = AbortSignal.any([abandoned, this.#stopping.signal]);
      await flight.fetch((part, sink, ended) => this.#readPart(flight, route, part, sink, ended), signal);
      permit.release();
      permit = undefined;
      if (!abandoned.aborted) await aborted(abandoned);
    } catch (thrown) {
      if (abandoned.aborted) return;
      if (thrown instanceof NoPeerLeft) this.#fillRest(flight, request);
      else this.#fail(flight, thrown);
    } finally {
      permit?.release();
      if (flight.state.kind !== "failed") flight.close();
    }
  }

  /**
   * No peer is left for the rest of a range: the filler starts there, before the reader looks again and finds its
   * flight. If the reader had to ask for the fill, (a) it would ask; (b) this replica's view, which has not changed,
   * would name the coordinator that denies it; (c) another range flight would end here.
   */
  #fillRest(flight: Flight, request: FillRequest): void {
    const { filler } = this.#options;
    const [part] = flight.parts;
    if (!part || filler.find(flight.key)) return;
    filler.fill(flight.key, { ...request, offset: part.filled });
    this.stats.adopted += 1;
  }

  /**
   * Reserves memory for a flight, within what all relays may hold while they wait. The permit is released when the
   * flight waits no more. All three waits together take at most `queueTimeoutMs`.
   */
  async #reserve(flight: Flight): Promise<Permit> {
    const { budget, queueTimeoutMs, clock } = this.#options;
    const endMs = clock.monotonic() + queueTimeoutMs;
    const left = (): number => Math.max(0, endMs - clock.monotonic());
    flight.trace?.waitFor("permit");
    let permit = await this.#streams.acquire(queueTimeoutMs);
    try {
      flight.trace?.waitFor("memory");
      permit = both(permit, await this.#memoryShare.acquire(left(), flight.reserveBytes));
      flight.useMemory(await budget.reserve(flight.reserveBytes, left()));
      this.#stopping.signal.throwIfAborted();
      flight.trace?.asked();
      return permit;
    } catch (thrown) {
      permit.release();
      throw thrown;
    }
  }

  #tryPermit(bytes: number): Permit | undefined {
    const stream = this.#streams.tryAcquire();
    if (!stream) return undefined;
    const share = this.#memoryShare.tryAcquire(bytes);
    if (!share) stream.release();
    return share && both(stream, share);
  }

  #traceOf(key: ChunkKey, asker: Asker | undefined, peer: Member): FetchTrace | undefined {
    const trace = FetchTrace.of(this.#options.trace, asker, key);
    if (!trace?.isOn) return trace;
    const { coordination } = this.#options;
    const { replicaId } = peer;
    const ranked = coordination.ranked(key.version.chunkPath(key.index));
    const rank = ranked.findIndex((member) => member.replicaId === replicaId) + 1;
    trace.step("coordinator", { replica: replicaId, rank, isSelf: replicaId === coordination.selfId });
    return trace;
  }

  #sourceOf(key: ChunkKey, trace: FetchTrace | undefined): "cachestore" | "peer" {
    const presence = this.#options.cachestore?.presence(key);
    if (presence !== undefined && trace?.isOn) trace.step("catalog", { presence });
    return presence === "held" ? "cachestore" : "peer";
  }

  /**
   * Reads the bytes that a part lacks from the cachestore, or from as many replicas as it takes. @throws NoPeerLeft;
   * the origin's error.
   */
  async #readPart(
    flight: Flight,
    route: Route,
    part: FlightPart,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<void> {
    const { peers, coordination, cachestore } = this.#options;
    if (flight.source === "cachestore" && cachestore) {
      const outcome = await cachestore.read(route.key, part.filled, part.to - part.filled, sink, signal);
      signal.throwIfAborted();
      if (outcome === "hit") return;
      flight.turnTo("peer");
    }
    const counted: ByteSink = {
      space: () => sink.space(),
      advance: (lengthBytes) => {
        this.stats.peerBytes += lengthBytes;
        sink.advance(lengthBytes);
      },
    };
    for (;;) {
      const peer = this.#nextPeer(route);
      const { key, passedOver } = route;
      const lengthBytes = part.to - part.filled;
      const offset = part.filled;
      const request = { key, offset, lengthBytes, passedOver: [...passedOver], cachedOnly: false };
      try {
        await tracedRead({ peers, peer, request, trace: flight.trace }, counted, signal);
        coordination.answered(peer.replicaId);
        return;
      } catch (thrown) {
        signal.throwIfAborted();
        // The last byte may have come before the fault. Then nothing is missing.
        if (part.filled === part.to) return;
        this.#turnFrom(peer, route, thrown);
        if (flight.trace) flight.trace.retries += 1;
        if (lengthBytes > part.to - part.filled) this.stats.resumed += 1;
      }
    }
  }

  #nextPeer(route: Route): Member {
    const { coordination } = this.#options;
    route.peer ??= coordination.next(route.key.version.chunkPath(route.key.index), route.passedOver);
    if (route.peer.replicaId === coordination.selfId) throw new NoPeerLeft();
    return route.peer;
  }

  /**
   * Makes the route ask another replica after `peer` failed. Throws the peer's error where that is the final answer.
   */
  #turnFrom(peer: Member, route: Route, thrown: unknown): void {
    const { coordination } = this.#options;
    const { replicaId } = peer;
    if (thrown instanceof NotCoordinator) {
      coordination.answered(replicaId);
      coordination.learn(thrown.members);
      route.disagreements += 1;
      const path = route.key.version.chunkPath(route.key.index);
      // If the merge changed nothing, this replica would ask the same one again.
      const same = coordination.coordinator(path, route.passedOver).replicaId === replicaId;
      if (route.disagreements > 1 || same) throw new NoPeerLeft();
      route.peer = undefined;
      return;
    }
    const error = OrcaError.from(thrown, "internal", "mesh", `Cannot read from replica "${replicaId}"`);
    if (!error.isPeerTrouble) {
      coordination.answered(replicaId);
      throw error;
    }
    // The flight's other part may have met the same peer's fault already.
    if (route.peer?.replicaId !== replicaId) return;
    if (error.isPeerAbsence) coordination.failed(replicaId);
    else coordination.answered(replicaId);
    route.passedOver.push(replicaId);
    route.peer = undefined;
  }

  #fail(flight: Flight, thrown: unknown): void {
    this.stats.failed += 1;
    const memoryKey = flight.key.version.memoryKey(flight.key.index);
    flight.fail(OrcaError.from(thrown, "internal", "fill", `Cannot relay chunk "${memoryKey}"`));
  }
}

function both(first: Permit, second: Permit): Permit {
  return {
    release: () => {
      first.release();
      second.release();
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}
