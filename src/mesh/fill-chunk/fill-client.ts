/**
 * The fill's way to other replicas: ChunkPeers over FillChunk streams. What matters to its callers is whose trouble an
 * error is. All that keeps the bytes from coming (no connection, silence, a broken protocol) is the peer's, and
 * `peer_unavailable`; what the peer said is what it said.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { ChunkSource, type FillChunkRequestSchema, type FillHeader } from "../../../gen/orca/v1/fill_pb.ts";
import type { ByteSink } from "../../base/byte-sink.ts";
import type { Clock } from "../../base/clock.ts";
import type { ChunkPeers, PeerRead, PeerReadEnd, PeerSource } from "../../fill/chunk-peers.ts";
import type { Member } from "../../membership/member.ts";
import { encodeChunkKey } from "../codec/chunk-codec.ts";
import { fromConnectError } from "../codec/connect-error.ts";
import type { StreamOpener } from "../session/peer-session.ts";
import type { Peers } from "../session/peers.ts";
import { callFillChunk } from "./fill-chunk-call.ts";
import { passedOverMax } from "./fill-service.ts";
import { FillStreamFault } from "./fill-stream-fault.ts";
import { defaultFillTimings, type FillTimings } from "./fill-timings.ts";

export interface FillClientOptions {
  readonly peers: Pick<Peers, "at">;
  readonly clock: Clock;
  readonly timings?: Partial<FillTimings>;
}

/** A source of a newer peer, and one it did not name, is some fill of its. */
const sources: Readonly<Record<ChunkSource, PeerSource>> = {
  [ChunkSource.UNSPECIFIED]: "flight",
  [ChunkSource.MEMORY]: "memory",
  [ChunkSource.DISK]: "disk",
  [ChunkSource.FLIGHT]: "flight",
  [ChunkSource.ORIGIN]: "origin",
  [ChunkSource.CACHESTORE]: "cachestore",
};

export class FillClient implements ChunkPeers {
  /** Requests, bytes of chunks, and requests by how they ended. */
  readonly stats = {
    requests: 0,
    receivedBytes: 0,
    /** All bytes came. */
    complete: 0,
    notCoordinator: 0,
    notHeld: 0,
    /** Any other error that the peer told. */
    refused: 0,
    unreachable: 0,
    /** The stream broke off, fell silent or was not as it should be. */
    broken: 0,
    /** The caller wanted it no more. */
    abandoned: 0,
  };
  readonly #options: FillClientOptions;
  readonly #timings: FillTimings;

  constructor(options: FillClientOptions) {
    this.#options = options;
    this.#timings = { ...defaultFillTimings, ...options.timings };
  }

  async read(peer: Member, request: PeerRead, sink: ByteSink, signal: AbortSignal): Promise<PeerReadEnd> {
    this.stats.requests += 1;
    const session = await this.#reach(peer);
    let source: PeerSource = "flight";
    const onHeader = (header: FillHeader, lengthBytes: number): ByteSink => {
      if (lengthBytes !== request.lengthBytes) {
        const reason = `its header promises ${lengthBytes} bytes of ${request.lengthBytes} asked for`;
        throw new FillStreamFault("wrong_length", reason);
      }
      source = sources[header.source] ?? source;
      return this.#counted(sink);
    };
    try {
      const { clock } = this.#options;
      const { stallTimeoutMs, waitMaxMs } = this.#timings;
      const { sha256 } = await callFillChunk({
        session,
        request: wireRequest(request),
        onHeader,
        signal,
        clock,
        stallTimeoutMs,
        waitMaxMs,
      });
      this.stats.complete += 1;
      return { source, sha256: sha256.length === 0 ? undefined : sha256 };
    } catch (thrown) {
      throw this.#judged(thrown, peer, signal);
    }
  }

  async #reach(peer: Member): Promise<StreamOpener> {
    try {
      return await this.#options.peers.at(peer.address).bytes();
    } catch (thrown) {
      this.stats.unreachable += 1;
      throw fromConnectError(thrown, actionOf(peer));
    }
  }

  #judged(thrown: unknown, peer: Member, signal: AbortSignal): unknown {
    const { stats } = this;
    if (signal.aborted && thrown === signal.reason) {
      stats.abandoned += 1;
      return thrown;
    }
    if (thrown instanceof FillStreamFault) {
      stats.broken += 1;
      return thrown;
    }
    // What is neither of these is a bug of whoever gave the sink.
    if (!(thrown instanceof ConnectError)) return thrown;
    const error = fromConnectError(thrown, actionOf(peer));
    if (error.code === "not_coordinator") stats.notCoordinator += 1;
    else if (error.code === "not_held") stats.notHeld += 1;
    else if (error.code === "peer_unavailable") stats.broken += 1;
    else stats.refused += 1;
    return error;
  }

  #counted(sink: ByteSink): ByteSink {
    return {
      space: () => sink.space(),
      advance: (lengthBytes) => {
        this.stats.receivedBytes += lengthBytes;
        sink.advance(lengthBytes);
      },
    };
  }
}

function actionOf(peer: Member): string {
  return `Cannot read a chunk from replica "${peer.replicaId}"`;
}

function wireRequest(request: PeerRead): MessageInitShape<typeof FillChunkRequestSchema> {
  return {
    chunkKey: encodeChunkKey(request.key),
    objectSize: BigInt(request.key.version.sizeBytes),
    offset: BigInt(request.offset),
    length: BigInt(request.lengthBytes),
    cachedOnly: request.cachedOnly,
    passedOver: request.passedOver.slice(0, passedOverMax),
  };
}
