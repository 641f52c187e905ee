/**
 * What the edge asks of metadata: the current version of an object, and where its parts lie. In the thread of the engine
 * the directory and the tables of parts answer; in another thread, leased copies of their answers.
 */
import type { FirstBytes, ObjectLocation, ObjectPart, PartRequest } from "../origin/origin.ts";
import type { Asker } from "../trace/trace.ts";
import type { LookupResult } from "./object-record.ts";

/** The headers of a GET that say which bytes of the object it reads. */
export interface ReadHeaders {
  readonly range?: string | undefined;
  readonly "if-match"?: string | undefined;
  readonly "if-none-match"?: string | undefined;
  readonly "if-modified-since"?: string | undefined;
  readonly "if-unmodified-since"?: string | undefined;
  readonly "if-range"?: string | undefined;
}

/** @see Directory */
export interface ObjectLookups {
  readonly originId: string;
  /** The fresh entry, if there is one. Does not ask the source. */
  peek(location: ObjectLocation, asker?: Asker): LookupResult | undefined;
  /** Like {@link peek}, but only an entry that {@link lookupRefreshed} would return at once. */
  peekRefreshed(location: ObjectLocation, asker?: Asker): LookupResult | undefined;
  /**
   * With `read`, another thread lets the engine begin the read that follows ({@link Bodies.dropBegun}).
   * @throws OrcaError if the source fails.
   */
  lookup(
    location: ObjectLocation,
    asker?: Asker,
    firstBytes?: FirstBytes,
    read?: ReadHeaders,
  ): Promise<LookupResult>;
  /** Like {@link lookup}, for the first request of a read in parts: later parts may go through other replicas. */
  lookupRefreshed(
    location: ObjectLocation,
    asker?: Asker,
    firstBytes?: FirstBytes,
    read?: ReadHeaders,
  ): Promise<LookupResult>;
  /**
   * Whether the look-up that has just answered `asker` found its answer kept. In the thread of the engine it never does:
   * the caller has peeked before.
   */
  foundKept?(asker: Asker): boolean;
  /** The answer after a client's precondition contradicted `contradicted`. @throws OrcaError if the source fails. */
  revalidate(location: ObjectLocation, contradicted: LookupResult, asker?: Asker): Promise<LookupResult>;
  /** Drops the entry of an object because `etag` is no longer its ETag. */
  forget(location: ObjectLocation, etag: string): void;
}

/** @see PartTables */
export interface PartLookups {
  /** The part, if it is known. Does not ask the source. */
  peek(request: PartRequest): ObjectPart | undefined;
  /** @throws OrcaError if the source fails. */
  find(request: PartRequest, asker?: Asker): Promise<ObjectPart>;
}
