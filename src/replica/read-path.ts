/**
 * How one replica comes by chunks it does not hold: its filler, and in a cluster the relay in front of it and, where
 * disks are replicated, the copies. What readers need of all that is one {@link ReadPath}.
 */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Config } from "../config/config.ts";
import { Filler } from "../fill/filler.ts";
import type { ReadPath } from "../fill/object-reader.ts";
import { Relay } from "../fill/relay.ts";
import type { GuardedOrigin } from "../origin/guarded-origin.ts";
import { announcing } from "./cachestore.ts";
import type { MeshClient } from "./mesh-client.ts";
import { ReplicatedDisks } from "./replicated-disks.ts";
import type { Tiers } from "./tiers.ts";

export interface ReplicaReadPathOptions {
  readonly config: Config;
  readonly tiers: Tiers;
  readonly origins: readonly GuardedOrigin[];
  /** Undefined in a cluster of one. */
  readonly cluster: MeshClient | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ReplicaReadPath {
  readonly filler: Filler;
  readonly relay: Relay | undefined;
  /** Undefined where each chunk is kept by its coordinator alone. */
  readonly replicated: ReplicatedDisks | undefined;
  readonly readPath: ReadPath;

  constructor({ config, tiers, origins, cluster, clock, logger }: ReplicaReadPathOptions) {
    const { memory, disk, cachestore, budget } = tiers;
    const { replication: copies } = config.cluster;
    const { queueTimeoutMs } = config.memory;
    const shared = { memory, disk, shared: cachestore?.store, budget, queueTimeoutMs };
    this.replicated =
      cluster && disk && copies > 1
        ? new ReplicatedDisks({ copies, cluster, disk, budget, clock, logger })
        : undefined;
    const filler = new Filler({
      ...shared,
      held: this.replicated?.held,
      digests: disk,
      onStored: this.replicated?.onStored,
      onShared: cluster && cachestore && announcing(cluster, cachestore),
      origins: new Map(origins.map((origin) => [origin.id, origin])),
    });
    this.filler = filler;
    this.relay =
      cluster &&
      new Relay({ ...shared, filler, peers: cluster.chunkPeers, coordination: cluster.coordination, clock });
    this.readPath = {
      ...shared,
      flights: this.relay ?? filler,
      readAheadMax: config.chunking.readahead,
      sentBytes: { memory: 0, disk: 0, cachestore: 0, peer: 0, origin: 0, join: 0 },
    };
  }

  /** Once the members are known. */
  start(): void {
    this.replicated?.start();
  }

  /** Ends what is being copied, which nobody waits for. */
  async stopCopies(): Promise<void> {
    await this.replicated?.stop();
  }

  /** Ends fills that nobody waits for any more, and resolves when those that are whole have been committed. */
  async stop(): Promise<void> {
    await Promise.all([this.relay?.stop(), this.filler.stop()]);
  }
}
