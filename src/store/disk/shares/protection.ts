/**
 * What keeps chunks from being evicted: the shares of buckets, and pins. They come on top of each other, so together they
 * must leave room that can be evicted: both may have the low watermark at most. Shares have the first claim, because a pin
 * that finds no room is reported to the person who asked for it.
 */
import type { Clock } from "../../../base/clock.ts";
import type { Logger } from "../../../base/logger.ts";
import type { NewPolicy } from "../../eviction/eviction-policy.ts";
import { DiskPins } from "../pins/disk-pins.ts";
import type { DiskShare } from "./disk-share.ts";
import { DiskShares } from "./disk-shares.ts";

export interface ProtectionOptions {
  /** `disk.max_bytes`: sizes of all chunk files, footers included. */
  readonly maxBytes: number;
  /** `disk.max_chunks`. */
  readonly maxChunks: number;
  /** A part of maxBytes and of maxChunks. */
  readonly lowWatermark: number;
  /** `disk.pin_share`. */
  readonly pinShare?: number;
  /** Of the buckets that have one, or a priority. */
  readonly shares?: readonly DiskShare[] | undefined;
  readonly policy: NewPolicy;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Protection {
  readonly pins: DiskPins;
  readonly shares: DiskShares | undefined;
  readonly policy: NewPolicy;
}

const pinShareDefault = 0.5;

export function protection(options: ProtectionOptions, directory: string): Protection {
  const { maxBytes, maxChunks, policy: make, shares: configured } = options;
  const shares = configured?.length ? new DiskShares({ shares: configured, maxBytes, maxChunks }) : undefined;
  const pins = new DiskPins({ ...options, file: `${directory}/pins`, share: pinShareOf(options) });
  return { pins, shares, policy: pins.policy(shares?.policy(make) ?? make) };
}

function pinShareOf({ pinShare = pinShareDefault, lowWatermark, shares = [] }: ProtectionOptions): number {
  const left = shares.reduce((rest, { share }) => rest - share, lowWatermark);
  // The last digits of a sum of decimal fractions are wrong.
  return Math.max(0, Math.min(pinShare, Number(left.toFixed(9))));
}
