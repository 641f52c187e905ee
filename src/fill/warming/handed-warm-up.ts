/**
 * A warm-up that goes on at another replica, because the one that leads it stops, and the interfaces over which it gets
 * there. On the mesh it is mesh/services/cache.ts.
 */
import { MiB } from "../../base/units.ts";
import type { Member } from "../../membership/member.ts";

export interface HandedWarmUp {
  /** The name of this run, whichever replica leads it: 32 hexadecimal digits. */
  readonly runId: string;
  /** `BUCKET/KEY-PREFIX` in the names that clients use, or the text of a manifest. */
  readonly source: { readonly prefix: string } | { readonly manifest: Uint8Array };
  /** The mark up to which all objects are done; empty at the start. */
  readonly after: string;
  /** Undefined for no limit. */
  readonly bytesPerSecond: number | undefined;
  /** Wall-clock time; 0 for no pins. */
  readonly pinUntilMs: number;
}

/** Where people can follow it: the ops listener of the replica that leads it now. */
export interface OpsPlace {
  readonly port: number;
  readonly isTls: boolean;
}

/** Answers for this replica. */
export interface WarmUpTakers {
  /** Begins the warm-up. @throws OrcaError `overloaded`, `invalid_argument`, `no_such_bucket`, `shutting_down`. */
  take(warmUp: HandedWarmUp): Promise<OpsPlace>;
}

export interface WarmUpPeers {
  /** @throws OrcaError `peer_unavailable` where the peer cannot answer; else the peer's error; the signal's reason. */
  takeWarmUp(peer: Member, warmUp: HandedWarmUp, signal: AbortSignal): Promise<OpsPlace>;
}

/** Bytes of a manifest. */
export const manifestBytesMax = 8 * MiB;
