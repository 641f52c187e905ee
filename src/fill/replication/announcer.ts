/**
 * Tells the other keepers of a chunk that this replica holds it, so that they pull a copy. It calls nobody else. Gossip
 * would carry each announcement to all members many times, and above some hundred a second it lost them.
 *
 * An announcement is a hint and never urgent: anti-entropy finds what was not announced. So announcements to one peer
 * wait for a moment and go together, and one that does not fit is dropped and counted.
 *
 * Invariants:
 * 1. At most one call to a peer runs, and between two of them lies at least batchMs.
 * 2. A queue holds at most queuedMax announcements, and all together at most queuedBytesMax. A peer that answers slowly
 *    fills only its own queue.
 * 3. A queue exists while it holds something or its peer is being called.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { KiB, MiB } from "../../base/units.ts";
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { Keepers } from "./keepers.ts";

/** The interface to the keepers. On the mesh it is mesh/services/inventory-client.ts. */
export interface AnnouncementPeers {
  /**
   * Resolves with false if the peer is of an earlier version, which knows only announcements in gossip.
   * @throws OrcaError `peer_unavailable` where no valid answer came in time; else the peer's error.
   */
  announce(peer: Member, chunks: readonly ChunkKey[]): Promise<boolean>;
}

export interface AnnouncerSettings {
  /** How long an announcement waits for others, and the time between two calls to a peer. */
  readonly batchMs: number;
  readonly batchMax: number;
  /** A call has room for one chunk with the longest names. */
  readonly batchBytesMax: number;
  readonly queuedMax: number;
  readonly queuedBytesMax: number;
}

export interface AnnouncerOptions {
  readonly keepers: Keepers;
  readonly coordination: Pick<Coordination, "selfId" | "live">;
  readonly peers: AnnouncementPeers;
  /** Announces a chunk to peers of an earlier version. */
  readonly gossip: (key: ChunkKey) => void;
  readonly clock: Clock;
  readonly settings?: Partial<AnnouncerSettings>;
}

/** A call is smaller than the largest request of the mesh, 16 KiB. */
const defaults: AnnouncerSettings = {
  batchMs: 500,
  batchMax: 128,
  batchBytesMax: 12 * KiB,
  queuedMax: 1024,
  queuedBytesMax: 4 * MiB,
};

/** What an announcement takes in a queue beside its names, whose texts the version holds. */
const entryBytes = 128;

interface Queue {
  readonly peer: Member;
  readonly waiting: ChunkKey[];
  /** Until the next call. Undefined while one runs. */
  timer: Timer | undefined;
}

export class Announcer {
  readonly stats = {
    /** Announcements that keepers have received, and the calls that carried them. */
    delivered: 0,
    calls: 0,
    /** Not queued, because the queue of the peer or of all peers was full. */
    dropped: 0,
    /** Sent in a call that failed. */
    failed: 0,
  };
  readonly #options: AnnouncerOptions;
  readonly #settings: AnnouncerSettings;
  readonly #queues = new Map<string, Queue>();
  #queuedBytes = 0;
  #isStopped = false;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#settings = { ...defaults, ...options.settings };
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  announce(key: ChunkKey): void {
    if (this.#isStopped) return;
    const { keepers, coordination } = this.#options;
    for (const peer of keepers.of(key.version.chunkPath(key.index))) {
      if (peer.replicaId !== coordination.selfId) this.#queue(peer, key);
    }
  }

  /** Drops what waits. A call that runs ends by itself. */
  stop(): void {
    this.#isStopped = true;
    for (const { timer } of this.#queues.values()) timer?.cancel();
    this.#queues.clear();
    this.#queuedBytes = 0;
  }

  #queue(peer: Member, key: ChunkKey): void {
    const { queuedMax, queuedBytesMax, batchMs } = this.#settings;
    const known = this.#queues.get(peer.replicaId);
    const sizeBytes = sizeOf(key);
    const isFull = known !== undefined && known.waiting.length >= queuedMax;
    if (isFull || this.#queuedBytes + sizeBytes > queuedBytesMax) {
      this.stats.dropped += 1;
      return;
    }
    this.#queuedBytes += sizeBytes;
    if (known) {
      known.waiting.push(key);
      return;
    }
    const queue: Queue = { peer, waiting: [key], timer: undefined };
    this.#queues.set(peer.replicaId, queue);
    this.#sendIn(batchMs, queue);
  }

  #sendIn(delayMs: number, queue: Queue): void {
    queue.timer = this.#options.clock.timer(delayMs, () => {
      queue.timer = undefined;
      void this.#send(queue);
    });
  }

  async #send(queue: Queue): Promise<void> {
    const { peers, coordination, gossip } = this.#options;
    const chunks = this.#take(queue);
    // The address may have changed since, and a member that is no longer live keeps nothing.
    const peer = coordination.live.find(({ replicaId }) => replicaId === queue.peer.replicaId);
    if (chunks.length > 0 && peer) {
      this.stats.calls += 1;
      try {
        if (await peers.announce(peer, chunks)) this.stats.delivered += chunks.length;
        else for (const key of chunks) gossip(key);
      } catch (thrown) {
        OrcaError.from(thrown, "internal", "mesh", `Cannot announce chunks to "${peer.replicaId}"`);
        this.stats.failed += chunks.length;
      }
    }
    if (this.#isStopped) return;
    // A queue that is empty waits once more, so that a chunk in the meantime goes with the next.
    if (chunks.length > 0) this.#sendIn(this.#settings.batchMs, queue);
    else this.#queues.delete(queue.peer.replicaId);
  }

  #take({ waiting }: Queue): ChunkKey[] {
    const { batchMax, batchBytesMax } = this.#settings;
    let bytes = 0;
    let count = 0;
    for (const key of waiting) {
      bytes += sizeOf(key);
      if (count === batchMax || (count > 0 && bytes > batchBytesMax)) break;
      count += 1;
    }
    const taken = waiting.splice(0, count);
    for (const key of taken) this.#queuedBytes -= sizeOf(key);
    return taken;
  }
}

/** An upper estimate of the encoded size, and of what a queued chunk takes. */
function sizeOf({ version: { originId, bucket, objectKey, etag } }: ChunkKey): number {
  return (
    entryBytes +
    Buffer.byteLength(originId) +
    Buffer.byteLength(bucket) +
    Buffer.byteLength(objectKey) +
    Buffer.byteLength(etag)
  );
}
