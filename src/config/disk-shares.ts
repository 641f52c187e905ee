/**
 * The shares of the disk that buckets have, and the order in which buckets are evicted beyond them. Shares and pins are
 * not evicted for others, so together they must leave room that can be.
 */
import type { IsWritten } from "./checks.ts";
import type { Config } from "./config.ts";
import { type Fault, pathTo } from "./fault.ts";
import { type BucketConfig, everyOtherBucket } from "./origin-config.ts";

/** What one place has. Two names of one place have it together. */
export interface DiskShareConfig {
  /** The first name of the place, as clients and the settings name it. */
  readonly name: string;
  readonly originId: string;
  /** By the origin's name; undefined for all that the settings do not name. */
  readonly bucket: string | undefined;
  /**
   * What the settings name, with a share or without, and so is not in this place: inside of it, or all of it where `bucket`
   * is undefined.
   */
  readonly named?: readonly { readonly bucket: string; readonly prefix: string }[];
  readonly prefix: string;
  /** 0 for a priority alone. */
  readonly share: number;
  readonly priority: "low" | "normal" | "high";
}

/** Each has a policy and two series of metrics, and each stored chunk is compared with all places. */
const sharesMax = 32;

/** In the order of the settings: of the places that have a share or a priority of their own, once each. */
export function diskSharesOf({ origins }: Pick<Config, "origins">): DiskShareConfig[] {
  const shares: DiskShareConfig[] = [];
  for (const { id: originId, buckets, otherBuckets } of origins) {
    const places = new Map<string, Omit<BucketConfig, "bucket"> & { readonly bucket?: string }>(buckets);
    if (otherBuckets) places.set(everyOtherBucket, otherBuckets);
    for (const [name, { bucket, prefix, diskShare: share = 0, priority = "normal" }] of places) {
      if (share === 0 && priority === "normal") continue;
      const isSame = (other: DiskShareConfig): boolean =>
        other.originId === originId && other.bucket === bucket && other.prefix === prefix;
      if (shares.some(isSame)) continue;
      const named = [...buckets.values()]
        .filter((other) => bucket === undefined || isInside(other, { bucket, prefix }))
        .map((other) => ({ bucket: other.bucket, prefix: other.prefix }));
      const without = named.length > 0 && { named };
      shares.push({ name, originId, bucket, ...without, prefix, share, priority });
    }
  }
  return shares;
}

type Place = Pick<BucketConfig, "bucket" | "prefix">;

function isInside({ bucket, prefix }: Place, outer: Place): boolean {
  return bucket === outer.bucket && prefix !== outer.prefix && prefix.startsWith(outer.prefix);
}

/** `path`: where the origins are in the settings, `origin` or `origins`. */
export function checkDiskShares(
  config: Pick<Config, "origins" | "disk">,
  path: "origin" | "origins",
  isWritten: IsWritten,
  faults: Fault[],
): void {
  const { disk, origins } = config;
  const shares = diskSharesOf(config);
  const [first] = shares;
  if (first === undefined) return;
  if (disk === undefined) {
    const index = origins.findIndex(({ id }) => id === first.originId);
    const buckets = `${path === "origin" ? path : `${path}[${index}]`}.buckets`;
    const key = first.share > 0 ? "disk_share" : "priority";
    const message = "expected a disk, because only disks have shares: set disk.root, or leave this out";
    faults.push({ path: `${pathTo(buckets, first.name)}.${key}`, message });
    return;
  }
  const place = path === "origin" ? "origin.buckets" : path;
  if (shares.length > sharesMax) {
    const message = `expected disk_share or priority of at most ${sharesMax} buckets, got ${shares.length}`;
    faults.push({ path: place, message });
  }
  const { lowWatermark, pinShare } = disk;
  const sum = rounded(shares.reduce((total, { share }) => total + share, 0));
  const left = rounded(lowWatermark - sum);
  if (left < 0) {
    const message = `expected disk_share of all buckets to be at most disk.low_watermark (${lowWatermark}) together, got ${sum}`;
    faults.push({ path: place, message });
  } else if (sum > 0 && pinShare > left && isWritten("disk.pin_share")) {
    const message = `expected at most ${left}, which disk_share of the buckets (${sum} together) leaves of disk.low_watermark (${lowWatermark}), got ${pinShare}`;
    faults.push({ path: "disk.pin_share", message });
  }
}

/** Without the last digits, which a sum of decimal fractions gets wrong. */
function rounded(share: number): number {
  return Number(share.toFixed(9));
}
