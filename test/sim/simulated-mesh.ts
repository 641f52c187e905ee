/**
 * What carries chunks and metadata between simulated replicas. A message takes a random time; across a partition it
 * waits for the heal, as TCP would have it, and whoever waits for it gives up by a deadline of its own. A replica may die
 * loudly (its connections are reset) or silently (a machine that lost power), and may be a black hole, that takes what
 * it is sent and never answers. A message is read when the process it is for has time to, which a dead one never has.
 */
import assert from "node:assert/strict";
import { type Clock, sleep } from "../../src/base/clock.ts";
import type { ChunkPeers } from "../../src/fill/chunk-peers.ts";
import type { AnnouncementPeers } from "../../src/fill/replication/announcer.ts";
import type { InventoryPeers } from "../../src/fill/replication/inventory-peers.ts";
import type { InventoryAnswers } from "../../src/mesh/services/inventory-service.ts";
import type { ObjectPeers } from "../../src/object/object-peers.ts";
import type { Chance } from "../support/chance.ts";
import { ChunkStream } from "./chunk-stream.ts";
import type { MeshCaller, MeshHost, MessageCarrier } from "./mesh-host.ts";
import type { Trace } from "./trace.ts";
import { unavailable } from "./unavailable.ts";

/** How long a call for metadata may take. */
const callTimeoutMs = 5000;
/** How often a message that is held up tries anew. */
const retransmitMs = 200;

export interface SimulatedMeshOptions {
  readonly clock: Clock;
  readonly chance: Chance;
  readonly trace: Trace;
}

export class SimulatedMesh implements MessageCarrier {
  readonly blackHoles = new Set<string>();
  readonly streams = new Set<ChunkStream>();
  readonly #options: SimulatedMeshOptions;
  readonly #hosts = new Map<string, MeshHost>();
  readonly #sideOf = new Map<string, number>();

  constructor(options: SimulatedMeshOptions) {
    this.#options = options;
  }

  attach(host: MeshHost): void {
    this.#hosts.set(host.replicaId, host);
  }

  /** The process is gone; `loudly`: those who were connected to it, or try to connect, are told at once. */
  detach(replicaId: string, loudly: boolean): void {
    this.#hosts.delete(replicaId);
    for (const stream of this.streams) {
      if (stream.from.replicaId === replicaId) stream.abandon();
      else if (stream.to === replicaId && loudly) stream.reset();
    }
    if (!loudly) this.blackHoles.add(replicaId);
  }

  partition(sides: readonly (readonly string[])[]): void {
    this.#sideOf.clear();
    for (const [index, side] of sides.entries()) for (const id of side) this.#sideOf.set(id, index);
  }

  heal(): void {
    this.#sideOf.clear();
  }

  isCut(from: string, to: string): boolean {
    return this.#sideOf.get(from) !== this.#sideOf.get(to);
  }

  hostOf(replicaId: string): MeshHost | undefined {
    return this.#hosts.get(replicaId);
  }

  chunkPeersOf(from: MeshCaller): ChunkPeers {
    const { clock, chance, trace } = this.#options;
    return {
      read: (peer, request, sink, signal) => {
        const stream = new ChunkStream({
          mesh: this,
          clock,
          chance,
          from,
          to: peer.replicaId,
          request,
          sink,
        });
        const { key, offset, lengthBytes, passedOver } = request;
        const past = passedOver.length === 0 ? "" : ` past ${passedOver.join()}`;
        trace.note(
          from.replicaId,
          `asks ${peer.replicaId} for ${key.version.etag}/${key.index} ${offset}+${lengthBytes}${past}`,
        );
        this.streams.add(stream);
        return stream.run(signal).finally(() => this.streams.delete(stream));
      },
    };
  }

  objectPeersOf(from: MeshCaller): ObjectPeers {
    return {
      head: (peer, request) => this.#call(from, peer.replicaId, (to) => to.objects.head(request)),
      part: (peer, request) => this.#call(from, peer.replicaId, (to) => to.objects.part(request)),
      list: (peer, request) => this.#call(from, peer.replicaId, (to) => to.objects.list(request)),
    };
  }

  inventoryPeersOf(from: MeshCaller): InventoryPeers & AnnouncementPeers {
    return {
      compare: (peer, request) => this.#call(from, peer.replicaId, (to) => inventoryOf(to).compare(request)),
      nameChunks: (peer, paths) =>
        this.#call(from, peer.replicaId, (to) => inventoryOf(to).nameChunks(paths)),
      announce: (peer, chunks) =>
        this.#call(from, peer.replicaId, async (to) => {
          inventoryOf(to).announced(chunks);
          return true;
        }),
    };
  }

  /** Passes the time of a message from one process to another; never resolves once the receiver is dead. */
  async carry(from: string, to: MeshCaller, isWanted: () => boolean): Promise<void> {
    const { clock, chance } = this.#options;
    await sleep(clock, chance.between(0.5, 20));
    while (this.isCut(from, to.replicaId) && isWanted()) await sleep(clock, retransmitMs);
    await new Promise<void>((resolve) => to.clock.deliver(resolve));
  }

  #call<Answer>(from: MeshCaller, to: string, ask: (host: MeshHost) => Promise<Answer>): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    let waits = true;
    const settle = (settled: () => void): void => {
      waits = false;
      deadline.cancel();
      settled();
    };
    const deadline = from.clock.timer(callTimeoutMs, () =>
      settle(() => reject(unavailable(to, `no answer within ${callTimeoutMs} ms`))),
    );
    const isWanted = (): boolean => waits;
    const answer = async (settled: () => void): Promise<void> => {
      await this.carry(to, from, isWanted);
      if (waits) settle(settled);
    };
    const run = async (): Promise<void> => {
      const host = await this.arrive(from, to, isWanted);
      if (host === "swallowed") return;
      if (host === "refused") return answer(() => reject(unavailable(to, "the connection was refused")));
      try {
        const said = await ask(host);
        await answer(() => resolve(said));
      } catch (thrown) {
        await answer(() => reject(thrown));
      }
    };
    void run();
    return promise;
  }

  /** Passes the time of a first message to a replica: its process, or what becomes of the message there. */
  async arrive(
    from: MeshCaller,
    to: string,
    isWanted: () => boolean,
  ): Promise<MeshHost | "refused" | "swallowed"> {
    const { clock, chance } = this.#options;
    await sleep(clock, chance.between(0.5, 20));
    while (this.isCut(from.replicaId, to) && isWanted()) await sleep(clock, retransmitMs);
    if (this.blackHoles.has(to)) return "swallowed";
    const host = this.#hosts.get(to);
    if (!host) return "refused";
    await new Promise<void>((resolve) => host.clock.deliver(resolve));
    return host;
  }
}

function inventoryOf({ inventory, replicaId }: MeshHost): InventoryAnswers {
  assert.ok(inventory, `${replicaId} is asked for its inventory`);
  return inventory;
}
