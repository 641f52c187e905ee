/**
 * Reads ranges of chunks from other replicas: ChunkPeers over FillChunk streams. Its callers need to know whose fault
 * an error is. No connection, silence and a broken protocol are the peer's fault, and become `peer_unavailable`. An
 * error that the peer sent keeps its code.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { ChunkSource, type FillChunkRequestSchema, type FillHeader } from "../../../gen/orca/v1/fill_pb.ts";
import type { ByteSink } from "../../base/byte-sink.ts";
import type { Clock } from "../../base/clock.ts";
import type { ChunkPeers, PeerRead, PeerReadEnd, PeerSource } from "../../fill/chunk-peers.ts";
import type { Member } from "../../membership/member.ts";
import type { TraceContexts } from "../../trace/trace-contexts.ts";
import { encodeChunkKey } from "../codec/chunk-codec.ts";
import { fromConnectError } from "../codec/connect-error.ts";
import type { StreamOpener } from "../session/peer-session.ts";
import type { Peers } from "../session/peers.ts";
import { callFillChunk } from "./fill-chunk-call.ts";
import { defaultFillTimings, type FillTimings } from "./fill-chunk-handler.ts";
import { passedOverMax } from "./fill-service.ts";
import { FillStreamFault } from "./fill-stream-fault.ts";

export interface FillClientOptions {
  readonly peers: Pick<Peers, "at">;
  readonly clock: Clock;
  readonly timings?: Partial<FillTimings>;
  readonly traceContexts?: TraceContexts | undefined;
}

/** A source that is missing, or that only a newer peer knows, counts as a flight. */
const peerSources: Readonly<Record<ChunkSource, PeerSource>> = {
  [ChunkSource.UNSPECIFIED]: "flight",
  [ChunkSource.MEMORY]: "memory",
  [ChunkSource.DISK]: "disk",
  [ChunkSource.FLIGHT]: "flight",
  [ChunkSource.ORIGIN]: "origin",
  [ChunkSource.CACHESTORE]: "cachestore",
};

export class FillClient implements ChunkPeers {
  /** Requests, bytes of chunks, and requests by their end. */
  readonly stats = {
    requests: 0,
    receivedBytes: 0,
    /** All bytes arrived. */
    complete: 0,
    notCoordinator: 0,
    notHeld: 0,
    /** The peer answered with any other error. */
    peerError: 0,
    unreachable: 0,
    /** The stream broke off, was silent or broke the protocol. */
    broken: 0,
    /** The caller cancelled the request. */
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
    const session = await this.#connect(peer);
    let source: PeerSource = "flight";
    const onHeader = (header: FillHeader, lengthBytes: number): ByteSink => {
      if (lengthBytes !== request.lengthBytes) {
        const reason = `its header promises ${lengthBytes} bytes, the request asked for ${request.lengthBytes}`;
        throw new FillStreamFault("wrong_length", reason);
      }
      source = peerSources[header.source] ?? source;
      return this.#countingSink(sink);
    };
    try {
      const { clock, traceContexts } = this.#options;
      const { stallTimeoutMs, waitMaxMs } = this.#timings;
      const { sha256 } = await callFillChunk({
        session,
        request: encodeRequest(request),
        requestId: request.requestId,
        traceContexts,
        onHeader,
        signal,
        clock,
        stallTimeoutMs,
        waitMaxMs,
      });
      this.stats.complete += 1;
      return { source, sha256: sha256.length === 0 ? undefined : sha256 };
    } catch (thrown) {
      throw this.#countedError(thrown, peer, signal);
    }
  }

  async #connect(peer: Member): Promise<StreamOpener> {
    try {
      return await this.#options.peers.at(peer.address).bytes();
    } catch (thrown) {
      this.stats.unreachable += 1;
      throw fromConnectError(thrown, actionOf(peer));
    }
  }

  /** Counts the end of a request by its error, and returns the error for the caller. */
  #countedError(thrown: unknown, peer: Member, signal: AbortSignal): unknown {
    const { stats } = this;
    if (signal.aborted && thrown === signal.reason) {
      stats.abandoned += 1;
      return thrown;
    }
    if (thrown instanceof FillStreamFault) {
      stats.broken += 1;
      return thrown;
    }
    // Any other exception is a bug of the sink.
    if (!(thrown instanceof ConnectError)) return thrown;
    const error = fromConnectError(thrown, actionOf(peer));
    if (error.code === "not_coordinator") stats.notCoordinator += 1;
    else if (error.code === "not_held") stats.notHeld += 1;
    else if (error.code === "peer_unavailable") stats.broken += 1;
    else stats.peerError += 1;
    return error;
  }

  #countingSink(sink: ByteSink): ByteSink {
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

function encodeRequest(request: PeerRead): MessageInitShape<typeof FillChunkRequestSchema> {
  const { contentCoding, versionId } = request.key.version;
  return {
    chunkKey: encodeChunkKey(request.key),
    objectSize: BigInt(request.key.version.sizeBytes),
    ...(contentCoding !== undefined && { contentCoding }),
    ...(versionId !== undefined && { versionId }),
    offset: BigInt(request.offset),
    length: BigInt(request.lengthBytes),
    cachedOnly: request.cachedOnly,
    passedOver: request.passedOver.slice(0, passedOverMax),
  };
}
