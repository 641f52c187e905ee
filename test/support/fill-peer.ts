/**
 * Both ends of FillChunk over plain HTTP/2 on loopback, with the limits and windows of the mesh: a server of ours
 * that answers with pattern bytes, a stock Connect server, and sessions to either.
 */
import { once } from "node:events";
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ErrorDetailSchema } from "../../gen/orca/v1/errors_pb.ts";
import { ChunkSource, type FillChunkRequestSchema } from "../../gen/orca/v1/fill_pb.ts";
import { type Clock, SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import {
  type FillAnswer,
  FillChunkHandler,
  type FillSlices,
} from "../../src/mesh/fill-chunk/fill-chunk-handler.ts";
import {
  serverLimits,
  sessionLimits,
  sessionWindowBytes,
  settingsFor,
} from "../../src/mesh/session/http2-limits.ts";
import { patternBytes } from "./pattern.ts";

/** Bytes of a pattern, cut as a reader cuts them, and a count of what is pinned. */
export class PatternSlices implements FillSlices {
  pinned = 0;
  closed = false;
  /** Thrown by {@link ready} once `failAt` bytes were given out. */
  failAt = Infinity;
  failure: unknown;
  /** Resolves when {@link take} has something again. */
  gate: Promise<void> = Promise.resolve();
  readonly #seed: number;
  readonly #lengthBytes: number;
  readonly #sliceBytes: number;
  #position = 0;
  #ready = false;

  constructor(seed: number, lengthBytes: number, sliceBytes: number = MiB) {
    this.#seed = seed;
    this.#lengthBytes = lengthBytes;
    this.#sliceBytes = sliceBytes;
  }

  get done(): boolean {
    return this.#position === this.#lengthBytes;
  }

  take(): Buffer | null {
    // Every slice has to be waited for once, so that both ways through the handler are taken.
    if (!this.#ready) return null;
    this.#ready = false;
    const lengthBytes = Math.min(this.#sliceBytes, this.#lengthBytes - this.#position);
    const slice = patternBytes(this.#seed, this.#position, lengthBytes);
    this.#position += lengthBytes;
    this.pinned += 1;
    return slice;
  }

  async ready(): Promise<void> {
    await this.gate;
    if (this.#position >= this.failAt) throw this.failure;
    this.#ready = true;
  }

  release(): void {
    this.pinned -= 1;
  }

  close(): void {
    this.closed = true;
    this.pinned = 0;
  }
}

export function answerOf(slices: FillSlices, lengthBytes: number, sha256?: Uint8Array): FillAnswer {
  return { lengthBytes, source: ChunkSource.MEMORY, slices, sha256: async () => sha256 };
}

export const anyRequest: MessageInitShape<typeof FillChunkRequestSchema> = {
  chunkKey: { originId: "o", bucket: "b", objectKey: "k", etag: "e", chunkSize: 8_388_608n, chunkIndex: 7n },
  objectSize: 1_000_000_000n,
  offset: 3n,
  length: 5n,
};

/** An error with a typed detail, as the mesh sends them. */
export function throttled(): ConnectError {
  return new ConnectError("Cannot read: “slow down”", Code.Unavailable, undefined, [
    { desc: ErrorDetailSchema, value: { code: "origin_throttled", retryAfterSeconds: 7, source: "origin" } },
  ]);
}

export class Peer implements AsyncDisposable {
  readonly port: number;
  readonly #server: http2.Http2Server;
  readonly #sessions = new Set<http2.Http2Session>();

  private constructor(server: http2.Http2Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("session", (session) => this.#sessions.add(session));
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  static async listen(server: http2.Http2Server): Promise<Peer> {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Peer(server);
  }

  /** Orca's own handler behind a bare server. */
  static ours(
    answer: FillHandlerAnswer,
    clock: Clock = new SystemClock(),
    onStream: (stream: http2.ServerHttp2Stream) => void = () => {},
  ): Promise<Peer> {
    const server = http2.createServer({ ...serverLimits, settings: settingsFor("bytes") });
    const handler = new FillChunkHandler({ answer, clock });
    server.on("stream", (stream: http2.ServerHttp2Stream, headers) => {
      onStream(stream);
      handler.handle(stream, headers);
    });
    return Peer.listen(server);
  }

  /** Connect's handlers, as they come. */
  static stock(routes: (router: ConnectRouter) => void): Promise<Peer> {
    return Peer.listen(http2.createServer(connectNodeAdapter({ routes })));
  }

  connect(): http2.ClientHttp2Session {
    const session = http2.connect(this.url, { ...sessionLimits, settings: settingsFor("bytes") });
    session.once("connect", () => session.setLocalWindowSize(sessionWindowBytes));
    this.#sessions.add(session);
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

type FillHandlerAnswer = ConstructorParameters<typeof FillChunkHandler>[0]["answer"];
