/**
 * The assembler's way in a cluster: brings a chunk from the replica that coordinates it, and is the filler itself for
 * chunks that this replica coordinates. The life of a relay:
 *
 *   1. `fill` asks who coordinates the chunk. If that is this replica, the filler goes to the origin.
 *   2. Else a flight asks the coordinator for the bytes, from the first one wanted on, and its readers are served as they
 *      arrive. The coordinator fills once, for all who ask.
 *   3. Where the coordinator is gone, breaks off or stalls, the next replica in rank is asked for the rest, from the byte
 *      where it stopped. Where that is this replica, the filler takes the flight over.
 *   4. "Not coordinator" is believed once: the view is merged, and whoever coordinates the chunk by it is asked. A second
 *      one ends the asking, and this replica fills. What the origin said is final, whoever asked it.
 *   5. What the cachestore is known to hold is read from there, and no peer is asked unless it proves wrong.
 *   6. A whole chunk goes into memory, where the eviction policy has it on probation; only its coordinator keeps it on
 *      disk. A short range of a chunk that nobody asked for before is brought for its reader alone and not kept: else a
 *      few bytes would cost a chunk's worth of network on every replica.
 *
 * Nobody can join in a circle. The filler's flights wait for the origin and for memory, and where disks are replicated
 * for what others hold (chunk-server.ts says why that ends); relays wait for other replicas' fillers, and other
 * replicas are never given a relay to join. Memory is where a circle could close: (a) relays of A
 * hold all its memory and wait for B; (b) relays of B hold all of its and wait for A; (c) neither's filler can reserve.
 * So all relays together hold at most half of the memory while they wait, and a filler always has the other half.
 */

import type { ByteSink } from "../base/byte-sink.ts";
import type { Clock } from "../base/clock.ts";
import { type MemoryBudget, segmentSizeBytes } from "../base/memory-budget.ts";
import { OrcaError } from "../base/orca-error.ts";
import { type Permit, Semaphore } from "../base/semaphore.ts";
import type { Coordination } from "../membership/coordination.ts";
import type { Member } from "../membership/member.ts";
import { NotCoordinator } from "../membership/not-coordinator.ts";
import type { ChunkKey } from "../store/chunk-store.ts";
import { type ChunkFlights, type FillRequest, partStart } from "./chunk-flights.ts";
import type { ChunkPeers } from "./chunk-peers.ts";
import type { Filler, MemoryChunks, SharedStore } from "./filler.ts";
import { Flight } from "./flight.ts";

export interface RelayOptions {
  readonly filler: Filler;
  readonly peers: ChunkPeers;
  readonly coordination: Coordination;
  readonly memory: MemoryChunks;
  /** Left out where there is no cachestore. */
  readonly shared?: SharedStore | undefined;
  readonly budget: MemoryBudget;
  /** How long a relay waits for memory before its readers are told to slow down. */
  readonly queueTimeoutMs: number;
  readonly clock: Clock;
}

/** Flights at once. Each has up to two streams, and all may be to one peer, whose session takes 1,024. */
const relaysMax = 500;

/** Whom the parts of one flight ask. */
interface Route {
  readonly ref: ChunkKey;
  readonly passedOver: string[];
  /** Who is asked next; undefined where that is to be found out anew. */
  peer: Member | undefined;
  disagreements: number;
  /** @see FillRequest.pastDisk */
  readonly pastDisk: boolean;
}

/** There is nobody left to ask but this replica. Thrown within a flight, and never out of it. */
class AskNobody extends Error {}

export class Relay implements ChunkFlights {
  readonly stats = {
    relays: 0,
    pieces: 0,
    joins: 0,
    readAheads: 0,
    moot: 0,
    failed: 0,
    /** Another replica was asked for what one still owed. */
    resumed: 0,
    /** The filler went on where peers could not. */
    adopted: 0,
    peerBytes: 0,
  };
  readonly #options: RelayOptions;
  readonly #lane: Semaphore;
  readonly #slots: Semaphore;
  readonly #relays = new Map<string, Flight>();
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(options: RelayOptions) {
    this.#options = options;
    const laneBytes = Math.floor(options.budget.maxBytes / 2);
    this.#lane = new Semaphore("memory for bytes of peers", laneBytes, options.clock, 10_000, "memory");
    this.#slots = new Semaphore("streams from peers", relaysMax, options.clock, 10_000, "mesh");
  }

  get flightsInProgress(): number {
    return this.#relays.size;
  }

  /** A flight of the filler first: it depends on nobody. */
  find(ref: ChunkKey): Flight | undefined {
    return this.#options.filler.find(ref) ?? this.#relays.get(ref.version.memoryKey(ref.index));
  }

  fill(ref: ChunkKey, request: FillRequest): Flight {
    const { filler, coordination } = this.#options;
    const passedOver: string[] = [];
    const peer = coordination.next(ref.version.chunkPath(ref.index), passedOver);
    if (peer.replicaId === coordination.selfId) return filler.fill(ref, request);
    const { offset, end, seen, pastDisk } = request;
    const route: Route = { ref, passedOver, peer, disagreements: 0, pastDisk };
    const source = this.#sourceOf(ref);
    if (!seen && end - offset < ref.version.chunkLength(ref.index) / 2) {
      const blockEnd = offset - (offset % segmentSizeBytes) + segmentSizeBytes;
      const piece = Flight.piece(ref, source, offset, Math.min(end, blockEnd));
      this.stats.pieces += 1;
      this.#track(this.#flyPiece(piece, route, request));
      return piece;
    }
    return this.#launch(new Flight(ref, source, partStart(offset)), route, false);
  }

  promote(ref: ChunkKey, offset: number): Flight | undefined {
    return this.#options.filler.promote(ref, offset);
  }

  readAhead(ref: ChunkKey): void {
    const { filler, coordination, memory } = this.#options;
    const name = ref.version.memoryKey(ref.index);
    if (memory.peek(name) || this.#relays.has(name)) return;
    const path = ref.version.chunkPath(ref.index);
    if (coordination.isMine(path)) return filler.readAhead(ref);
    const permit = this.#tryLane(ref.version.chunkLength(ref.index));
    if (!permit) return;
    const reservation = filler.reserveAhead(ref);
    if (!reservation) return permit.release();
    const passedOver: string[] = [];
    const peer = coordination.next(path, passedOver);
    const flight = new Flight(ref, this.#sourceOf(ref), 0);
    flight.board(reservation);
    this.stats.readAheads += 1;
    this.#launch(flight, { ref, passedOver, peer, disagreements: 0, pastDisk: false }, true, permit);
  }

  /** Ends what still waits for peers. */
  async stop(): Promise<void> {
    this.#stopping.abort(new OrcaError("shutting_down", "fill", "Cannot relay a chunk: Orca is stopping"));
    await Promise.all(this.#running);
  }

  #launch(flight: Flight, route: Route, ahead: boolean, permit?: Permit): Flight {
    this.stats.relays += 1;
    const name = flight.ref.version.memoryKey(flight.ref.index);
    this.#relays.set(name, flight);
    this.#track(this.#fly(flight, route, ahead, permit));
    return flight;
  }

  #track(run: Promise<void>): void {
    const tracked = run.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  async #fly(flight: Flight, route: Route, ahead: boolean, lanePermit: Permit | undefined): Promise<void> {
    const { memory, filler } = this.#options;
    const name = flight.ref.version.memoryKey(flight.ref.index);
    let adopted = false;
    let permit = lanePermit;
    try {
      permit ??= await this.#board(flight);
      // While it waited for memory, the chunk may have come by another way: whoever waits for it looks again.
      if (memory.peek(name) || filler.find(flight.ref)) {
        this.stats.moot += 1;
        return;
      }
      const signal = this.#stopping.signal;
      await flight.bring((part, sink, ended) => this.#readPart(flight, route, part, sink, ended), signal);
      memory.put(name, flight.complete(), ahead, flight.ref.version);
    } catch (thrown) {
      if (thrown instanceof AskNobody) {
        adopted = filler.adopt(flight, { ahead, pastDisk: route.pastDisk });
        if (adopted) this.stats.adopted += 1;
        return;
      }
      this.#fail(flight, thrown);
    } finally {
      permit?.release();
      this.#relays.delete(name);
      if (!adopted && flight.state.kind !== "failed") flight.close();
    }
  }

  /** A piece stays until its reader lets go of it, which may be before its bytes have come. */
  async #flyPiece(piece: Flight, route: Route, request: FillRequest): Promise<void> {
    let permit: Permit | undefined;
    try {
      permit = await this.#board(piece);
      if (piece.isLetGo) return;
      const signal = AbortSignal.any([piece.letGo, this.#stopping.signal]);
      await piece.bring((part, sink, ended) => this.#readPart(piece, route, part, sink, ended), signal);
      permit.release();
      permit = undefined;
      if (!piece.isLetGo) await aborted(piece.letGo);
    } catch (thrown) {
      if (piece.isLetGo) return;
      if (thrown instanceof AskNobody) this.#fillFor(piece, request);
      else this.#fail(piece, thrown);
    } finally {
      permit?.release();
      if (piece.state.kind !== "failed") piece.close();
    }
  }

  /**
   * There is nobody to ask for what a piece still owes: the filler begins there, before its reader looks again and finds
   * it. Were that left to the reader, (a) it would ask for a fill; (b) this replica's view, which has not changed, would
   * name the coordinator that says it is none; (c) another piece would end here.
   */
  #fillFor(piece: Flight, request: FillRequest): void {
    const { filler } = this.#options;
    const [part] = piece.parts;
    if (!part || filler.find(piece.ref)) return;
    filler.fill(piece.ref, { ...request, offset: part.filled });
    this.stats.adopted += 1;
  }

  /**
   * Memory for a flight, within what all relays may hold while they wait. The permit ends with the waiting. All three
   * lines together take no longer than `queueTimeoutMs`.
   */
  async #board(flight: Flight): Promise<Permit> {
    const { budget, queueTimeoutMs, clock } = this.#options;
    const endMs = clock.monotonic() + queueTimeoutMs;
    const left = (): number => Math.max(0, endMs - clock.monotonic());
    let permit = await this.#slots.acquire(queueTimeoutMs);
    try {
      permit = both(permit, await this.#lane.acquire(left(), flight.reserveBytes));
      flight.board(await budget.reserve(flight.reserveBytes, left()));
      this.#stopping.signal.throwIfAborted();
      return permit;
    } catch (thrown) {
      permit.release();
      throw thrown;
    }
  }

  #tryLane(bytes: number): Permit | undefined {
    const slot = this.#slots.tryAcquire();
    if (!slot) return undefined;
    const lane = this.#lane.tryAcquire(bytes);
    if (!lane) slot.release();
    return lane && both(slot, lane);
  }

  /** What is known to be in the store that all replicas share is had from there, past its coordinator. */
  #sourceOf(ref: ChunkKey): "cachestore" | "peer" {
    return this.#options.shared?.presence(ref) === "held" ? "cachestore" : "peer";
  }

  /**
   * All that is owed of a part, from the cachestore or from as many replicas as it takes. @throws AskNobody; what the
   * origin said.
   */
  async #readPart(
    flight: Flight,
    route: Route,
    part: { readonly to: number; readonly filled: number },
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<void> {
    const { peers, coordination, shared } = this.#options;
    if (flight.source === "cachestore" && shared) {
      const outcome = await shared.read(route.ref, part.filled, part.to - part.filled, sink, signal);
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
      const { ref, passedOver } = route;
      const lengthBytes = part.to - part.filled;
      try {
        await peers.read(
          peer,
          { ref, offset: part.filled, lengthBytes, passedOver: [...passedOver], cachedOnly: false },
          counted,
          signal,
        );
        coordination.answered(peer.replicaId);
        return;
      } catch (thrown) {
        signal.throwIfAborted();
        // The last byte may have come before the fault did; then nothing is missing.
        if (part.filled === part.to) return;
        this.#turnFrom(peer, route, thrown);
        if (lengthBytes > part.to - part.filled) this.stats.resumed += 1;
      }
    }
  }

  #nextPeer(route: Route): Member {
    const { coordination } = this.#options;
    route.peer ??= coordination.next(route.ref.version.chunkPath(route.ref.index), route.passedOver);
    if (route.peer.replicaId === coordination.selfId) throw new AskNobody();
    return route.peer;
  }

  /** Sees to it that the next one is asked; throws what `peer` said where that is the answer. */
  #turnFrom(peer: Member, route: Route, thrown: unknown): void {
    const { coordination } = this.#options;
    const { replicaId } = peer;
    if (thrown instanceof NotCoordinator) {
      coordination.answered(replicaId);
      coordination.learn(thrown.members);
      route.disagreements += 1;
      const path = route.ref.version.chunkPath(route.ref.index);
      // A view that was not convinced would ask the same one again.
      const same = coordination.coordinator(path, route.passedOver).replicaId === replicaId;
      if (route.disagreements > 1 || same) throw new AskNobody();
      route.peer = undefined;
      return;
    }
    const error = OrcaError.from(thrown, "internal", "mesh", `Cannot read from replica "${replicaId}"`);
    if (!error.isPeerTrouble) {
      coordination.answered(replicaId);
      throw error;
    }
    // The other part may have found out about the same peer meanwhile.
    if (route.peer?.replicaId !== replicaId) return;
    if (error.isPeerAbsence) coordination.failed(replicaId);
    else coordination.answered(replicaId);
    route.passedOver.push(replicaId);
    route.peer = undefined;
  }

  #fail(flight: Flight, thrown: unknown): void {
    this.stats.failed += 1;
    const name = flight.ref.version.memoryKey(flight.ref.index);
    flight.fail(OrcaError.from(thrown, "internal", "fill", `Cannot relay chunk "${name}"`));
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
