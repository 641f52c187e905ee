/**
 * Reads ranges of chunks from other replicas: ChunkPeers over FillChunk streams. Its callers need to know whose fault
 * an error is. No connection, silence and a broken protocol are the peer's fault, and become `peer_unavailable`. An
 * error that the peer sent keeps its code.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import type { FillChunkRequestSchema } from "../../../gen/orca/v1/fill_pb.ts";
import type { PlacedSink } from "../../base/byte-sink.ts";
import type { ChunkPeers, PeerRead, PeerReadEnd } from "../../fill/chunk-peers.ts";
import type { Member } from "../../membership/member.ts";
import type { TraceContexts } from "../../trace/trace-contexts.ts";
import { encodeChunkKey } from "../codec/chunk-codec.ts";
import { fromConnectError } from "../codec/connect-error.ts";
import { requestIdHeaders } from "../session/peer-request-ids.ts";
import { type FillCalls, Unreachable } from "./fill-calls.ts";
import { passedOverMax } from "./fill-service.ts";
import { FillStreamFault } from "./fill-stream-fault.ts";

export interface FillClientOptions {
  readonly calls: FillCalls;
  readonly traceContexts?: TraceContexts | undefined;
}

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

  constructor(options: FillClientOptions) {
    this.#options = options;
  }

  async read(peer: Member, request: PeerRead, sink: PlacedSink, signal: AbortSignal): Promise<PeerReadEnd> {
    this.stats.requests += 1;
    const { calls, traceContexts } = this.#options;
    const call = {
      address: peer.address,
      request: encodeRequest(request),
      lengthBytes: request.lengthBytes,
      headers: requestIdHeaders(request.requestId, traceContexts),
    };
    try {
      const end = await calls.read(call, this.#countingSink(sink), signal);
      this.stats.complete += 1;
      return end;
    } catch (thrown) {
      throw this.#countedError(thrown, peer, signal);
    }
  }

  /** Counts the end of a request by its error, and returns the error for the caller. */
  #countedError(thrown: unknown, peer: Member, signal: AbortSignal): unknown {
    const { stats } = this;
    if (signal.aborted && thrown === signal.reason) {
      stats.abandoned += 1;
      return thrown;
    }
    if (thrown instanceof Unreachable) {
      stats.unreachable += 1;
      return fromConnectError(thrown.cause, actionOf(peer));
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

  #countingSink(sink: PlacedSink): PlacedSink {
    return {
      space: () => sink.space(),
      spaceAhead: (aheadBytes) => sink.spaceAhead(aheadBytes),
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
