/**
 * The port at which a thread sends chunks to other replicas: a mesh listener whose only method is FillChunk. It verifies its
 * callers as the mesh port does. What is in shared memory the thread sends by itself, and asks the engine for the rest.
 * Limits of a process are divided among its threads, because the system gives each of them a part of the connections. A
 * replica that is refused here reads at the mesh port.
 */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { OrcaError } from "../../base/orca-error.ts";
import type { Random } from "../../base/random.ts";
import type { TlsSource } from "../../base/tls-files.ts";
import type { Config } from "../../config/config.ts";
import type { ThreadBodies } from "../../edge/threads/thread-bodies.ts";
import { ThreadChunks } from "../../edge/threads/thread-chunks.ts";
import {
  defaultReceivingBytesMax,
  FillChunkHandler,
  fillChunkPath,
  senderTimings,
} from "../../mesh/fill-chunk/fill-chunk-handler.ts";
import { FillService } from "../../mesh/fill-chunk/fill-service.ts";
import { defaultConnectionRate } from "../../mesh/session/connection-budget.ts";
import { defaultConnectionsMax, MeshServer } from "../../mesh/session/mesh-server.ts";
import { MeshServerTls } from "../../mesh/session/mesh-server-tls.ts";
import { PeerRequestIds } from "../../mesh/session/peer-request-ids.ts";
import { RequestIds } from "../../trace/request-id.ts";
import type { Trace } from "../../trace/trace.ts";

type Numbers = Readonly<Record<string, number>>;

/** What has changed since it was taken last, by name in the part that counts it. */
export interface BytesPortCounts {
  readonly server: Numbers;
  readonly handshakeFailures: Numbers;
  readonly fills: Numbers;
  readonly chunks: Numbers;
  readonly requestIds: Numbers;
  readonly memoryBytes: number;
  readonly acceptErrors: number;
}

export interface BytesPortOptions {
  readonly config: Pick<Config, "cluster" | "chunking" | "server" | "disk">;
  readonly host: string;
  readonly port: number;
  readonly certificate: TlsSource;
  readonly bodies: ThreadBodies;
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: Trace;
  readonly logger: Logger;
  readonly onDied: (error: OrcaError) => void;
}

export class BytesPort {
  readonly #server: MeshServer;
  readonly #fills: FillChunkHandler;
  readonly #chunks: ThreadChunks;
  readonly #requestIds: PeerRequestIds;
  readonly #bodies: ThreadBodies;
  #taken: BytesPortCounts | undefined;

  constructor({ config, certificate, bodies, random, trace, ...options }: BytesPortOptions) {
    const { threads } = config.server;
    const { perSecond, burst, brokenCost } = defaultConnectionRate;
    this.#bodies = bodies;
    this.#chunks = new ThreadChunks(bodies, config.disk !== undefined);
    this.#requestIds = new PeerRequestIds(new RequestIds(random), trace.contexts);
    const service = new FillService(this.#chunks, config.chunking.tiers);
    this.#fills = new FillChunkHandler({
      ...options,
      answer: (request, requestId) => service.answer(request, requestId),
      requestIds: this.#requestIds,
      timings: senderTimings(config.cluster.stallTimeoutMs),
      receivingBytesMax: Math.ceil(defaultReceivingBytesMax / threads),
    });
    this.#server = new MeshServer({
      ...options,
      setting: "cluster.bytes_listen",
      reusePort: true,
      tls: new MeshServerTls(config.cluster.internalTls?.serverName ?? "", certificate),
      handlers: new Map([[fillChunkPath, (stream, headers) => this.#fills.handle(stream, headers)]]),
      // All other methods are unknown here.
      routes: () => {},
      connectionsMax: Math.ceil(defaultConnectionsMax / threads),
      connectionRate: { perSecond: perSecond / threads, burst: burst / threads, brokenCost },
    });
  }

  /** For /readyz: connections that a person must mend, or null. */
  get notice(): string | null {
    return this.#server.handshakeFailures.notice;
  }

  async start(): Promise<void> {
    await this.#server.start();
  }

  /** Resolves with the number of sessions that were cut. */
  drain(timeoutMs: number): Promise<number> {
    return this.#server.drain(timeoutMs);
  }

  /** What has changed since the last call. */
  take(): BytesPortCounts {
    const now: BytesPortCounts = {
      server: { ...this.#server.stats },
      handshakeFailures: { ...this.#server.handshakeFailures.counts },
      fills: { ...this.#fills.stats },
      chunks: { ...this.#chunks.stats },
      requestIds: { ...this.#requestIds.stats },
      memoryBytes: this.#bodies.stats.peerBytes,
      acceptErrors: this.#server.acceptErrors,
    };
    const before = this.#taken;
    this.#taken = now;
    return {
      server: since(before?.server, now.server),
      handshakeFailures: since(before?.handshakeFailures, now.handshakeFailures),
      fills: since(before?.fills, now.fills),
      chunks: since(before?.chunks, now.chunks),
      requestIds: since(before?.requestIds, now.requestIds),
      memoryBytes: now.memoryBytes - (before?.memoryBytes ?? 0),
      acceptErrors: now.acceptErrors - (before?.acceptErrors ?? 0),
    };
  }
}

/** Also of a gauge: the changes of all threads sum up to what it is. */
function since(before: Numbers | undefined, now: Numbers): Numbers {
  return Object.fromEntries(
    Object.entries(now).map(([name, value]) => [name, value - (before?.[name] ?? 0)]),
  );
}
