/**
 * News that membership carries for others: it passes each piece on to everybody once and never looks inside. What is in
 * it, and what to do about it, is the business of those who publish and listen.
 */

/** The body of each kind of rumor. The order is the order in which they get room on a message. */
export interface RumorBodies {
  /** An object whose cached metadata is not to be used any more. */
  readonly invalidation: {
    readonly originId: string;
    readonly bucket: string;
    readonly objectKey: string;
    /** The ETag that is not the object's any more, without quotes; empty where whatever is cached is to go. */
    readonly staleEtag: string;
  };
  /** A chunk that was stored: in the store that all share or, where disks are replicated, on the publisher's disk. */
  readonly announcement: {
    readonly originId: string;
    readonly bucket: string;
    readonly objectKey: string;
    /** Without quotes. */
    readonly etag: string;
    readonly chunkSizeBytes: number;
    readonly chunkIndex: number;
    readonly objectSizeBytes: number;
  };
}

export type RumorKind = keyof RumorBodies;

/** Invalidations first: an announcement that is lost costs a look, an invalidation staleness. */
export const rumorKinds: readonly RumorKind[] = ["invalidation", "announcement"];

interface RumorOf<Kind extends RumorKind> {
  readonly kind: Kind;
  /** The same id is applied and passed on once within a minute. */
  readonly id: string;
  readonly body: RumorBodies[Kind];
  /** What it takes on a message. */
  readonly sizeBytes: number;
}

export type Rumor = { [Kind in RumorKind]: RumorOf<Kind> }[RumorKind];

export type RumorListener<Kind extends RumorKind> = (body: RumorBodies[Kind]) => void;
