/**
 * What a FillChunkRequest asks for, and what it is told. Everything in a request is a stranger's word: sizes are compared
 * with one another before any of them is believed, so that what goes on from here is a stretch of a chunk that could
 * be. Whether it is held, filled or another replica's is not known here.
 */
import type { ChunkKey } from "../../gen/orca/v1/chunk_pb.ts";
import { ChunkSource, type FillChunkRequest } from "../../gen/orca/v1/fill_pb.ts";
import { OrcaError } from "../base/orca-error.ts";
import { GiB } from "../base/units.ts";
import type { PeerRead, PeerSource } from "../fill/chunk-peers.ts";
import type { ChunkRef } from "../store/chunk-store.ts";
import type { FillAnswer, FillSlices } from "./fill-chunk-handler.ts";
import { passedOverMax } from "./message-limits.ts";
import { RecentVersions } from "./recent-versions.ts";
import { malformed, name, present, wholeNumber } from "./wire-field.ts";
import { bucketName, etagText, objectKeyText, originId as originIdText } from "./wire-name.ts";

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

const replicaIdBytesMax = 512;
const chunkSizeBytesMax = GiB;

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
      const path = read.ref.version.chunkPath(read.ref.index);
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
    const ref = this.#refOf(present(chunkKey, "chunk_key"), wholeNumber(objectSize, "object_size"));
    const chunkBytes = ref.version.chunkLength(ref.index);
    const start = wholeNumber(offset, "offset");
    if (start >= chunkBytes) throw malformed(`offset is ${start} in a chunk of ${chunkBytes} bytes`);
    const lengthBytes = wholeNumber(length, "length") || chunkBytes - start;
    if (start + lengthBytes > chunkBytes) {
      throw malformed(`${lengthBytes} bytes from ${start} on pass the end of a chunk of ${chunkBytes} bytes`);
    }
    if (passedOver.length > passedOverMax) {
      throw malformed(`it passes over ${passedOver.length} replicas, at most ${passedOverMax} are taken`);
    }
    for (const replicaId of passedOver) name(replicaId, "passed_over", replicaIdBytesMax);
    return { ref, offset: start, lengthBytes, passedOver, cachedOnly };
  }

  #refOf(
    { originId, bucket, objectKey, etag, chunkSize, chunkIndex }: ChunkKey,
    sizeBytes: number,
  ): ChunkRef {
    const index = wholeNumber(chunkIndex, "chunk_index");
    const chunkSizeBytes = wholeNumber(chunkSize, "chunk_size", chunkSizeBytesMax);
    if (chunkSizeBytes === 0) throw malformed("chunk_size is 0");
    // Past 2^53 the product is not exact, and larger than any size all the same.
    if (index * chunkSizeBytes >= sizeBytes) {
      throw malformed(`chunk ${index} of ${chunkSizeBytes} bytes is not in an object of ${sizeBytes} bytes`);
    }
    const version = this.#versions.of({
      originId: originIdText(originId),
      bucket: bucketName(bucket),
      objectKey: objectKeyText(objectKey),
      etag: etagText(etag),
      sizeBytes,
      chunkSizeBytes,
    });
    return { version, index };
  }
}
