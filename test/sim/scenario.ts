/**
 * What a seed decides before anything happens: how large the cluster is, and what may befall it. The kinds differ in
 * what must hold: the less goes wrong, the more is promised.
 */
import { KiB, MiB } from "../../src/base/units.ts";
import type { ChunkTier } from "../../src/chunk/chunk-layout.ts";
import type { Chance } from "../support/chance.ts";

export const scenarioKinds = ["calm", "changing", "losing", "parting", "storm"] as const;

/**
 * `calm`: nothing goes wrong. `changing`: objects are overwritten, deleted and created. `losing`: replicas crash, restart and
 * stall, their disks refuse and rot. `parting`: partitions, lost messages, black holes and reset connections. `storm`: all of it,
 * and an origin that fails.
 */
export type ScenarioKind = (typeof scenarioKinds)[number];

export interface Scenario {
  readonly kind: ScenarioKind;
  readonly replicas: number;
  readonly chunkTiers: readonly ChunkTier[];
  readonly hasDisks: boolean;
  readonly hasCachestore: boolean;
  /** `cluster.replication`. Above 1, there are disks. */
  readonly copies: number;
  readonly memoryBytes: number;
  readonly targetGlobal: number;
  readonly readAheadMax: number;
  /** `chunking.fill: whole`. */
  readonly fillsWhole: boolean;
  readonly clients: number;
  readonly durationMs: number;
  /** Share of membership messages that are lost. */
  readonly loss: number;
}

/** The larger chunks have three blocks, so that they can be there in part in every way. */
const chunkLayouts: readonly (readonly ChunkTier[])[] = [
  // No chunk ends with a whole block, and the first bytes of a larger object are none: an opening of it is wasted.
  [
    { minObjectSizeBytes: 0, chunkSizeBytes: 192 * KiB },
    { minObjectSizeBytes: MiB, chunkSizeBytes: 2 * MiB + 64 * KiB },
  ],
  // As in production: the smallest chunk is of whole blocks.
  [
    { minObjectSizeBytes: 0, chunkSizeBytes: 2 * MiB },
    { minObjectSizeBytes: 3 * MiB, chunkSizeBytes: 3 * MiB },
  ],
];

export const objectSizesBytes = [
  700,
  50 * KiB,
  192 * KiB,
  500 * KiB,
  760 * KiB,
  MiB + 10,
  MiB + 64 * KiB,
  2 * MiB + 300 * KiB,
  4 * MiB + 300 * KiB,
] as const;

/** Nothing is evicted from so much. */
export const ampleMemoryBytes = 40 * MiB;

export const ttlMs = 5000;
export const negativeTtlMs = 2500;
export const queueTimeoutMs = 5000;
/** How long a peer that failed is avoided, with every failure in a row twice as long. */
export const avoidInitialMs = 2000;
export const avoidMaxMs = 8000;
/** Rounds follow each other as fast as all else in a simulation. */
export const antiEntropy = { debounceMs: 1000, intervalMs: 4000, retryInitialMs: 2000, recheckRounds: 3 };
/** How long a cachestore that failed is not asked. */
export const breakerOpenMs = 2000;
/** After this long without a fault, no member is avoided and no stale marker is left (freshness/stale-markers.ts). */
export const recoveryMs = 12_000;

export function kindOf(seed: number): ScenarioKind {
  return scenarioKinds[seed % scenarioKinds.length] as ScenarioKind;
}

export function scenarioOf(seed: number, chance: Chance): Scenario {
  const kind = kindOf(seed);
  const isStormy = kind === "storm";
  const staysWhole = kind === "calm" || kind === "changing";
  const hasDisks = chance.happens(0.6);
  const hasCachestore = chance.happens(0.3);
  return {
    kind,
    replicas: 3 + chance.below(3),
    chunkTiers: chance.oneOf(chunkLayouts) ?? [],
    hasDisks,
    hasCachestore,
    copies: hasDisks && chance.happens(0.4) ? 2 : 1,
    // Where each chunk must be fetched once, what is evicted must be on a disk.
    memoryBytes:
      hasDisks || isStormy || (hasCachestore && !staysWhole)
        ? chance.oneOf(isStormy ? [6, 8, 20] : [12, 16, 24]) * MiB
        : ampleMemoryBytes,
    targetGlobal: chance.oneOf([6, 12]),
    readAheadMax: chance.below(4),
    fillsWhole: chance.happens(0.15),
    clients: 30 + chance.below(30),
    durationMs: staysWhole ? 12_000 : 20_000,
    loss: staysWhole || kind === "losing" ? 0 : chance.oneOf([0, 0.02, 0.1]),
  };
}
