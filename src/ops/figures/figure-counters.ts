/** The counters of a replica that its figures are read from. The parts count; nothing here changes them. */
import type { MemoryBudget } from "../../base/memory-budget.ts";
import type { HotObjects } from "../../figures/hot-objects.ts";
import type { Filler } from "../../fill/filler.ts";
import type { Relay } from "../../fill/relay.ts";
import type { AntiEntropy } from "../../fill/replication/anti-entropy.ts";
import type { Puller } from "../../fill/replication/puller.ts";
import type { GuardedOrigin } from "../../origin/guarded-origin.ts";
import type { Throttle } from "../../origin/throttling/throttle.ts";
import type { Catalog } from "../../store/cachestore/catalog.ts";
import type { GuardedCachestore } from "../../store/cachestore/guarded-cachestore.ts";
import type { DiskTier } from "../../store/disk/disk-tier.ts";
import type { MemoryTier } from "../../store/memory-tier.ts";
import type { Scrub } from "../../store/scrub/scrub.ts";
import type { EdgeCounters } from "../metrics/client-metrics.ts";
import type { Readiness } from "../readiness.ts";

export interface FigureCounters {
  readonly replicaId: string;
  /** Empty without zones. */
  readonly zone: string;
  /** Of Orca. */
  readonly version: string;
  readonly readiness: Pick<Readiness, "report" | "phase">;
  readonly edge: Pick<EdgeCounters, "requests" | "firstByteSeconds" | "errors" | "servedBytes">;
  readonly hotObjects: Pick<HotObjects, "list" | "rotate">;
  readonly sentBytes: Readonly<Record<string, number>>;
  readonly budget: Pick<MemoryBudget, "usedBytes" | "maxBytes">;
  readonly memory: { readonly stats: Pick<MemoryTier["stats"], "chunks" | "evictions"> };
  readonly disk:
    | (Pick<DiskTier, "usedBytes" | "maxBytes" | "chunkCount"> & {
        readonly stats: Pick<DiskTier["stats"], "evictions">;
      })
    | undefined;
  /** Undefined without a disk tier. */
  readonly scrub: Pick<Scrub, "progress"> | undefined;
  readonly cachestore:
    | {
        readonly store: Pick<GuardedCachestore, "kind" | "breakerState" | "stats">;
        readonly catalog: Pick<Catalog, "size">;
      }
    | undefined;
  readonly filler: Pick<Filler, "flightsInProgress">;
  /** Undefined in a cluster of one. */
  readonly relay: Pick<Relay, "flightsInProgress"> | undefined;
  /** Undefined where disks are not replicated. */
  readonly replicated:
    | {
        readonly antiEntropy: Pick<AntiEntropy, "stats">;
        readonly puller: Pick<Puller, "stats" | "waiting" | "running">;
      }
    | undefined;
  readonly origins: readonly {
    readonly origin: Pick<
      GuardedOrigin,
      "id" | "requestsInFlight" | "requestsInFlightMax" | "requestsWaiting"
    > & {
      readonly stats: Pick<GuardedOrigin["stats"], "bytes" | "errors" | "requests">;
      readonly throttle: Pick<Throttle, "part"> | undefined;
    };
    /** `origin.price_per_gb`. */
    readonly pricePerGb: number;
  }[];
}
