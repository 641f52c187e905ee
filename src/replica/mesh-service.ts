/**
 * The answers of a replica to its peers: the servers of chunks, metadata and the rest, and the mesh listener in front of
 * them. The calls of this replica to its peers begin in mesh-client.ts.
 */
import type { AddressInfo } from "node:net";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { OrcaError } from "../base/orca-error.ts";
import type { Random } from "../base/random.ts";
import type { TlsSource } from "../base/tls-files.ts";
import type { Config } from "../config/config.ts";
import { ChunkServer, type DigestStore } from "../fill/chunk-server.ts";
import type { Filler } from "../fill/filler.ts";
import type { ReadPath } from "../fill/read-path.ts";
import type { Relay } from "../fill/relay.ts";
import { FillChunkHandler, fillChunkPath, senderTimings } from "../mesh/fill-chunk/fill-chunk-handler.ts";
import { FillService } from "../mesh/fill-chunk/fill-service.ts";
import { type CacheParts, routeCache } from "../mesh/services/cache.ts";
import { type InventoryAnswers, routeInventory } from "../mesh/services/inventory-service.ts";
import { routeMembership } from "../mesh/services/membership-service.ts";
import { routeObjects } from "../mesh/services/object-service.ts";
import { ReflectionService } from "../mesh/services/reflection-service.ts";
import { MeshServer } from "../mesh/session/mesh-server.ts";
import type { MeshTls } from "../mesh/session/mesh-tls.ts";
import { PeerRequestIds } from "../mesh/session/peer-request-ids.ts";
import { ServiceCalls } from "../mesh/session/service-calls.ts";
import type { PurgeAnswers } from "../object/freshness/purge-peers.ts";
import { ObjectServer } from "../object/object-server.ts";
import { registerMeshMetrics } from "../ops/metrics/mesh-metrics.ts";
import type { MetricsRegistry } from "../ops/metrics/metrics.ts";
import type { ReadinessCheck } from "../ops/readiness.ts";
import { RequestIds } from "../trace/request-id.ts";
import type { Trace } from "../trace/trace.ts";
import type { MeshClient } from "./mesh-client.ts";
import type { OpenOrigin } from "./metadata.ts";
import type { BytesListener } from "./threads/bytes-listener.ts";
import type { BytesPortCounts } from "./threads/bytes-port.ts";

export interface MeshServiceOptions {
  readonly config: Config;
  readonly meshClient: MeshClient;
  /** Undefined for a mesh without TLS. */
  readonly tls: MeshTls | undefined;
  readonly readPath: ReadPath;
  readonly filler: Filler;
  readonly relay: Relay;
  readonly disk: DigestStore | undefined;
  readonly origins: readonly OpenOrigin[];
  readonly cache: Omit<CacheParts, "chunkTiers" | "purger" | "figures" | "clock"> & {
    readonly clear: PurgeAnswers;
  };
  readonly figures: CacheParts["figures"];
  /** Undefined where disks are not replicated. */
  readonly inventory: InventoryAnswers | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly trace: Trace;
  /** Called once, with the error after which no peer can connect any more. */
  readonly onDied: (error: OrcaError) => void;
}

/** For a mesh without TLS, which a person has asked for and should not forget. The start logs a warning, too. */
export const meshWithoutTlsNotice: ReadinessCheck = () =>
  "there is no TLS between replicas: everybody who reaches cluster.internal_listen is a member; set cluster.internal_tls";

function addNumbers<Stats extends Record<keyof Stats, number>>(
  stats: Stats,
  counts: Readonly<Partial<Record<keyof Stats, number>>>,
): void {
  for (const name of Object.keys(stats) as (keyof Stats)[]) {
    stats[name] = (stats[name] + (counts[name] ?? 0)) as Stats[typeof name];
  }
}

export class MeshService {
  readonly #options: MeshServiceOptions;
  readonly #chunks: ChunkServer;
  readonly #objects: ObjectServer;
  readonly #fills: FillChunkHandler;
  readonly #calls = new ServiceCalls();
  readonly #requestIds: PeerRequestIds;
  readonly #server: MeshServer;
  /** Where threads send chunks. Known from the start on. */
  #bytesListener: BytesListener | undefined;
  #bytesPortAcceptErrors = 0;

  constructor(options: MeshServiceOptions) {
    this.#options = options;
    const { config, tls, readPath, filler, disk, origins, cache, figures, inventory } = options;
    const { clock, random, logger, onDied } = options;
    const { coordination, membership } = options.meshClient;
    const chunkTiers = config.chunking.tiers;
    const { internalListen, stallTimeoutMs } = config.cluster;
    this.#chunks = new ChunkServer({ path: readPath, filler, disk, coordination });
    this.#objects = new ObjectServer({
      origins: new Map(origins.map((each) => [each.origin.id, each])),
      coordination,
      publish: (rumor) => membership.publish(rumor),
      random,
      trace: options.trace,
    });
    membership.listen("invalidation", (body) => this.#objects.heardInvalidation(body));
    const requestIds = new PeerRequestIds(new RequestIds(random), options.trace.contexts);
    this.#requestIds = requestIds;
    const service = new FillService(this.#chunks, config.chunking.tiers);
    this.#fills = new FillChunkHandler({
      answer: (request, requestId) => service.answer(request, requestId),
      requestIds,
      clock,
      timings: senderTimings(stallTimeoutMs),
    });
    this.#server = new MeshServer({
      ...internalListen,
      tls,
      handlers: new Map([[fillChunkPath, (stream, headers) => this.#fills.handle(stream, headers)]]),
      routes: (router) => {
        routeMembership(router, membership, this.#calls);
        routeObjects(router, this.#objects, this.#calls, requestIds);
        const { clear: purger, ...answers } = cache;
        routeCache(router, { ...answers, figures, purger, chunkTiers, clock }, this.#calls);
        if (inventory) routeInventory(router, inventory, this.#calls);
        new ReflectionService().route(router);
      },
      clock,
      logger,
      onDied,
    });
  }

  /** Accepts that failed. */
  get acceptErrors(): number {
    return this.#server.acceptErrors + this.#bytesPortAcceptErrors;
  }

  /** Of which threads read for other replicas. */
  get chunks(): ChunkServer {
    return this.#chunks;
  }

  /** Undefined for a mesh without TLS. */
  get tlsSource(): TlsSource | undefined {
    return this.#options.tls?.source;
  }

  /** Adds what a thread has counted at the port for chunk bytes. */
  add(counts: BytesPortCounts): void {
    addNumbers(this.#server.stats, counts.server);
    addNumbers(this.#server.handshakeFailures.counts, counts.handshakeFailures);
    addNumbers(this.#fills.stats, counts.fills);
    addNumbers(this.#chunks.stats, counts.chunks);
    addNumbers(this.#requestIds.stats, counts.requestIds);
    this.#chunks.sentBytes.memory += counts.memoryBytes;
    this.#bytesPortAcceptErrors += counts.acceptErrors;
  }

  /** For /readyz: replicas that cannot be in one cluster with this one, by their settings, their ids or their certificates. */
  get notice(): string | null {
    const { membership, peers } = this.#options.meshClient;
    const notices = [
      membership.notice,
      peers.handshakeFailures.notice,
      this.#server.handshakeFailures.notice,
      this.#bytesListener?.notice ?? null,
    ];
    const lasting = notices.filter((each) => each !== null);
    return lasting.length === 0 ? null : lasting.join("; ");
  }

  /**
   * Resolves with the address it listens on. With `bytesListener`, threads listen before it does, and peers are offered
   * their port. @throws OrcaError config_invalid where one of them cannot listen.
   */
  async start(bytesListener?: BytesListener): Promise<AddressInfo> {
    this.#bytesListener = bytesListener;
    const port = await bytesListener?.start();
    const { advertise, internalListen } = this.#options.config.cluster;
    // Where ports are mapped, the same number may be that of another replica.
    const isMapped = advertise !== undefined && !advertise.endsWith(`:${internalListen.port}`);
    return this.#server.start(isMapped ? undefined : port);
  }

  /** Takes no new streams, and lets running ones go on for `drainTimeoutMs`. Resolves with the number of sessions cut. */
  async drain(drainTimeoutMs: number): Promise<number> {
    const byThreads = this.#bytesListener?.drain(drainTimeoutMs);
    const cut = await this.#server.drain(drainTimeoutMs);
    return cut + ((await byThreads) ?? 0);
  }

  /** Cuts what runs. May be called any number of times. */
  close(): Promise<void> {
    return this.#server.close();
  }

  register(metrics: MetricsRegistry): void {
    const { meshClient, tls, relay } = this.#options;
    registerMeshMetrics(metrics, {
      membership: meshClient.membership,
      coordination: meshClient.coordination,
      server: this.#server,
      peers: meshClient.peers,
      tls,
      fillServer: this.#fills,
      fillClient: meshClient.chunkPeers,
      relay,
      calls: {
        membership: meshClient.membershipPeers,
        object: meshClient.objectPeers,
        cache: meshClient.cachePeers,
      },
      callsServed: this.#calls,
      chunkServer: this.#chunks,
      objectServer: this.#objects,
      requestIds: this.#requestIds,
    });
  }
}
