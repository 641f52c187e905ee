/**
 * The calls of a replica to its peers: the membership, the coordination that follows from it, and the sessions to other
 * replicas. A cluster of one has none. The calls of the peers to this replica end in mesh-service.ts.
 */
import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Random } from "../base/random.ts";
import { advertisedAddress, agreedSettingsOf } from "../config/agreed-settings.ts";
import type { Config } from "../config/config.ts";
import { Coordination } from "../membership/coordination.ts";
import { isLive } from "../membership/member.ts";
import { Membership } from "../membership/membership.ts";
import { type Seeds, ServiceSeeds, StaticSeeds } from "../membership/seeds.ts";
import { defaultSwimSettings } from "../membership/swim-settings.ts";
import { LocalFillCalls } from "../mesh/fill-chunk/fill-calls.ts";
import { FillClient } from "../mesh/fill-chunk/fill-client.ts";
import { CacheClient } from "../mesh/services/cache.ts";
import { InventoryClient } from "../mesh/services/inventory-client.ts";
import { MembershipClient } from "../mesh/services/membership-client.ts";
import { ObjectClient } from "../mesh/services/object-client.ts";
import { MeshTls } from "../mesh/session/mesh-tls.ts";
import { Peers } from "../mesh/session/peers.ts";
import { ReceivingThreads } from "../mesh/threads/receiving-threads.ts";
import { placedByPath, placedWithObject } from "../placement/placement-name.ts";
import type { Trace } from "../trace/trace.ts";

export interface MeshClientOptions {
  readonly config: Config;
  readonly replicaId: string;
  /** Undefined for a mesh without TLS. */
  readonly tls: MeshTls | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly trace: Trace;
}

export class MeshClient {
  readonly membership: Membership;
  readonly membershipPeers: MembershipClient;
  readonly coordination: Coordination;
  readonly peers: Peers;
  readonly chunkPeers: FillClient;
  /** Threads that receive chunks; undefined where this one does. */
  readonly receivers: ReceivingThreads | undefined;
  readonly inventoryPeers: InventoryClient;
  readonly objectPeers: ObjectClient;
  readonly cachePeers: CacheClient;
  readonly #options: MeshClientOptions;

  /** The certificates of the mesh, where it has any. @throws OrcaError config_invalid for files that cannot be used. */
  static async loadTls({ cluster }: Config, clock: Clock, logger: Logger): Promise<MeshTls | undefined> {
    if (!cluster.clustered || !cluster.internalTls) return undefined;
    return MeshTls.load({ ...cluster.internalTls, clock, logger });
  }

  /** @throws OrcaError config_invalid if the certificate is that of another replica. */
  constructor(options: MeshClientOptions) {
    this.#options = options;
    const { config, replicaId, tls, clock, random, logger } = options;
    const { contexts: traceContexts } = options.trace;
    tls?.bindTo(replicaId);
    const { stallTimeoutMs, peers, service, internalListen, zone, membershipRefreshMs } = config.cluster;
    const { port } = internalListen;
    const callTimeoutMs = originPatienceMs(config);
    // A peer that answers no pings is dead within one stall. A peer that answers them may be waiting for its origin.
    const pingIntervalMs = stallTimeoutMs / 3;
    this.peers = new Peers({ tls, clock, random, logger, callTimeoutMs, pingIntervalMs });
    const timings = { stallTimeoutMs };
    const local = new LocalFillCalls({ peers: this.peers, clock, timings });
    const { handshakeFailures: handshakes } = this.peers;
    const { membersMax: peersMax } = defaultSwimSettings;
    this.receivers =
      config.server.threads > 1
        ? new ReceivingThreads({ local, tls, handshakes, clock, peersMax, pingIntervalMs, ...timings })
        : undefined;
    const seeds: Seeds[] = [new StaticSeeds(peers)];
    if (service !== undefined) seeds.push(new ServiceSeeds(service, port, addressesOf));
    this.membershipPeers = new MembershipClient({ peers: this.peers, clock });
    this.membership = new Membership({
      replicaId,
      address: advertisedAddress(config.cluster, port, networkInterfaces()),
      zone: zone ?? "",
      agreedSettings: agreedSettingsOf(config),
      seeds,
      transport: this.membershipPeers,
      clock,
      random,
      logger,
      settings: { discoveryIntervalMs: membershipRefreshMs },
    });
    const chunkPlacement = config.cluster.replication > 1 ? placedByPath : placedWithObject;
    this.coordination = new Coordination({ membership: this.membership, clock, chunkPlacement });
    this.chunkPeers = new FillClient({ calls: this.receivers ?? local, traceContexts });
    this.inventoryPeers = new InventoryClient({
      peers: this.peers,
      clock,
      chunkTiers: config.chunking.tiers,
    });
    this.objectPeers = new ObjectClient({
      peers: this.peers,
      clock,
      timeoutMs: callTimeoutMs,
      traceContexts,
    });
    this.cachePeers = new CacheClient({ peers: this.peers, clock });
    this.membership.subscribe((member, previous) => {
      if (member.state === "alive") {
        this.peers.retryNow(member.address);
        this.receivers?.retryNow(member.address);
      }
      if (previous && previous.address !== member.address) this.#dropUnlessTaken(previous.address);
      if (!isLive(member)) this.#dropUnlessTaken(member.address);
    });
  }

  /**
   * Looks for the other replicas, which reach this one at `port`. Resolves when the seeds were asked once: by then this
   * replica has joined, or nobody answered and it goes on asking.
   */
  join(port: number): Promise<void> {
    const { cluster } = this.#options.config;
    this.membership.readdress(advertisedAddress(cluster, port, networkInterfaces()));
    return this.membership.start();
  }

  /** Says goodbye, so that the others turn to the next replicas in rank. Calls and streams that run go on. */
  leave(): Promise<void> {
    return this.membership.leave();
  }

  /** Says goodbye if this replica has joined and not left, then cuts the sessions. May be called any number of times. */
  async close(): Promise<void> {
    try {
      await this.membership.leave();
    } finally {
      this.membership.stop();
      this.peers.close();
    }
  }

  /**
   * Closes the sessions to a member that left or died, unless another member has its address. Streams that run may finish.
   */
  #dropUnlessTaken(address: string): void {
    const isTaken = this.membership.members().some((member) => isLive(member) && member.address === address);
    if (isTaken) return;
    this.peers.drop(address);
    this.receivers?.drop(address);
  }
}

/**
 * How long a coordinator that answers pings may need for an answer from its origin. The time for attempts counts from the
 * first failure. That attempt may have taken its whole timeout before it failed, and so may the last one after it. While
 * the origin throttles, a request may wait once more as long (throttle.ts).
 */
function originPatienceMs({ origins }: Config): number {
  const patience = origins.map(
    ({ queueTimeoutMs, attemptTimeoutMs, retry }) =>
      3 * queueTimeoutMs + 2 * attemptTimeoutMs + retry.maxTotalDurationMs,
  );
  return Math.max(...patience);
}

async function addressesOf(hostname: string): Promise<readonly string[]> {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address }) => address);
}
