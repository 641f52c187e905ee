/**
 * The interface to the upstream store: head, ranged get, list, and which buckets there are. Each call is a single attempt. Retries, permits and resuming
 * live in guarded-origin.ts, once for all drivers; a driver only sends a request and checks the answer. The HTTP status
 * decides what an answer means, never the text of a message.
 */
import type { ByteSink } from "../base/byte-sink.ts";
import type { OrcaError } from "../base/orca-error.ts";
import { KiB, MiB } from "../base/units.ts";
import type { FetchTrace } from "../trace/fetch-trace.ts";

/** The location of an object at the origin: the origin's own name of the bucket or container, and the whole key. */
export interface ObjectLocation {
  readonly bucket: string;
  readonly key: string;
  /**
   * The origin's id of one version, in the form of chunk/version-id.ts. `null` is the version that was written while the
   * bucket had no versioning. Undefined for the current version.
   */
  readonly versionId?: string | undefined;
}

/** In place of an object: the origin says that it was deleted, or that the version asked for is only a note of that. */
export interface DeleteMarker {
  readonly kind: "delete-marker";
  readonly versionId: string | undefined;
  readonly lastModifiedMs: number | undefined;
}

/** The metadata that a client receives with the bytes. Header values are as the origin sent them. */
export interface ObjectHead {
  readonly sizeBytes: number;
  /** Without quotes and without a weak prefix; never empty. */
  readonly etag: string;
  /** Milliseconds since the epoch, whole seconds. Undefined where the origin tells no date: none is invented. */
  readonly lastModifiedMs: number | undefined;
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  readonly contentLanguage?: string | undefined;
  readonly contentDisposition?: string | undefined;
  readonly cacheControl?: string | undefined;
  readonly expires?: string | undefined;
  readonly versionId?: string | undefined;
  readonly storageClass?: string | undefined;
  /** Of an archived object: `ongoing-request="true"`, or until when its restored copy stays. */
  readonly restore?: string | undefined;
  /** Of an archived object of class INTELLIGENT_TIERING: the tier. */
  readonly archiveStatus?: string | undefined;
  readonly websiteRedirectLocation?: string | undefined;
  /** `x-amz-checksum-*` of the whole object, by the full name. Absent where the origin tells none. */
  readonly checksums?: Readonly<Record<string, string>> | undefined;
  readonly isChecksumUnknown?: boolean | undefined;
  /** `x-amz-meta-*` without the prefix, lower case. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** What an origin says of an object. Null: there is none, or no such version. */
export type OriginHead = ObjectHead | DeleteMarker | null;

/** A range of one pinned version. `offset + lengthBytes <= objectSizeBytes`, `lengthBytes > 0`. */
export interface RangeRequest extends ObjectLocation {
  /** Sent as a quoted `If-Match`. */
  readonly etag: string;
  /** The bytes must have this one; undefined where it is not known. @see contentCodingOf */
  readonly contentCoding?: string | undefined;
  readonly objectSizeBytes: number;
  readonly offset: number;
  readonly lengthBytes: number;
  /** Of the flight that reads. */
  readonly trace?: FetchTrace | undefined;
}

/** One part of one pinned version, by its number in a multipart upload. */
export interface PartRequest extends ObjectLocation {
  /** Sent as a quoted `If-Match`. */
  readonly etag: string;
  /** More than 0. */
  readonly objectSizeBytes: number;
  /** 1 to {@link partsMax}. */
  readonly partNumber: number;
}

/** Parts of an object, in S3. */
export const partsMax = 10_000;

/**
 * Where a part lies in its object.
 * - `range`: bytes `start` up to but not including `end`, one of `count` parts.
 * - `whole`: the object was not uploaded in parts, so that it is its only part.
 * - `absent`: there is no such part, but `count` others; 0 where their number is not known.
 * - `untold`: the origin does not tell where this part lies; `count` is 0 where it does not tell their number either.
 */
export type ObjectPart =
  | { readonly kind: "range"; readonly start: number; readonly end: number; readonly count: number }
  | { readonly kind: "whole" }
  | { readonly kind: "absent" | "untold"; readonly count: number };
/** Which bytes are wanted first. `lengthBytes > 0`; the object may end before. */
export interface FirstBytes {
  readonly offset: number;
  readonly lengthBytes: number;
  /**
   * Asks for the object without a range, and takes its first bytes; `offset` is 0. S3 tells the checksums of an object only
   * with all of it. Of a larger object, what is on its way when the last byte wanted has come is lost.
   */
  readonly withChecksums: boolean;
  /**
   * Present where the last bytes of the object are wanted: so many. `offset` is 0 and says nothing, and the last
   * `lengthBytes` are asked for: with these, the block in which the bytes wanted begin comes whole.
   */
  readonly lastBytes?: number;
}

export interface OpenRequest extends ObjectLocation, FirstBytes {
  /** Of the client's request. */
  readonly requestId?: string | undefined;
}

export interface Opening {
  readonly head: ObjectHead;
  /** Where in the object the bytes begin. */
  readonly offset: number;
  /** Bytes that follow from `offset` on. 0 for an empty object. */
  readonly lengthBytes: number;
}

/** Called with the response head. Returns the sink for `opening.lengthBytes` bytes, or null where they are not wanted. */
export type OpeningReceiver = (opening: Opening) => ByteSink | null;

/** Where the bytes of an opening go. */
export interface BodyPlace {
  /** Takes as many bytes as were announced. */
  readonly sink: ByteSink;
  /** Aborts when the rest is not wanted any more. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called once, after the last use of the sink. With an error the body broke off, and the rest must be read otherwise.
   * Too few bytes without an error: a signal has ended the body.
   */
  ended(error?: OrcaError): void;
}

/** `unsatisfiable`: the object ends before the offset, and nothing else is known of it. A delete marker, or null: it is absent. */
export type OpenOutcome = "opened" | "unsatisfiable" | DeleteMarker | null;

export interface ListRequest {
  readonly bucket: string;
  readonly prefix: string;
  readonly delimiter: string;
  /** 1 to 1000. */
  readonly maxKeys: number;
  /** The origin's own token from the previous page, or empty. */
  readonly continuationToken: string;
  /** List only keys after this one, or empty. */
  readonly startAfter: string;
  /**
   * Undefined for a listing of current objects. Else all versions are listed: those of `startAfter` that follow this one,
   * and those of later keys. Empty: of later keys alone. Such a listing has no continuation tokens.
   */
  readonly versionIdMarker?: string | undefined;
}

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  /** As in {@link ObjectHead}. */
  readonly lastModifiedMs: number | undefined;
  /** As the origin names it. Undefined for STANDARD, and where the origin names none. */
  readonly storageClass?: string | undefined;
  /** In a listing of versions. */
  readonly version?: ListedVersion | undefined;
}

/** What a listing says of a version beside its object. */
export interface ListedVersion {
  readonly id: string;
  readonly isLatest: boolean;
  /** It has no bytes and no ETag. */
  readonly isDeleteMarker: boolean;
}

/** Where the next page of a listing of versions begins, as {@link ListRequest} has it. */
export interface VersionMarker {
  /** A key or a common prefix. */
  readonly startAfter: string;
  readonly versionIdMarker: string;
}

/**
 * A longer token ends the listing with an error. Clients send it back in their request line, and replicas in a message of
 * at most 16 KiB. S3 and Azure need less than 1 KiB.
 */
export const continuationTokenBytesMax = 8 * KiB;

export interface ListPage {
  readonly objects: readonly ListedObject[];
  readonly commonPrefixes: readonly string[];
  /** Empty on the last page, and in a listing of versions. */
  readonly nextContinuationToken: string;
  /** In a listing of versions, on every page but the last. */
  readonly nextVersion?: VersionMarker | undefined;
}

/** The smallest listing, to which a bucket and a prefix are added. */
export const firstKeyOnly = { delimiter: "", maxKeys: 1, continuationToken: "", startAfter: "" } as const;

/** A part of a bucket that clients see. */
export interface BucketPart {
  readonly bucket: string;
  /** Empty for the whole bucket. */
  readonly prefix: string;
}

/** Somebody else's key at the origin. */
export interface OriginKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Whether the owner of a key, or everybody, may get an object, or list the keys that begin with `key`. */
export interface RightQuestion extends ObjectLocation {
  /** Undefined for everybody. */
  readonly as: OriginKey | undefined;
  readonly action: "get" | "list" | "list-versions";
  /** For lists. */
  readonly delimiter: string;
}

/**
 * `absent`: there is no such object, or no bucket to list, and the owner of the key may know it. `no_bucket`: nor a bucket.
 * `deleted`: there is a delete marker, of which the owner of the key may know.
 */
export type Right = "allowed" | "denied" | "absent" | "no_bucket" | "deleted";

/** A bucket, container or directory as the origin lists it. */
export interface ListedBucket {
  readonly name: string;
  /** When it was made, or changed last where the origin tells only that. Undefined where it tells neither. */
  readonly createdMs: number | undefined;
}

/** A longer list of buckets is an error: name the buckets in the settings instead. */
export const bucketsListedMax = 10_000;

/** No origin has longer names: 255 is what S3 allowed before 2018, and what a file system allows. A longer one is left out. */
export const bucketNameCharactersMax = 255;

/** A question about a sub-resource of an object, or of the bucket where `key` is empty. */
export interface SubResourceQuestion extends ObjectLocation {
  /** Whose right decides. Undefined for that of Orca. */
  readonly as: OriginKey | "anonymous" | undefined;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** As the origin sent it. */
export interface SubResourceAnswer {
  readonly status: number;
  /** A header by its lower-case name. */
  header(name: string): string | undefined;
  /** For a status that is no 2xx its beginning. */
  readonly body: Buffer;
}

/** A longer answer about a sub-resource is an error. 1,000 rules of a lifecycle, the longest there is, have half of it. */
export const subResourceBytesMax = MiB;

export interface Origin {
  readonly id: string;

  /**
   * Metadata of an object or of one of its versions, or null if there is none (404: a miss is a value). `requestId` is
   * that of the client's request.
   * @throws OrcaError no_such_bucket, origin_denied, origin_no_credentials, origin_throttled, origin_unavailable,
   *   origin_missing_etag, origin_unsupported, invalid_version_id.
   */
  head(location: ObjectLocation, signal: AbortSignal, requestId?: string): Promise<OriginHead>;

  /**
   * Where a part lies. Only for an origin with multipart uploads as in S3.
   * @throws OrcaError as {@link head}, and origin_etag_changed as {@link read}.
   */
  part?(request: PartRequest, signal: AbortSignal, requestId?: string): Promise<ObjectPart>;

  /**
   * Reads the bytes of a range into `sink`; resolves when all `lengthBytes` have arrived. On a rejection the sink holds a
   * correct prefix of the range, and the caller may continue after it. The driver does not touch the sink after the
   * promise has settled.
   * @throws OrcaError as {@link head}, and origin_etag_changed if the object is no longer the pinned version (412 or 404).
   */
  read(request: RangeRequest, sink: ByteSink, signal: AbortSignal): Promise<void>;

  /** Whether {@link open} can ask for the last bytes of an object. False by default. */
  readonly opensAtEnd?: boolean;

  /**
   * The first bytes of an object of which nothing is known, and its metadata. Resolves when the bytes that `receive` wants
   * have arrived. Left out where a {@link head} costs no round trip. A sink gets a correct prefix, as in {@link read}.
   * @throws OrcaError as {@link head}.
   */
  open?(request: OpenRequest, receive: OpeningReceiver, signal: AbortSignal): Promise<OpenOutcome>;

  /** One page of keys in UTF-8 byte order. @throws OrcaError as {@link head}; no_such_bucket if the bucket does not exist. */
  list(request: ListRequest, signal: AbortSignal): Promise<ListPage>;

  /**
   * Looks whether a bucket can be read: resolves if it can. One cheap request, which needs no other rights than to serve
   * does. S3 and Azure get a listing of one key below the prefix, because it is the one request that tells a missing
   * bucket from a missing right, carries the origin's own code in its body, and is allowed by a policy for one prefix.
   * HEAD of a bucket needs the same right, and has neither body nor prefix.
   * @throws OrcaError as {@link list}.
   */
  look(part: BucketPart, signal: AbortSignal): Promise<void>;

  /**
   * All buckets that the owner of `as`, or of Orca's own credentials, may know, in any order: at most {@link bucketsListedMax}.
   * `as` is only for an origin whose keys Orca can sign with.
   * @throws OrcaError as {@link head}; origin_unsupported for more buckets than that.
   */
  listBuckets(as: OriginKey | undefined, signal: AbortSignal): Promise<readonly ListedBucket[]>;

  /** What the origin answers somebody else. Only for an origin whose keys Orca can sign with. @throws OrcaError as {@link head}. */
  rightOf?(question: RightQuestion, signal: AbortSignal): Promise<Right>;

  /**
   * What S3 keeps about an object or a bucket beside bytes and keys. Only for an origin that is S3. A 4xx and a 501 are
   * answers. To Orca's own key a 401 and a 403 are not.
   * @throws OrcaError as {@link head}; origin_unsupported for more than {@link subResourceBytesMax} bytes.
   */
  subResource?(question: SubResourceQuestion, signal: AbortSignal): Promise<SubResourceAnswer>;

  /** Closes idle connections. */
  close(): void;
}
