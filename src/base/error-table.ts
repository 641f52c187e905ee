/**
 * What each error code means, to everybody who has to act on it: the S3 client, the retry loop, another replica, the
 * operator. All else is derived from this table: the predicates of OrcaError, the answers to S3 clients, the codes of
 * Connect, and the page docs/operations/errors.md.
 *
 * To add an error, add its entry here and run `npm run docs`. The type asks for everything that must be decided, and
 * no other file lists the codes, except those in errors/.
 */

import { denialMeanings } from "./errors/denial-meanings.ts";
import type { ErrorMeaning } from "./errors/error-meaning.ts";
import { unconfiguredMeanings } from "./errors/unconfigured-meanings.ts";
import { versionMeanings } from "./errors/version-meanings.ts";

/** What a client sees of an error that is Orca's own affair. */
const internalError = {
  status: 500,
  s3Code: "InternalError",
  clientMessage: "Orca met an internal error. Try again.",
} as const;

const meanings = {
  no_such_key: {
    status: 404,
    s3Code: "NoSuchKey",
    clientMessage: "The specified key does not exist.",
    connectCode: "NotFound",
    meaning: "The origin has no object of this key.",
    remedy: "Check the key. A new object may be reported as absent for up to `metadata.negative_ttl`.",
  },
  no_such_bucket: {
    status: 404,
    s3Code: "NoSuchBucket",
    clientMessage: "The specified bucket does not exist.",
    connectCode: "NotFound",
    meaning:
      "The bucket is not configured here, or the origin has no such bucket or directory. In the second case the log " +
      "and `/readyz` name it.",
    remedy: "Check the bucket's name, and the settings of the origin that should serve it.",
  },
  invalid_argument: {
    status: 400,
    s3Code: "InvalidArgument",
    clientMessage: "An argument of the request is not valid.",
    ownMessage: true,
    connectCode: "InvalidArgument",
    meaning: "A parameter of the request has a value that Orca does not accept.",
    remedy: "Correct the request. The message names the parameter.",
  },
  invalid_uri: {
    status: 400,
    s3Code: "InvalidURI",
    clientMessage: "The specified URI could not be parsed.",
    ownMessage: true,
    connectCode: "InvalidArgument",
    meaning: "The path or the query of the request cannot be decoded.",
    remedy: "Correct the percent-encoding of the request.",
  },
  invalid_request: {
    status: 400,
    s3Code: "InvalidRequest",
    clientMessage: "The request is not valid.",
    ownMessage: true,
    connectCode: "InvalidArgument",
    meaning:
      "The request is not HTTP/1.1, its headers are too long, or it asks for a range and a part at once.",
    remedy: "Correct the request. The message says what is wrong.",
  },
  request_timeout: {
    status: 400,
    s3Code: "RequestTimeout",
    clientMessage: "The request did not arrive in time.",
    ownMessage: true,
    connectCode: "DeadlineExceeded",
    peer: "troubled",
    meaning: "The client did not send its request within `server.header_timeout`.",
    remedy: "Check the client and its network. For slow clients, raise the setting.",
  },
  key_too_long: {
    status: 400,
    s3Code: "KeyTooLongError",
    clientMessage: "The specified key is too long.",
    ownMessage: true,
    connectCode: "InvalidArgument",
    meaning: "A key, a prefix, a delimiter or a marker is longer than 1,024 bytes.",
    remedy: "Correct the request: S3 has no longer keys.",
  },
  ...versionMeanings,
  ...unconfiguredMeanings,
  invalid_bucket_owner: {
    status: 400,
    s3Code: "InvalidBucketOwnerAWSAccountID",
    clientMessage: "The value of the expected bucket owner parameter must be an AWS Account ID",
    ownMessage: true,
    connectCode: "InvalidArgument",
    meaning: "`x-amz-expected-bucket-owner` is not an account id of twelve digits.",
    remedy: "Correct the client.",
  },
  cors_denied: {
    status: 403,
    s3Code: "AccessForbidden",
    clientMessage: "CORSResponse: This CORS request is not allowed.",
    connectCode: "PermissionDenied",
    meaning:
      "A browser asked for a page whose origin is not in `server.cors.origins`, or for another method than GET and HEAD.",
    remedy: "Add the origin of the page, if it should read.",
  },
  invalid_object_state: {
    status: 403,
    s3Code: "InvalidObjectState",
    clientMessage: "The operation is not valid for the object's storage class",
    ownMessage: true,
    connectCode: "FailedPrecondition",
    meaning:
      "The object is archived at the origin (GLACIER, DEEP_ARCHIVE, an archive tier of INTELLIGENT_TIERING or of Azure), " +
      "which denies its bytes. Nothing of the answer is cached.",
    remedy: "Restore the object at the origin.",
  },
  ...denialMeanings,
  invalid_range: {
    status: 416,
    s3Code: "InvalidRange",
    clientMessage: "The requested range is malformed or cannot be satisfied.",
    connectCode: "OutOfRange",
    meaning: "The requested range begins after the end of the object.",
    remedy: "Request a range within the size that `Content-Range` tells.",
  },
  invalid_part_number: {
    status: 416,
    s3Code: "InvalidPartNumber",
    clientMessage: "The requested partnumber is not satisfiable",
    connectCode: "OutOfRange",
    meaning: "`partNumber` is higher than the number of parts of the object.",
    remedy: "Request a part within `x-amz-mp-parts-count`.",
  },
  precondition_failed: {
    status: 412,
    s3Code: "PreconditionFailed",
    clientMessage: "At least one of the preconditions you specified did not hold.",
    connectCode: "FailedPrecondition",
    meaning: "The object does not satisfy `If-Match` or `If-Unmodified-Since`: it is another version.",
    remedy: "Nothing: the client asks for the current version.",
  },
  not_modified: {
    status: 304,
    s3Code: "NotModified",
    clientMessage: "Not modified.",
    connectCode: "FailedPrecondition",
    meaning: "The client's copy is current, by `If-None-Match` or `If-Modified-Since`.",
    remedy: "Nothing: this is no failure.",
  },
  method_not_allowed: {
    status: 405,
    s3Code: "MethodNotAllowed",
    clientMessage: "The specified method is not allowed against this resource.",
    ownMessage: true,
    connectCode: "Unimplemented",
    meaning: "The method is neither GET nor HEAD. Orca is read-only.",
    remedy: "Send writes to the origin.",
  },
  not_implemented: {
    status: 501,
    s3Code: "NotImplemented",
    clientMessage: "The request asks for something that Orca does not implement.",
    ownMessage: true,
    connectCode: "Unimplemented",
    meaning: "The request uses a feature of S3 that Orca does not implement. The message names it.",
    remedy: "Send such requests to the origin.",
  },
  overloaded: {
    status: 503,
    s3Code: "SlowDown",
    clientMessage: "Orca is overloaded. Reduce your request rate.",
    retryAfter: true,
    connectCode: "ResourceExhausted",
    meaning: "A limit of this replica is reached. The message names the limit.",
    remedy:
      "For `server.max_requests`: add replicas, or raise it. For an origin: no permit came free within " +
      "`origin.queue_timeout`, so check whether the origin is slow, else raise `origin.target_global`. For a LIST: " +
      "raise `list_cache.max_running`. For memory: raise `memory.max_bytes`.",
  },
  shutting_down: {
    status: 503,
    s3Code: "ServiceUnavailable",
    clientMessage: "This replica is shutting down. Try again.",
    retryAfter: true,
    connectCode: "Unavailable",
    peer: "absent",
    meaning: "This replica is stopping.",
    remedy: "Nothing: the client retries. Let the load balancer follow `/readyz`.",
  },
  origin_throttled: {
    status: 503,
    s3Code: "SlowDown",
    clientMessage: "The origin asks to slow down. Reduce your request rate.",
    retryAfter: true,
    connectCode: "ResourceExhausted",
    retryable: true,
    meaning: "The origin answered 503 or 429. `Retry-After` is the origin's own, up to an hour.",
    remedy: "Lower `origin.target_global`, or ask the origin's owner for a higher rate.",
  },
  origin_unavailable: {
    status: 502,
    s3Code: "OriginUnreachable",
    clientMessage: "The origin could not be reached or did not answer.",
    connectCode: "Unavailable",
    retryable: true,
    meaning: "Network, DNS, TLS, another 5xx, a deadline or a malformed answer. The message says which.",
    remedy:
      "Check the origin and the network. A private certificate authority is set with `NODE_EXTRA_CA_CERTS`. Orca " +
      "uses no HTTP proxy for objects, whatever the environment says.",
  },
  origin_denied: {
    status: 502,
    s3Code: "OriginUnauthorized",
    clientMessage: "The origin refused Orca's credentials.",
    connectCode: "PermissionDenied",
    meaning:
      "The origin answered 401 or 403. S3 also answers 403 for an absent key to a " +
      "client that may not list the bucket.",
    remedy: "Correct Orca's credentials or rights at the origin. On S3, grant `s3:ListBucket`.",
  },
  origin_no_credentials: {
    status: 502,
    s3Code: "OriginUnauthorized",
    clientMessage: "Orca has no credentials for the origin.",
    connectCode: "PermissionDenied",
    meaning: "No credentials for the origin are configured, and the SDK's own chain found none.",
    remedy:
      "Set the credentials. `/readyz` and `orca config check --connect FILE` name the variables and the chain that " +
      "was tried.",
  },
  origin_etag_changed: {
    status: 502,
    s3Code: "OriginETagChanged",
    clientMessage: "The object changed at the origin while it was being read. Try again.",
    connectCode: "Aborted",
    meaning: "The object changed twice while one request was answered.",
    remedy:
      "Nothing: the client retries. If it lasts, the origin gives one ETag for HEAD and another for GET: report it " +
      "to the origin's owner.",
  },
  origin_missing_etag: {
    status: 502,
    s3Code: "OriginMissingETag",
    clientMessage: "The origin sent no ETag for the object, so it cannot be served.",
    connectCode: "FailedPrecondition",
    lasting: true,
    meaning:
      "The origin gives no strong ETag for this object, so Orca cannot tell its versions apart. The answer is cached " +
      "for `metadata.negative_ttl`.",
    remedy: "Let the origin send strong ETags, or read the object from the origin.",
  },
  origin_unsupported: {
    status: 502,
    s3Code: "OriginUnsupported",
    clientMessage: "The origin holds an object of a kind that Orca does not serve.",
    connectCode: "FailedPrecondition",
    lasting: true,
    meaning:
      "A page or append blob, a range that the origin ignored, a chunked body, bytes with another Content-Encoding " +
      "than the metadata says, or another 3xx or 4xx. For metadata the answer is cached for `metadata.negative_ttl`.",
    remedy:
      "Check region and endpoint of the origin first: the message names the region that the bucket is in.",
  },
  peer_unavailable: {
    ...internalError,
    connectCode: "Unavailable",
    retryable: true,
    peer: "absent",
    meaning:
      "Another replica cannot be reached. Orca asks the next replica or the origin, so clients rarely see it.",
    remedy: "Check that replica and the network between replicas. The message names the address.",
  },
  not_coordinator: {
    ...internalError,
    connectCode: "FailedPrecondition",
    retryable: true,
    meaning:
      "By the view of the asked replica, another replica is the coordinator. The caller asks that one.",
    remedy: "Nothing: the views of the members agree within seconds. If it lasts, run `orca status`.",
  },
  not_held: {
    ...internalError,
    connectCode: "NotFound",
    peer: "troubled",
    meaning: "The asked replica does not hold the chunk. The caller asks another replica or the origin.",
    remedy: "Nothing: this is a miss between replicas.",
  },
  store_unavailable: {
    ...internalError,
    connectCode: "Unavailable",
    meaning:
      "The cachestore cannot be reached or does not answer. No client sees it: Orca goes on without the store.",
    remedy: "Check the store and the network. The message says what failed.",
  },
  store_denied: {
    ...internalError,
    connectCode: "PermissionDenied",
    meaning: "The cachestore denies Orca's credentials or rights. No client sees it.",
    remedy: "Correct Orca's credentials, or its rights on the bucket or directory.",
  },
  config_invalid: {
    ...internalError,
    connectCode: "FailedPrecondition",
    meaning:
      "A setting, a certificate or a disk cannot be used, or two replicas have different values for a setting that " +
      "must be equal.",
    remedy: "Correct the setting. The message names it and the reason.",
  },
  internal: {
    ...internalError,
    connectCode: "Internal",
    peer: "troubled",
    meaning: "A bug in Orca.",
    remedy: "Report the log line.",
  },
} as const satisfies Readonly<Record<string, ErrorMeaning>>;

export const errorTable: Readonly<Record<keyof typeof meanings, ErrorMeaning>> = meanings;
