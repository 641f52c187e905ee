/**
 * What a replica answers its peers: the servers of chunks and metadata over its read path, and the listener of the mesh
 * in front of them. The other end, what this replica asks, is cluster.ts.
 */
import type { AddressInfo } from "node:net";
import type { Clock } from "./base/clock.ts";
import type { Logger } from "./base/logger.ts";
import type { Random } from "./base/random.ts";
import type { Cluster } from "./cluster.ts";
import type { Config } from "./config/config.ts";
import type { CacheAnswers } from "./fill/cache-peers.ts";
import { ChunkServer, type DigestStore } from "./fill/chunk-server.ts";
import type { Filler } from "./fill/filler.ts";
import type { ReadPath } from "./fill/object-reader.ts";
import type { Relay } from "./fill/relay.ts";
import { routeCache } from "./mesh/cache-service.ts";
import { type ChunkListAnswers, routeChunkLists } from "./mesh/chunk-list-service.ts";
import { FillChunkHandler, fillChunkPath } from "./mesh/fill-chunk-handler.ts";
import { FillService } from "./mesh/fill-service.ts";
import { routeMembership } from "./mesh/membership-service.ts";
import { MeshServer } from "./mesh/mesh-server.ts";
import type { MeshTls } from "./mesh/mesh-tls.ts";
import { routeObjects } from "./mesh/object-service.ts";
import { ReflectionService } from "./mesh/reflection-service.ts";
import { ServiceCalls } from "./mesh/service-calls.ts";
import { ObjectServer } from "./object/object-server.ts";
import { registerMeshMetrics } from "./ops/mesh-metrics.ts";
import type { MetricsRegistry } from "./ops/metrics.ts";
import type { OpenOrigin } from "./origins.ts";

export interface MeshOptions {
  readonly config: Config;
  readonly cluster: Cluster;
  /** Undefined for a mesh without TLS. */
  readonly tls: MeshTls | undefined;
  readonly readPath: ReadPath;
  readonly filler: Filler;
  readonly relay: Relay;
  readonly disk: DigestStore | undefined;
  readonly open: readonly OpenOrigin[];
  readonly cache: CacheAnswers;
  /** Undefined where disks are not replicated. */
  readonly lists: ChunkListAnswers | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Heartbeats within the silence that a peer bears. */
const heartbeatsPerStall = 4;

export class Mesh {
  readonly #options: MeshOptions;
  readonly #chunks: ChunkServer;
  readonly #objects: ObjectServer;
  readonly #fills: FillChunkHandler;
  readonly #calls = new ServiceCalls();
  readonly #server: MeshServer;

  constructor(options: MeshOptions) {
    this.#options = options;
    const { config, cluster, tls, readPath, filler, disk, open, cache, lists, clock, random, logger } =
      options;
    const { coordination, membership } = cluster;
    const { internalListen, stallTimeoutMs } = config.cluster;
    this.#chunks = new ChunkServer({ path: readPath, filler, disk, coordination });
    this.#objects = new ObjectServer({
      origins: new Map(open.map((each) => [each.origin.id, each])),
      coordination,
      publish: (rumor) => membership.publish(rumor),
      random,
    });
    membership.listen("invalidation", (body) => this.#objects.heardInvalidation(body));
    const service = new FillService(this.#chunks);
    this.#fills = new FillChunkHandler({
      answer: (request) => service.answer(request),
      clock,
      timings: { stallTimeoutMs, heartbeatMs: stallTimeoutMs / heartbeatsPerStall },
    });
    this.#server = new MeshServer({
      ...internalListen,
      tls,
      handlers: new Map([[fillChunkPath, (stream, headers) => this.#fills.handle(stream, headers)]]),
      routes: (router) => {
        routeMembership(router, membership, this.#calls);
        routeObjects(router, this.#objects, this.#calls);
        routeCache(router, cache, this.#calls);
        if (lists) routeChunkLists(router, lists, this.#calls);
        new ReflectionService().route(router);
      },
      clock,
      logger,
    });
  }

  /** Resolves with where it listens. @throws OrcaError config_invalid when the address cannot be had. */
  start(): Promise<AddressInfo> {
    return this.#server.start();
  }

  /** Takes no new streams; those that run may go on for `drainTimeoutMs`. Resolves with the sessions that were cut. */
  drain(drainTimeoutMs: number): Promise<number> {
    return this.#server.drain(drainTimeoutMs);
  }

  register(metrics: MetricsRegistry): void {
    const { cluster, tls, relay } = this.#options;
    registerMeshMetrics(metrics, {
      membership: cluster.membership,
      coordination: cluster.coordination,
      server: this.#server,
      peers: cluster.peers,
      tls,
      fillServer: this.#fills,
      fillClient: cluster.chunkPeers,
      relay,
      calls: {
        membership: cluster.membershipPeers,
        object: cluster.objectPeers,
        cache: cluster.cachePeers,
      },
      callsServed: this.#calls,
      chunkServer: this.#chunks,
      objectServer: this.#objects,
    });
  }
}
