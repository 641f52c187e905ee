/**
 * The interfaces of a warm-up between replicas: the replica that leads it asks each replica that should hold a chunk to
 * fill it, or only to look whether it holds it. On the mesh it is mesh/services/cache.ts.
 */
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";

/**
 * `held` already; `filled` now; `missing`: the stores do not keep it, or nothing was filled; `busy`: there was no room for
 * the fill beside clients, or too many others run. The caller asks again. `unpinned`: a look found it held, and it could not
 * be pinned.
 */
export type WarmResult = "held" | "filled" | "missing" | "busy" | "unpinned";

/** Answers for this replica (chunk-warmer.ts). */
export interface WarmAnswers {
  /**
   * Whether this replica holds a chunk that it should hold. `fills`: a chunk that it lacks is filled first.
   * `pinUntilMs`: until when it is pinned on disk, in wall-clock time; 0 for no pin. Only a look tells whether it is.
   * @throws OrcaError of the origin; `overloaded` where memory is too small for the chunk; the signal's reason.
   */
  warm(key: ChunkKey, fills: boolean, signal: AbortSignal, pinUntilMs?: number): Promise<WarmResult>;
}

export interface WarmPeers {
  /** @throws OrcaError `peer_unavailable` where the peer cannot answer; else the peer's error; the signal's reason. */
  warm(
    peer: Member,
    key: ChunkKey,
    fills: boolean,
    signal: AbortSignal,
    pinUntilMs?: number,
  ): Promise<WarmResult>;
}
