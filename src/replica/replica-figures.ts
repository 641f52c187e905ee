/** Makes what tells people the figures of a replica, and those of its cluster. No client depends on it. */
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import type { EdgeStats } from "../edge/edge-stats.ts";
import type { ReplicaFigures } from "../figures/replica-figures.ts";
import { ReplicaFiguresReader } from "../ops/figures/replica-figures-reader.ts";
import type { Readiness } from "../ops/readiness.ts";
import type { GuardedOrigin } from "../origin/guarded-origin.ts";
import type { CacheView } from "./cache-view.ts";
import type { ReplicaReadPath } from "./read-path.ts";
import { type ReleaseStack, step } from "./release-stack.ts";
import type { ClientListener } from "./threads/client-listener.ts";
import type { Tiers } from "./tiers.ts";

export interface ReplicaFiguresParts {
  readonly config: Config;
  /** Of Orca. */
  readonly version?: string;
  readonly readiness: Readiness;
  readonly edge: EdgeStats;
  readonly tiers: Tiers;
  readonly readPath: ReplicaReadPath;
  readonly cacheView: CacheView;
  readonly origins: readonly GuardedOrigin[];
  readonly clock: Clock;
}

export function openFigures(parts: ReplicaFiguresParts, held: ReleaseStack): ReplicaFiguresReader {
  const { config, edge, tiers, readPath, clock } = parts;
  const prices = pricesOf(config);
  // A replica that only fetches for others has a count as well, so that a query finds both sides.
  for (const { id } of parts.origins) edge.countServed(id, 0);
  const reader = new ReplicaFiguresReader(
    {
      ...tiers,
      zone: config.cluster.zone ?? "",
      version: parts.version ?? "",
      readiness: parts.readiness,
      edge,
      hotObjects: edge.hotObjects,
      sentBytes: readPath.forReaders.sentBytes,
      scrub: parts.cacheView.scrub,
      filler: readPath.filler,
      relay: readPath.relay,
      replicated: readPath.replicated,
      origins: parts.origins.map((origin) => ({ origin, pricePerGb: prices.get(origin.id) ?? 0 })),
    },
    clock,
  );
  held.add(step("stop the history of figures", () => reader.stop()));
  return reader;
}

/** The figures, with what other threads have counted until now. */
export async function readFigures(
  reader: ReplicaFiguresReader,
  listener: Pick<ClientListener, "collect">,
  historySlotsMax: number,
): Promise<ReplicaFigures> {
  await listener.collect?.();
  return reader.read(historySlotsMax);
}

/** `origin.price_per_gb` by the ids of the origins that have one. */
export function pricesOf({ origins }: Config): ReadonlyMap<string, number> {
  return new Map(
    origins.filter(({ pricePerGb }) => pricePerGb > 0).map(({ id, pricePerGb }) => [id, pricePerGb]),
  );
}
