/** What a replica tells of a warm-up that it leads. `orca warm` and the console show it. */

export interface Count {
  chunks: number;
  bytes: number;
}

export interface MissingDocument {
  readonly url: string;
  /** Null where the whole object is. */
  readonly chunk: number | null;
  readonly reason: string;
}

/** A line of the answer to `POST /cache/warm`, and an item of `GET /cache/warm`. Fields stay, new ones may come. */
export interface WarmDocument {
  /** With it the warm-up is resumed from here. */
  readonly id: string;
  /** Names this run: it stays while the warm-up goes on, also at another replica. */
  readonly run_id: string;
  readonly source: string;
  readonly dry_run: boolean;
  /**
   * The last four end it here. `complete`: all that was found is held, or it was a dry run. `handed_on`: another replica
   * goes on.
   */
  readonly state: "listing" | "filling" | "verifying" | "complete" | "incomplete" | "failed" | "handed_on";
  /** What the source has, as far as it was listed. */
  readonly objects: number;
  readonly bytes: number;
  /** Bytes that the present pass is done with, and those that it will have been done with. */
  readonly pass_bytes: number;
  readonly pass_total_bytes: number;
  /** Before the warm-up. */
  readonly held: Readonly<Count>;
  readonly filled: Readonly<Count>;
  readonly verified: Readonly<Count>;
  /** Objects that could not be looked up count as one chunk. */
  readonly missing: Readonly<Count>;
  /** Verified, but not pinned, where pins were asked for. */
  readonly unpinned: Readonly<Count>;
  /** The first that are missing or unpinned. */
  readonly missing_chunks: readonly MissingDocument[];
  /** Why it failed; null unless it did. */
  readonly reason: string | null;
  /** Where it goes on, and the URL of the ops listener there; null unless it was handed on. */
  readonly continued: { readonly replica_id: string; readonly ops: string } | null;
}
