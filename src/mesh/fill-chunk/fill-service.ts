/**
 * Decodes and checks a FillChunkRequest, and encodes the source of the answer. A request may be wrong or hostile: its
 * sizes are compared with each other before any is used. So ChunkAnswers gets only ranges of possible chunks, and
 * decides whether the chunk is held, is filled or belongs to another replica.
 */
import { ChunkSource, type FillChunkRequest } from "../../../gen/orca/v1/fill_pb.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { type ChunkTier, chunkSizeFor, defaultChunkTiers } from "../../chunk/chunk-layout.ts";
import type { ObjectVersionFields } from "../../chunk/object-version.ts";
import type { PeerRead, PeerSource } from "../../fill/chunk-peers.ts";
import { decodeChunk } from "../codec/chunk-codec.ts";
import { malformedMessage, nameField, numberField } from "../codec/message-field.ts";
import { RecentVersions } from "../codec/recent-versions.ts";
import type { FillAnswer, FillSlices } from "./fill-chunk-handler.ts";

/** An answer, as fill/chunk-server.ts returns it. */
export interface ChunkAnswer {
  readonly lengthBytes: number;
  readonly source: PeerSource;
  readonly slices: FillSlices;
  sha256(): Promise<Uint8Array | undefined>;
}

/** Holds the bytes, or knows the replica to ask. */
export interface ChunkAnswers {
  /** Undefined if the request is for cached bytes only, and there are none. @throws NotCoordinator, OrcaError. */
  answer(request: PeerRead): ChunkAnswer | undefined | Promise<ChunkAnswer>;
}

/** Replicas that one request may name as unreachable. A caller that could not reach more names only the first ones. */
export const passedOverMax = 64;

const replicaIdBytesMax = 512;

const chunkSources: Readonly<Record<PeerSource, ChunkSource>> = {
  memory: ChunkSource.MEMORY,
  disk: ChunkSource.DISK,
  flight: ChunkSource.FLIGHT,
  origin: ChunkSource.ORIGIN,
  cachestore: ChunkSource.CACHESTORE,
};

export class FillService {
  /** `invalid`: requests for a range that no chunk can have. */
  readonly stats = { invalid: 0, notHeld: 0 };
  readonly #chunks: ChunkAnswers;
  readonly #chunkTiers: readonly ChunkTier[];
  readonly #versions = new RecentVersions();

  /** `chunkTiers` is the agreed layout, as {@link chunkSizeFor} takes it. */
  constructor(chunks: ChunkAnswers, chunkTiers: readonly ChunkTier[] = defaultChunkTiers) {
    this.#chunks = chunks;
    this.#chunkTiers = chunkTiers;
  }

  /**
   * For FillChunkHandler.
   * @throws OrcaError `invalid_argument` for an invalid request; `not_held` if only cached bytes are wanted and there
   * are none; the error of {@link ChunkAnswers.answer}.
   */
  answer(request: FillChunkRequest, requestId?: string): FillAnswer | Promise<FillAnswer> {
    const read = { ...this.#decode(request), ...(requestId !== undefined && { requestId }) };
    const answer = this.#chunks.answer(read);
    if (answer instanceof Promise) return answer.then(encoded);
    if (!answer) {
      this.stats.notHeld += 1;
      const path = read.key.version.chunkPath(read.key.index);
      throw new OrcaError("not_held", "mesh", `Cannot read chunk "${path}": this replica does not hold it`);
    }
    return encoded(answer);
  }

  #decode(request: FillChunkRequest): PeerRead {
    try {
      return this.#decodeFields(request);
    } catch (thrown) {
      this.stats.invalid += 1;
      throw thrown;
    }
  }

  /** A fill reserves memory for a whole chunk, so a peer may not choose how large a chunk is. */
  #checkLayout(fields: ObjectVersionFields): ObjectVersionFields {
    const { chunkSizeBytes, sizeBytes } = fields;
    const agreed = chunkSizeFor(sizeBytes, this.#chunkTiers);
    if (chunkSizeBytes === agreed) return fields;
    throw malformedMessage(
      `chunk_size is ${chunkSizeBytes}, chunks of an object of ${sizeBytes} bytes have ${agreed} (chunking)`,
    );
  }

  #decodeFields({
    chunkKey,
    objectSize,
    offset,
    length,
    cachedOnly,
    passedOver,
    contentCoding,
    versionId,
  }: FillChunkRequest): PeerRead {
    const key = decodeChunk(chunkKey, { objectSize, contentCoding, versionId }, (fields) =>
      this.#versions.of(this.#checkLayout(fields)),
    );
    const chunkBytes = key.version.chunkLength(key.index);
    const start = numberField(offset, "offset");
    if (start >= chunkBytes) throw outOfRange(`offset is ${start} in a chunk of ${chunkBytes} bytes`);
    const lengthBytes = numberField(length, "length") || chunkBytes - start;
    if (start + lengthBytes > chunkBytes) {
      throw outOfRange(`${lengthBytes} bytes at offset ${start} end after a chunk of ${chunkBytes} bytes`);
    }
    if (passedOver.length > passedOverMax) {
      throw malformedMessage(
        `passed_over names ${passedOver.length} replicas, at most ${passedOverMax} are accepted`,
      );
    }
    for (const replicaId of passedOver) nameField(replicaId, "passed_over", replicaIdBytesMax);
    return { key, offset: start, lengthBytes, passedOver, cachedOnly };
  }
}

function encoded(answer: ChunkAnswer): FillAnswer {
  const { lengthBytes, source, slices } = answer;
  return { lengthBytes, source: chunkSources[source], slices, sha256: () => answer.sha256() };
}

/** OUT_OF_RANGE, on which a peer with a partial copy deletes it and begins again at 0 (fill/replication/pull.ts). */
function outOfRange(reason: string): OrcaError {
  return new OrcaError("invalid_range", "mesh", `Cannot send a chunk to a peer: ${reason}`);
}
