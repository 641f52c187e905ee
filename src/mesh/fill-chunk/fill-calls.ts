/**
 * FillChunk calls to peers, as the client of chunks makes them (fill-client.ts): here in the thread that asks, and in
 * ../threads/ in another one. The errors are those of the stream, because the client tells whose fault each is.
 */
import type { OutgoingHttpHeaders } from "node:http2";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ChunkSource, type FillChunkRequestSchema, type FillHeader } from "../../../gen/orca/v1/fill_pb.ts";
import type { ByteSink, PlacedSink } from "../../base/byte-sink.ts";
import type { Clock } from "../../base/clock.ts";
import type { PeerReadEnd, PeerSource } from "../../fill/chunk-peers.ts";
import type { StreamOpener } from "../session/peer-session.ts";
import type { Peers } from "../session/peers.ts";
import { callFillChunk } from "./fill-chunk-call.ts";
import { defaultFillTimings, type FillTimings } from "./fill-chunk-handler.ts";
import { FillStreamFault } from "./fill-stream-fault.ts";

/** Plain, as a structured clone is. */
export interface FillCall {
  /** `host:port`. */
  readonly address: string;
  readonly request: MessageInitShape<typeof FillChunkRequestSchema>;
  /** As the request says. */
  readonly lengthBytes: number;
  /** Of the client's request for which the peer is asked. */
  readonly headers: OutgoingHttpHeaders;
}

export interface FillCalls {
  /**
   * Resolves when all bytes are in the sink. After a rejection it holds a true prefix of them. The sink is not used, and
   * its space is not written to, after the promise has settled.
   * @throws Unreachable; the ConnectError that the peer sent; FillStreamFault; the signal's reason.
   */
  read(call: FillCall, sink: PlacedSink, signal: AbortSignal): Promise<PeerReadEnd>;
}

/** There is no session to the peer, for the reason that is the cause. */
export class Unreachable extends Error {
  constructor(cause: unknown) {
    super("the peer is unreachable", { cause });
  }
}

export interface LocalFillCallsOptions {
  readonly peers: Pick<Peers, "at">;
  readonly clock: Clock;
  readonly timings?: Partial<FillTimings> | undefined;
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

/** In this thread: on its sessions, by its event loop. */
export class LocalFillCalls implements FillCalls {
  readonly #options: LocalFillCallsOptions;
  readonly #timings: FillTimings;

  constructor(options: LocalFillCallsOptions) {
    this.#options = options;
    this.#timings = { ...defaultFillTimings, ...options.timings };
  }

  async read(
    { address, request, lengthBytes, headers }: FillCall,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<PeerReadEnd> {
    const session = await this.#connect(address);
    let source: PeerSource = "flight";
    const onHeader = (header: FillHeader, promisedBytes: number): ByteSink => {
      if (promisedBytes !== lengthBytes) {
        const reason = `its header promises ${promisedBytes} bytes, the request asked for ${lengthBytes}`;
        throw new FillStreamFault("wrong_length", reason);
      }
      source = peerSources[header.source] ?? source;
      return sink;
    };
    const { clock } = this.#options;
    const { stallTimeoutMs, waitMaxMs } = this.#timings;
    const call = { session, request, headers, onHeader, signal, clock, stallTimeoutMs, waitMaxMs };
    const { sha256 } = await callFillChunk(call);
    return { source, sha256: sha256.length === 0 ? undefined : sha256 };
  }

  async #connect(address: string): Promise<StreamOpener> {
    try {
      return await this.#options.peers.at(address).bytes();
    } catch (thrown) {
      throw new Unreachable(thrown);
    }
  }
}
