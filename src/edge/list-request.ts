/**
 * Parses the query of ListObjects, ListObjectsV2 and ListObjectVersions into a request to an origin. They become one shape:
 * V1 is V2 with a key in place of the token, and the rest of Orca need not know the difference.
 */
import { OrcaError } from "../base/orca-error.ts";
import { isVersionId } from "../chunk/version-id.ts";
import { endOf } from "../origin/key-order.ts";
import { continuationTokenBytesMax } from "../origin/origin.ts";
import { decodeContinuationToken } from "./continuation-token.ts";
import type { Query } from "./query.ts";
import { quoted } from "./quoted.ts";

export interface ListObjectsRequest {
  readonly kind: "list-objects-v1" | "list-objects-v2" | "list-object-versions";
  /** As the client names it. */
  readonly bucket: string;
  readonly prefix: string;
  readonly delimiter: string;
  /** 0 to 1000. With 0 the answer is empty and no origin is asked. */
  readonly maxKeys: number;
  /** Whether keys are percent-encoded in the answer. */
  readonly encodesKeys: boolean;
  /** `start-after`, in V1 `marker`, in a listing of versions `key-marker`, as the client sent it; or empty. */
  readonly after: string;
  /** `continuation-token` as the client sent it; or empty. */
  readonly continuationToken: string;
  /** For the origin: list only keys after this one, or empty. */
  readonly startAfter: string;
  /** `fetch-owner` of V2. V1 always tells the owner. */
  readonly fetchesOwner: boolean;
  /** For the origin: its own token out of {@link continuationToken}, or empty. */
  readonly originToken: string;
  /** Of a listing of versions. @see ListRequest.versionIdMarker */
  readonly versionIdMarker: string | undefined;
}

const maxKeysMax = 1000;
const textSizeBytesMax = 1024;

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html; unknown parameters are ignored. */
export function parseListRequest(
  kind: ListObjectsRequest["kind"],
  bucket: string,
  query: Query,
): ListObjectsRequest | OrcaError {
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const afterName = afterNames[kind];
  const after = query.get(afterName) ?? "";
  for (const [name, value] of [
    ["prefix", prefix],
    ["delimiter", delimiter],
    [afterName, after],
  ] as const) {
    if (Buffer.byteLength(value) > textSizeBytesMax) {
      return new OrcaError(
        "key_too_long",
        "client",
        `Cannot list objects: ${name} ${quoted(value)} is longer than ${textSizeBytesMax} bytes`,
      );
    }
  }

  const maxKeys = parseMaxKeys(query.get("max-keys") ?? "");
  if (maxKeys === undefined) {
    return invalid("max-keys", query, "is not a whole number from 0 to 2147483647");
  }
  const encodingType = query.get("encoding-type") ?? "";
  if (encodingType !== "" && encodingType !== "url") return invalid("encoding-type", query, 'is not "url"');

  const token = kind === "list-objects-v2" ? query.get("continuation-token") : undefined;
  const originToken =
    token === undefined ? "" : decodeContinuationToken(token, { bucket, prefix, delimiter });
  // An empty token is one as well: AWS answers 400, and RGW takes it for none.
  if (originToken === undefined) {
    const reason = "The continuation token provided is incorrect";
    return new OrcaError("invalid_argument", "client", reason);
  }
  if (Buffer.byteLength(originToken) > continuationTokenBytesMax)
    return invalid("continuation-token", query, "is too long");
  const versionIdMarker =
    kind === "list-object-versions" ? (query.get("version-id-marker") ?? "") : undefined;
  const fault = faultOfVersionIdMarker(query);
  if (versionIdMarker !== undefined && fault !== undefined) return fault;

  return {
    kind,
    bucket,
    prefix,
    delimiter,
    maxKeys,
    encodesKeys: encodingType === "url",
    after,
    continuationToken: token ?? "",
    startAfter: kind === "list-objects-v1" ? afterMarker(after, prefix, delimiter) : after,
    fetchesOwner: kind !== "list-objects-v2" || query.get("fetch-owner") === "true",
    originToken,
    versionIdMarker,
  };
}

const afterNames = {
  "list-objects-v1": "marker",
  "list-objects-v2": "start-after",
  "list-object-versions": "key-marker",
} as const;

function faultOfVersionIdMarker(query: Query): OrcaError | undefined {
  const marker = query.get("version-id-marker");
  if (marker === undefined) return undefined;
  const reason =
    marker === ""
      ? "A version-id marker cannot be empty."
      : (query.get("key-marker") ?? "") === ""
        ? "A version-id marker cannot be specified without a key marker."
        : isVersionId(marker)
          ? undefined
          : "Invalid version id specified";
  return reason === undefined ? undefined : new OrcaError("invalid_argument", "client", reason);
}

/** S3 answers more than 1000 with 1000, and accepts any signed 32-bit integer. */
function parseMaxKeys(text: string): number | undefined {
  if (text === "") return maxKeysMax;
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const maxKeys = Number(text);
  return maxKeys > 2_147_483_647 ? undefined : Math.min(maxKeys, maxKeysMax);
}

/**
 * A V1 marker may be the common prefix on which the previous page ended, or a key inside one. AWS goes on after the common
 * prefix. With a plain start-after the origin would roll up the keys that follow and list the same prefix again.
 */
function afterMarker(marker: string, prefix: string, delimiter: string): string {
  if (delimiter === "" || !marker.startsWith(prefix)) return marker;
  const firstDelimiter = marker.indexOf(delimiter, prefix.length);
  return firstDelimiter < 0 ? marker : endOf(marker.slice(0, firstDelimiter + delimiter.length));
}

function invalid(name: string, query: Query, reason: string): OrcaError {
  const value = quoted(query.get(name) ?? "");
  return new OrcaError("invalid_argument", "client", `Cannot list objects: ${name} ${value} ${reason}`);
}
