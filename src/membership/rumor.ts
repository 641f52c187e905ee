/**
 * Rumors: messages that membership carries for other parts of Orca. It delivers each rumor to every member once, and does
 * not interpret its body. The parts that publish and listen define its meaning.
 */

/** The body of each kind of rumor. */
export interface RumorBodies {
  /** An object whose cached metadata must not be used any more. */
  readonly invalidation: {
    readonly originId: string;
    readonly bucket: string;
    readonly objectKey: string;
    /** Undefined for the current version. */
    readonly versionId?: string | undefined;
    /** The ETag that is no longer the object's, without quotes. Empty: drop the cached metadata, whatever it is. */
    readonly staleEtag: string;
  };
  /** An origin that throttles, and the part of `target_global` that its requests were cut to. */
  readonly throttle: {
    readonly originId: string;
    /** Above 0, at most 1. */
    readonly part: number;
    /** For so long the part must not grow. */
    readonly holdMs: number;
  };
  /**
   * A chunk that was stored: in the cachestore or, if disks keep copies and a keeper is of an earlier version, on the
   * publisher's disk.
   */
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

/**
 * The order in which kinds get room in a message. A lost invalidation costs staleness, a lost throttle requests that the
 * origin rejects, a lost announcement one request.
 */
export const rumorKinds: readonly RumorKind[] = ["invalidation", "throttle", "announcement"];

interface RumorOf<Kind extends RumorKind> {
  readonly kind: Kind;
  /** A rumor with the same id is applied and relayed once within a minute. */
  readonly id: string;
  readonly body: RumorBodies[Kind];
  /** Its size in a message. */
  readonly sizeBytes: number;
}

export type Rumor = { [Kind in RumorKind]: RumorOf<Kind> }[RumorKind];

export type RumorListener<Kind extends RumorKind> = (body: RumorBodies[Kind]) => void;
