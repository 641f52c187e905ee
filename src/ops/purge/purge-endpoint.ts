/**
 * `POST /cache/purge?prefix=BUCKET/KEY-PREFIX` of the ops listener: all replicas forget objects, in the names that clients
 * use. It answers with a line of JSON for each replica, and a last one for all (cluster-purge.ts has the fields). A caller
 * that disconnects ends it.
 *
 *     &match=key          the object whose whole key that is, and not all that begin with it
 *     &stale=true         metadata only: chunks stay, and are used again if the origin still has their version
 *     &cachestore=true    also chunks in the cachestore
 */
import { OrcaError } from "../../base/orca-error.ts";
import type { Buckets } from "../../object/buckets.ts";
import { allowOnly, bucketNamed } from "../endpoints/cache-endpoints.ts";
import { flagOf, splitPlace } from "../endpoints/place-query.ts";
import type { OpsEndpoint } from "../ops-endpoint.ts";
import type { ClusterPurge, PurgePlan } from "./cluster-purge.ts";

export interface PurgeEndpointOptions {
  readonly purge: Pick<ClusterPurge, "start">;
  readonly buckets: Buckets;
}

export function purgeEndpoint({ purge, buckets }: PurgeEndpointOptions): OpsEndpoint {
  return {
    method: "POST",
    path: "/cache/purge",
    action: "purge",
    help: 'makes all replicas forget ?prefix=BUCKET/KEY-PREFIX; "orca purge" does it',
    answer: async ({ query, signal }) => ({ documents: purge.start(planOf(query, buckets), signal) }),
  };
}

/** `POST /cache/unpin?prefix=BUCKET/KEY-PREFIX[&match=key]`: all replicas end the pins of these objects; answers as a purge. */
export function unpinEndpoint({ purge, buckets }: PurgeEndpointOptions): OpsEndpoint {
  return {
    method: "POST",
    path: "/cache/unpin",
    action: "unpin",
    help: 'ends the pins of ?prefix=BUCKET/KEY-PREFIX on all replicas; "orca unpin" does it',
    answer: async ({ query, signal }) => {
      allowOnly(query, ["prefix", "match"]);
      const plan: PurgePlan = { ...placeOf(query, buckets), what: "pins", cachestore: false };
      return { documents: purge.start(plan, signal) };
    },
  };
}

/** @throws OrcaError `invalid_argument`, `no_such_bucket`. */
function planOf(query: URLSearchParams, buckets: Buckets): PurgePlan {
  allowOnly(query, ["prefix", "match", "stale", "cachestore"]);
  const isMetadataOnly = flagOf(query, "stale", "Cannot purge");
  const cachestore = flagOf(query, "cachestore", "Cannot purge");
  if (isMetadataOnly && cachestore) throw invalid("stale keeps all chunks, so it cannot go with cachestore");
  return { ...placeOf(query, buckets), what: isMetadataOnly ? "metadata" : "all", cachestore };
}

function placeOf(
  query: URLSearchParams,
  buckets: Buckets,
): Pick<PurgePlan, "bucket" | "keyPrefix" | "match"> {
  const { bucket: name, key: keyPrefix } = splitPlace(query.get("prefix") ?? "");
  if (name === "") throw invalid("prefix names no bucket, expected BUCKET/KEY-PREFIX");
  const match = query.get("match") ?? "prefix";
  if (match !== "key" && match !== "prefix") throw invalid(`match is "${match}", expected key or prefix`);
  const bucket = bucketNamed(name, buckets);
  if (match === "key" && keyPrefix === "") throw invalid("match is key, and prefix names no key");
  const fault = keyPrefix === "" ? undefined : bucket.faultOf(keyPrefix);
  if (fault) throw fault;
  return { bucket, keyPrefix, match };
}

function invalid(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "client", `Cannot purge: ${reason}`);
}
