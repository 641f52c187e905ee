/**
 * The upstream store as the rest of Orca sees it: three questions, each of them one attempt. Retries, permits and
 * resuming live around this interface (guarded-origin.ts), once for all drivers; a driver only knows how to ask and
 * how to read the answer. HTTP status decides what an answer means, never the text of a message.
 */
import type { ByteSink } from "../base/byte-sink.ts";

/** Where an object lies at the origin: its own bucket or container name and the whole key. */
export interface ObjectLocation {
  readonly bucket: string;
  readonly key: string;
}

/** What a client must get back with the bytes. Header values are as the origin sent them. */
export interface ObjectHead {
  readonly sizeBytes: number;
  /** Without quotes and without a weak prefix; never empty. */
  readonly etag: string;
  /** Milliseconds since the epoch, whole seconds. */
  readonly lastModifiedMs: number;
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  readonly contentLanguage?: string | undefined;
  readonly contentDisposition?: string | undefined;
  readonly cacheControl?: string | undefined;
  readonly expires?: string | undefined;
  readonly versionId?: string | undefined;
  /** `x-amz-meta-*` without the prefix, lower case. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** A range of one pinned version. `offset + lengthBytes <= objectSizeBytes`, `lengthBytes > 0`. */
export interface RangeRequest extends ObjectLocation {
  /** Sent as a quoted `If-Match`. */
  readonly etag: string;
  readonly objectSizeBytes: number;
  readonly offset: number;
  readonly lengthBytes: number;
}

export interface ListRequest {
  readonly bucket: string;
  readonly prefix: string;
  readonly delimiter: string;
  /** 1 to 1000. */
  readonly maxKeys: number;
  /** The origin's own token from the page before, or empty. */
  readonly continuationToken: string;
  /** List only keys after this one, or empty. */
  readonly startAfter: string;
}

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly lastModifiedMs: number;
}

export interface ListPage {
  readonly objects: readonly ListedObject[];
  readonly commonPrefixes: readonly string[];
  /** Empty on the last page. */
  readonly nextContinuationToken: string;
}

export interface Origin {
  readonly id: string;

  /**
   * Metadata of an object, or null where there is none (404: a miss is a value).
   * @throws OrcaError origin_denied, origin_throttled, origin_unavailable, origin_missing_etag, origin_unsupported.
   */
  head(location: ObjectLocation, signal: AbortSignal): Promise<ObjectHead | null>;

  /**
   * Brings the bytes of a range into `sink`; resolves when all `lengthBytes` of them have arrived. On a rejection the
   * sink holds a true prefix of the range, and the caller may go on from there. The sink is not touched once the
   * promise has settled.
   * @throws OrcaError as {@link head}, and origin_etag_changed where the object is not the pinned version any more
   *   (412, or gone: 404).
   */
  read(request: RangeRequest, sink: ByteSink, signal: AbortSignal): Promise<void>;

  /** One page of keys in UTF-8 byte order. @throws OrcaError as {@link head}; no_such_bucket where it is gone. */
  list(request: ListRequest, signal: AbortSignal): Promise<ListPage>;

  /** Closes idle connections. */
  close(): void;
}
