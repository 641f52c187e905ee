/**
 * What a FillChunkRequest asks for, and what it is told. Everything in a request is a stranger's word: sizes are compared
 * with one another before any of them is believed, so that what goes on from here is a stretch of a chunk that could
 * be. Whether it is held, filled or another replica's is not known here.
 */
import { ChunkSource, type FillChunkRequest } from "../../../gen/orca/v1/fill_pb.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { PeerRead, PeerSource } from "../../fill/chunk-peers.ts";
import { decodeChunk } from "../codec/chunk-codec.ts";
import { malformedMessage, nameField, numberField } from "../codec/message-field.ts";
import { RecentVersions } from "../codec/recent-versions.ts";
import type { FillAnswer, FillSlices } from "./fill-chunk-handler.ts";

/** As fill/chunk-server.ts gives it. */
export interface ChunkAnswer {
  readonly lengthBytes: number;
  readonly source: PeerSource;
  readonly slices: FillSlices;
  sha256(): Promise<Uint8Array | undefined>;
}

/** Who has the bytes, or knows who has. */
export interface ChunkAnswers {
  /** Undefined: only what is cached was asked for, and there is nothing. @throws NotCoordinator, OrcaError. */
  answer(request: PeerRead): ChunkAnswer | undefined;
}

/** Replicas that one request may name as unreachable. A caller that could not reach more names only the first ones. */
export const passedOverMax = 64;

const replicaIdBytesMax = 512;

const wireSource: Readonly<Record<PeerSource, ChunkSource>> = {
  memory: ChunkSource.MEMORY,
  disk: ChunkSource.DISK,
  flight: ChunkSource.FLIGHT,
  origin: ChunkSource.ORIGIN,
  cachestore: ChunkSource.CACHESTORE,
};

export class FillService {
  /** `invalid`: requests that no chunk could answer. */
  readonly stats = { invalid: 0, notHeld: 0 };
  readonly #chunks: ChunkAnswers;
  readonly #versions = new RecentVersions();

  constructor(chunks: ChunkAnswers) {
    this.#chunks = chunks;
  }

  /**
   * For FillChunkHandler.
   * @throws OrcaError `invalid_argument` where the request cannot be meant, `not_held` where only what is cached was asked
   * for; what {@link ChunkAnswers.answer} throws.
   */
  answer(request: FillChunkRequest): FillAnswer {
    const read = this.#read(request);
    const answer = this.#chunks.answer(read);
    if (!answer) {
      this.stats.notHeld += 1;
      const path = read.key.version.chunkPath(read.key.index);
      throw new OrcaError("not_held", "mesh", `Cannot read chunk "${path}": it is not held here`);
    }
    const { lengthBytes, source, slices } = answer;
    return { lengthBytes, source: wireSource[source], slices, sha256: () => answer.sha256() };
  }

  #read(request: FillChunkRequest): PeerRead {
    try {
      return this.#checked(request);
    } catch (thrown) {
      this.stats.invalid += 1;
      throw thrown;
    }
  }

  #checked({ chunkKey, objectSize, offset, length, cachedOnly, passedOver }: FillChunkRequest): PeerRead {
    const key = decodeChunk(chunkKey, objectSize, (fields) => this.#versions.of(fields));
    const chunkBytes = key.version.chunkLength(key.index);
    const start = numberField(offset, "offset");
    if (start >= chunkBytes) throw malformedMessage(`offset is ${start} in a chunk of ${chunkBytes} bytes`);
    const lengthBytes = numberField(length, "length") || chunkBytes - start;
    if (start + lengthBytes > chunkBytes) {
      throw malformedMessage(
        `${lengthBytes} bytes from ${start} on pass the end of a chunk of ${chunkBytes} bytes`,
      );
    }
    if (passedOver.length > passedOverMax) {
      throw malformedMessage(
        `it passes over ${passedOver.length} replicas, at most ${passedOverMax} are taken`,
      );
    }
    for (const replicaId of passedOver) nameField(replicaId, "passed_over", replicaIdBytesMax);
    return { key, offset: start, lengthBytes, passedOver, cachedOnly };
  }
}
