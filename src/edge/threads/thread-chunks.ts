/**
 * Answers other replicas in a thread: ranges that are in shared memory as a whole, without a question to anybody. All others
 * are the engine's, whose ChunkServer decides and reads (chunk-server.ts). Its slices come as places in slabs.
 */
import type { PeerRead, PeerSource } from "../../fill/chunk-peers.ts";
import { peerRequestFields } from "../../fill/chunk-server.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { ThreadBodies, ThreadReader } from "./thread-bodies.ts";

export interface ThreadChunkAnswer {
  readonly lengthBytes: number;
  readonly source: PeerSource;
  readonly slices: ThreadReader;
  /** SHA-256 of the whole chunk, where it is known. To be called after the last byte. */
  sha256(): Promise<Uint8Array | undefined>;
}

export class ThreadChunks {
  /** Answered without the engine. */
  readonly stats = { answered: 0 };
  readonly #bodies: ThreadBodies;
  readonly #hasDisk: boolean;

  /** @param hasDisk Whether the replica has a disk, which alone knows digests. */
  constructor(bodies: ThreadBodies, hasDisk: boolean) {
    this.#bodies = bodies;
    this.#hasDisk = hasDisk;
  }

  /** @throws as ChunkServer does, and OrcaError overloaded where the engine is far behind. */
  answer(read: PeerRead): ThreadChunkAnswer | Promise<ThreadChunkAnswer> {
    const { key, offset, lengthBytes, passedOver, cachedOnly, requestId } = read;
    const { version, index } = key;
    const start = index * version.chunkSizeBytes + offset;
    const end = start + lengthBytes;
    const slices = this.#bodies.openForPeer(version, start, end, { passedOver, cachedOnly, requestId });
    if (!this.#bodies.holdsRest(version, start, end)) return this.#ask(read, slices);
    this.stats.answered += 1;
    const { trace } = this.#bodies;
    if (trace.isOn && requestId !== undefined)
      trace.step("peer_request", requestId, peerRequestFields(read, "memory"));
    return this.#answerOf(read, "memory", slices);
  }

  async #ask(read: PeerRead, slices: ThreadReader): Promise<ThreadChunkAnswer> {
    return this.#answerOf(read, await slices.ask(), slices);
  }

  #answerOf({ key, lengthBytes, cachedOnly }: PeerRead, source: PeerSource, slices: ThreadReader) {
    // A replica that copies a chunk to its disk checks the digest. One that reads for a client does not look at it.
    const isWanted = cachedOnly && this.#hasDisk;
    return { lengthBytes, source, slices, sha256: async () => (isWanted ? this.#digest(key) : undefined) };
  }

  /** Where the engine is too far behind to answer, the digest is unknown, as that of a chunk is that is not on the disk. */
  #digest({ version, index }: ChunkKey): Promise<Uint8Array | undefined> {
    return this.#bodies.link.digest(version, index).catch(() => undefined);
  }
}
