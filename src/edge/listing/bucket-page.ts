/**
 * A page of ListBuckets: `prefix`, `max-buckets` and `continuation-token`. Without any of them the list is whole, as at AWS.
 * The token carries the name after which the next page begins, and belongs to its prefix, so that Orca keeps no state and
 * any replica can continue.
 */
import type { OrcaError } from "../../base/orca-error.ts";
import type { ListedBucket } from "../../origin/origin.ts";
import { decodeContinuationToken, encodeContinuationToken } from "../continuation-token.ts";
import { ExplainedError } from "../errors/explained-error.ts";
import type { Query } from "../query.ts";

export interface BucketPageRequest {
  readonly prefix: string;
  /** 1 to {@link bucketsMax}. */
  readonly bucketsMax: number;
  /** List only names after this one, or empty. */
  readonly after: string;
}

export interface BucketPage {
  readonly buckets: readonly ListedBucket[];
  /** Of the next page; empty on the last one. */
  readonly nextToken: string;
}

/** Also where a request has another of the parameters, and no `max-buckets`. */
const bucketsMax = 10_000;
const int32Max = 2_147_483_647;

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html. Undefined for the whole list. */
export function parseBucketPage(query: Query): BucketPageRequest | OrcaError | undefined {
  const maxText = query.get("max-buckets");
  const token = query.get("continuation-token");
  const prefix = query.get("prefix");
  if (maxText === undefined && token === undefined && prefix === undefined) return undefined;
  const max = parseMax(maxText ?? "");
  if (typeof max !== "number") return max;
  const scope = scopeOf(prefix ?? "");
  // AWS takes an empty token for none here, and not in ListObjectsV2.
  const after = token === undefined || token === "" ? "" : decodeContinuationToken(token, scope);
  if (after === undefined)
    return invalid("The continuation token provided is incorrect", "continuation-token", token ?? "");
  return { prefix: prefix ?? "", bucketsMax: max, after };
}

/** `sorted` by name. */
export function bucketPageOf(sorted: readonly ListedBucket[], request: BucketPageRequest): BucketPage {
  const { prefix, after } = request;
  const rest = sorted.filter(({ name }) => name.startsWith(prefix) && name > after);
  const buckets = rest.slice(0, request.bucketsMax);
  const last = buckets.length < rest.length ? (buckets.at(-1)?.name ?? "") : "";
  return { buckets, nextToken: last === "" ? "" : encodeContinuationToken(last, scopeOf(prefix)) };
}

/** No list of objects has it: a bucket has a name. */
function scopeOf(prefix: string) {
  return { bucket: "", prefix, delimiter: "" };
}

/** AWS takes an empty number for none. */
function parseMax(text: string): number | OrcaError {
  if (text === "") return bucketsMax;
  const value = /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= -int32Max - 1 && value <= int32Max))
    return invalid("Provided max-buckets not an integer or within integer range", "max-buckets", text);
  if (value >= 1 && value <= bucketsMax) return value;
  const reason = `Argument max-buckets must be an integer between 1 and ${bucketsMax}`;
  return invalid(reason, "max-buckets", text);
}

function invalid(reason: string, name: string, value: string): OrcaError {
  return new ExplainedError("invalid_argument", reason, [
    ["ArgumentName", name],
    ["ArgumentValue", value],
  ]);
}
