/**
 * What a replica with peers asks them: the part of the composition that a cluster of one does not have. It holds the
 * membership, the coordination made of it, and the sessions to other replicas; mesh.ts is the other end.
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
import { FillClient } from "../mesh/fill-chunk/fill-client.ts";
import { CacheClient } from "../mesh/services/cache-client.ts";
import { InventoryClient } from "../mesh/services/inventory-client.ts";
import { MembershipClient } from "../mesh/services/membership-client.ts";
import { ObjectClient } from "../mesh/services/object-client.ts";
import { MeshTls } from "../mesh/session/mesh-tls.ts";
import { Peers } from "../mesh/session/peers.ts";

export interface MeshClientOptions {
  readonly config: Config;
  readonly replicaId: string;
  /** Undefined for a mesh without TLS. */
  readonly tls: MeshTls | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export class MeshClient {
  readonly membership: Membership;
  readonly membershipPeers: MembershipClient;
  readonly coordination: Coordination;
  readonly peers: Peers;
  readonly chunkPeers: FillClient;
  readonly chunkLists: InventoryClient;
  readonly objectPeers: ObjectClient;
  readonly cachePeers: CacheClient;
  readonly #options: MeshClientOptions;

  /** The certificates of the mesh, where it has any. @throws OrcaError config_invalid where they cannot be used. */
  static async loadTls({ cluster }: Config, clock: Clock, logger: Logger): Promise<MeshTls | undefined> {
    if (!cluster.clustered || !cluster.internalTls) return undefined;
    return MeshTls.load({ ...cluster.internalTls, clock, logger });
  }

  constructor(options: MeshClientOptions) {
    this.#options = options;
    const { config, replicaId, tls, clock, random, logger } = options;
    const { stallTimeoutMs, peers, service, internalListen, zone, membershipRefreshMs } = config.cluster;
    const { port } = internalListen;
    const callTimeoutMs = originPatienceMs(config);
    // A peer whose pings do not come back is dead within one stall; one whose pings do may wait for its origin.
    this.peers = new Peers({ tls, clock, random, logger, callTimeoutMs, pingIntervalMs: stallTimeoutMs / 3 });
    const seeds: Seeds[] = [new StaticSeeds(peers)];
    if (service !== undefined) seeds.push(new ServiceSeeds(service, port, addressesOf));
    this.membershipPeers = new MembershipClient({ peers: this.peers, clock });
    this.membership = new Membership({
      replicaId,
      address: advertisedAddress(config.cluster, port, networkInterfaces()),
      zone: zone ?? "",
      identity: agreedSettingsOf(config),
      seeds,
      transport: this.membershipPeers,
      clock,
      random,
      logger,
      settings: { discoveryIntervalMs: membershipRefreshMs },
    });
    this.coordination = new Coordination({ membership: this.membership, clock });
    this.chunkPeers = new FillClient({ peers: this.peers, clock, timings: { stallTimeoutMs } });
    this.chunkLists = new InventoryClient({ peers: this.peers, clock });
    this.objectPeers = new ObjectClient({ peers: this.peers, clock, timeoutMs: callTimeoutMs });
    this.cachePeers = new CacheClient({ peers: this.peers, clock });
    this.membership.subscribe((member, previous) => {
      if (member.state === "alive") this.peers.retryNow(member.address);
      if (previous && previous.address !== member.address) this.#dropUnlessTaken(previous.address);
      if (!isLive(member)) this.#dropUnlessTaken(member.address);
    });
  }

  /**
   * Looks for the others, who reach this replica at `port`. Resolves when the seeds were asked once: by then it has joined,
   * or nobody answered and it goes on asking.
   */
  join(port: number): Promise<void> {
    const { cluster } = this.#options.config;
    this.membership.readdress(advertisedAddress(cluster, port, networkInterfaces()));
    return this.membership.start();
  }

  /** Says goodbye, so that others turn to whoever is next. What runs goes on. */
  leave(): Promise<void> {
    return this.membership.leave();
  }

  /** A member that is gone takes its sessions with it, unless another has its address. Streams that run may finish. */
  #dropUnlessTaken(address: string): void {
    if (!this.membership.live.some((member) => member.address === address)) this.peers.drop(address);
  }

  /** Ends the sessions to others. */
  stop(): void {
    this.membership.stop();
    this.peers.close();
    this.#options.tls?.stop();
  }
}

/**
 * How long a coordinator may need for an answer that it has to ask its origin for, while its pings come back: the time for
 * attempts counts from the first failure, which may itself have taken a whole attempt, and so may the last one.
 */
function originPatienceMs({ origins }: Config): number {
  const patience = origins.map(
    ({ queueTimeoutMs, attemptTimeoutMs, retry }) =>
      2 * (queueTimeoutMs + attemptTimeoutMs) + retry.maxTotalDurationMs,
  );
  return Math.max(...patience);
}

async function addressesOf(hostname: string): Promise<readonly string[]> {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address }) => address);
}
