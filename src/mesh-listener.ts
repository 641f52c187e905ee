/**
 * What a replica answers its peers: the listener of the mesh and the services behind it. The other end, what this
 * replica asks, is cluster.ts.
 */
import type { AddressInfo } from "node:net";
import type { Clock } from "./base/clock.ts";
import type { Logger } from "./base/logger.ts";
import type { ClusterConfig } from "./config/cluster-config.ts";
import { FillChunkHandler, fillChunkPath } from "./mesh/fill-chunk-handler.ts";
import { type ChunkAnswers, FillService } from "./mesh/fill-service.ts";
import { type MembershipReceiver, routeMembership } from "./mesh/membership-service.ts";
import { MeshServer } from "./mesh/mesh-server.ts";
import type { MeshTls } from "./mesh/mesh-tls.ts";
import { routeObjects } from "./mesh/object-service.ts";
import { ReflectionService } from "./mesh/reflection-service.ts";
import { ServiceCalls } from "./mesh/service-calls.ts";
import type { ObjectAnswers } from "./object/object-peers.ts";

export interface MeshListenerOptions {
  readonly config: ClusterConfig;
  readonly tls: MeshTls | undefined;
  readonly chunks: ChunkAnswers;
  readonly objects: ObjectAnswers;
  readonly membership: MembershipReceiver;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Heartbeats within the silence that a peer bears. */
const heartbeatsPerStall = 4;

export class MeshListener {
  readonly server: MeshServer;
  readonly fills: FillChunkHandler;
  readonly fillService: FillService;
  readonly calls = new ServiceCalls();

  constructor({ config, tls, chunks, objects, membership, clock, logger }: MeshListenerOptions) {
    const { internalListen, stallTimeoutMs } = config;
    this.fillService = new FillService(chunks);
    this.fills = new FillChunkHandler({
      answer: (request) => this.fillService.answer(request),
      clock,
      timings: { stallTimeoutMs, heartbeatMs: stallTimeoutMs / heartbeatsPerStall },
    });
    this.server = new MeshServer({
      ...internalListen,
      tls,
      handlers: new Map([[fillChunkPath, (stream, headers) => this.fills.handle(stream, headers)]]),
      routes: (router) => {
        routeMembership(router, membership, this.calls);
        routeObjects(router, objects, this.calls);
        new ReflectionService().route(router);
      },
      clock,
      logger,
    });
  }

  /** Resolves with where it listens. @throws OrcaError config_invalid when the address cannot be had. */
  start(): Promise<AddressInfo> {
    return this.server.start();
  }

  /** Takes no new streams; those that run may go on for `drainTimeoutMs`. Resolves with the sessions that were cut. */
  drain(drainTimeoutMs: number): Promise<number> {
    return this.server.drain(drainTimeoutMs);
  }
}
