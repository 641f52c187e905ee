/**
 * The assembler's side of a fill in a cluster: fetches a chunk from the replica that coordinates it. For chunks that
 * this replica coordinates, it uses the filler. A relay:
 *
 *   1. `fill` looks up the coordinator of the chunk. If it is this replica, the filler fetches the chunk.
 *   2. Else a flight asks the coordinator for a run of blocks: those that are wanted and missing here. Its readers read
 *      them as they arrive. The coordinator fetches each block once, for all replicas that ask.
 *   3. Where the coordinator is unreachable, breaks off or stalls, the flight asks the next replica in rank for the
 *      rest, from the byte where it stopped. Where that is this replica, the filler takes the flight over.
 *   4. A "not coordinator" is believed once: this replica merges the view that came with it, and asks the coordinator
 *      by the new view. After a second one, this replica fills the chunk itself. An error of the origin is final,
 *      whichever replica asked it.
 *   5. Chunks that the catalog says are in the cachestore are read from there. Peers are asked only if that fails.
 *   6. The blocks go into memory, where the eviction policy has their chunk on probation; only its coordinator stores it
 *      on disk. The chunk in memory remembers that nothing has verified them, so this replica does not store them when
 *      it becomes the coordinator.
 *   7. While memory is short, the first run of a client is an eighth, as with the filler.
 *   8. A relay that nobody reads any more is cut as any flight. The coordinator sees its stream end, and cuts its own.
 *
 * No circle of joins is possible. The filler's flights wait for the origin and for memory, and where disks are
 * replicated for copies (chunk-server.ts says why that ends). Relays wait for the fillers of other replicas, and other
 * replicas never join a relay. A circle could close through memory: (a) relays of A hold all its memory and wait for B;
 * (b) relays of B hold all its memory and wait for A; (c) neither filler can reserve memory. So all relays together
 * hold at most half of the memory while they wait, and a filler always has the other half.
 */

import type { PlacedSink } from "../base/byte-sink.ts";
import { type Clock, nextTurn } from "../base/clock.ts";
import type { MemoryBudget } from "../base/memory-budget.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type Permit, Semaphore } from "../base/semaphore.ts";
import { isBelow, type ObjectPrefix } from "../chunk/object-prefix.ts";
import type { Coordination } from "../membership/coordination.ts";
import type { Member } from "../membership/member.ts";
import { NotCoordinator } from "../membership/not-coordinator.ts";
import type { ChunkKey } from "../store/chunk-store.ts";
import { FetchTrace } from "../trace/fetch-trace.ts";
import { watched } from "../trace/stalls/stall-watch.ts";
import type { Asker, Trace } from "../trace/trace.ts";
import type { ChunkFlights, FillRequest, WantedBytes } from "./chunk-flights.ts";
import type { ChunkPeers } from "./chunk-peers.ts";
import type { Filler } from "./filler.ts";
import { Flight } from "./flight.ts";
import { FlightTable } from "./flight-table.ts";
import type { Cachestore, MemoryChunks } from "./memory-chunks.ts";
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

/** Flights at once. All may be to one peer, whose session takes 1,024 streams. */
const relaysMax = 500;
/** Flights that wait to be one of them, or for memory. */
const waitersMax = 10_000;

/** The replicas that a flight asks. */
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
    /** Relays that ended before the end of their runs, because nobody read them any more. */
    cut: 0,
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
  readonly #relays = new FlightTable();
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

  has(key: ChunkKey): boolean {
    return this.#options.filler.has(key) || this.#relays.has(key);
  }

  /** A flight of the filler first: it depends on no peer. */
  find(key: ChunkKey, offset: number): Flight | undefined {
    return this.#options.filler.find(key, offset) ?? this.#relays.find(key, offset);
  }

  fill(key: ChunkKey, request: FillRequest): Flight {
    const { filler, coordination } = this.#options;
    const passedOver: string[] = [];
    const peer = coordination.next(coordination.chunkName(key), passedOver);
    const trace = this.#traceOf(key, request.asker, peer);
    if (peer.replicaId === coordination.selfId) return filler.fill(key, request);
    const { seen, skipDisk } = request;
    const route: Route = { key, passedOver, peer, disagreements: 0, skipDisk };
    const run = filler.runOf(key, request, this.#relays);
    const isWorthFinishing = filler.worthOf(seen);
    const flight = new Flight(key, this.#sourceOf(key, trace), run, { trace, isWorthFinishing });
    return this.#launch(flight, route, false, request.isFirst ? this.#takeMemory(flight) : undefined);
  }

  promote(key: ChunkKey, wanted: WantedBytes): Flight | undefined {
    return this.#options.filler.promote(key, wanted);
  }

  readAhead(key: ChunkKey, wanted: WantedBytes): Flight | undefined {
    const { offset, asker } = wanted;
    const { filler, coordination } = this.#options;
    const name = coordination.chunkName(key);
    if (coordination.isMine(name)) return filler.readAhead(key, wanted);
    const run = filler.runAhead(key, wanted, this.#relays);
    const runBytes = run && run.to - run.from;
    const permit = runBytes && this.#tryPermit(runBytes);
    if (!permit) return this.find(key, offset);
    const reservation = filler.reserveAhead(runBytes);
    if (!reservation) {
      permit.release();
      return this.find(key, offset);
    }
    const passedOver: string[] = [];
    const peer = coordination.next(name, passedOver);
    const trace = this.#traceOf(key, asker, peer);
    const isWorthFinishing = filler.worthOf(false);
    const flight = new Flight(key, this.#sourceOf(key, trace), run, { trace, isWorthFinishing });
    flight.useMemory(reservation);
    this.stats.readAheads += 1;
    return this.#launch(flight, { key, passedOver, peer, disagreements: 0, skipDisk: false }, true, permit);
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
    this.#relays.add(flight);
    const tracked = this.#run(flight, route, ahead, permit).finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
    return flight;
  }

  async #run(flight: Flight, route: Route, ahead: boolean, given: Permit | undefined): Promise<void> {
    const { memory, filler } = this.#options;
    const memoryKey = flight.key.version.memoryKey(flight.key.index);
    let adopted = false;
    let permit = given;
    try {
      permit ??= await this.#reserve(flight);
      if (!this.#isMissing(flight)) {
        this.stats.moot += 1;
        return;
      }
      const signal = this.#stopping.signal;
      await flight.fetch((sink, ended) => this.#read(flight, route, sink, ended), signal);
      if (flight.source === "peer") flight.noteUnverifiedBytes();
      const chunk = flight.complete();
      // Readers that wait for the last bytes take them before the flight is closed: no tier has them.
      if (flight.isForgotten) await nextTurn();
      if (chunk && !flight.isForgotten) memory.put(memoryKey, chunk, ahead, flight.key.version);
    } catch (thrown) {
      if (thrown instanceof NoPeerLeft) {
        adopted = filler.adopt(flight, { ahead, skipDisk: route.skipDisk });
        if (adopted) this.stats.adopted += 1;
        return;
      }
      this.#fail(flight, thrown);
    } finally {
      permit?.release();
      this.#relays.delete(flight);
      if (flight.isCut && !adopted) this.stats.cut += 1;
      if (!adopted && flight.state.kind !== "failed") flight.close();
    }
  }

  /**
   * The blocks may have arrived in another way while the flight waited for memory. Its readers then look again. Blocks
   * after the first missing ones that are here already are cut off the run.
   */
  #isMissing(flight: Flight): boolean {
    const { filler } = this.#options;
    const inFlight = filler.firstInFlight(flight.key, flight);
    if (inFlight !== undefined && inFlight <= flight.from) return false;
    if (inFlight !== undefined) flight.cutTo(inFlight);
    return filler.isMissing(flight, true);
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

  /** Memory for a flight whose client has no byte yet. Where it is not there at once, the run is a short one from now on. */
  #takeMemory(flight: Flight): Permit | undefined {
    const { reserveBytes } = flight;
    const permit = this.#tryPermit(reserveBytes);
    const reservation = permit && this.#options.budget.tryReserve(reserveBytes);
    if (!reservation) {
      permit?.release();
      flight.shorten();
      return undefined;
    }
    flight.useMemory(reservation);
    flight.trace?.asked();
    return permit;
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
    const ranked = coordination.ranked(coordination.chunkName(key));
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
   * Reads the bytes that a flight lacks from the cachestore, or from as many replicas as it takes. @throws NoPeerLeft;
   * the origin's error.
   */
  async #read(flight: Flight, route: Route, sink: PlacedSink, signal: AbortSignal): Promise<void> {
    const { peers, coordination, cachestore } = this.#options;
    if (flight.source === "cachestore" && cachestore) {
      const { filled, to, trace } = flight;
      const outcome = await watched(trace, "cachestore", "read", trace?.about ?? {}, () =>
        cachestore.read(route.key, filled, to - filled, sink, signal),
      );
      signal.throwIfAborted();
      if (outcome === "hit") return;
      flight.turnTo("peer");
    }
    const counted: PlacedSink = {
      space: () => sink.space(),
      spaceAhead: (aheadBytes) => sink.spaceAhead(aheadBytes),
      advance: (lengthBytes) => {
        this.stats.peerBytes += lengthBytes;
        sink.advance(lengthBytes);
      },
    };
    for (;;) {
      const peer = this.#nextPeer(route);
      const { key, passedOver } = route;
      const lengthBytes = flight.to - flight.filled;
      const offset = flight.filled;
      const request = { key, offset, lengthBytes, passedOver: [...passedOver], cachedOnly: false };
      try {
        await tracedRead({ peers, peer, request, trace: flight.trace }, counted, signal);
        coordination.answered(peer.replicaId);
        return;
      } catch (thrown) {
        signal.throwIfAborted();
        // The last byte may have come before the fault. Then nothing is missing.
        if (flight.filled === flight.to) return;
        this.#turnFrom(peer, route, thrown);
        if (flight.trace) flight.trace.retries += 1;
        if (lengthBytes > flight.to - flight.filled) this.stats.resumed += 1;
      }
    }
  }

  #nextPeer(route: Route): Member {
    const { coordination } = this.#options;
    route.peer ??= coordination.next(coordination.chunkName(route.key), route.passedOver);
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
      const name = coordination.chunkName(route.key);
      // If the merge changed nothing, this replica would ask the same one again.
      const same = coordination.coordinator(name, route.passedOver).replicaId === replicaId;
      if (route.disagreements > 1 || same) throw new NoPeerLeft();
      route.peer = undefined;
      return;
    }
    const error = OrcaError.from(thrown, "internal", "mesh", `Cannot read from replica "${replicaId}"`);
    if (!error.isPeerTrouble) {
      coordination.answered(replicaId);
      throw error;
    }
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
