/**
 * `/inspect?bucket=&key=` of the ops listener: where the chunks of an object lie in the cluster, in this replica's view.
 * It looks the object up as a HEAD of a client would, so an object that is not known costs the origin one HEAD. The field
 * names are a format: they stay, and new ones may come. Chunks are written as ranges, `0-63,70`.
 *
 *     {
 *       "bucket": "models", "key": "llama.bin",          the names that clients use
 *       "origin": "weights", "size": 67108864, "etag": "9a03…", "chunk_size": 8388608, "chunks": 8,
 *       "replicas": [                                     the one that answers first
 *         { "replica_id": "orca-0", "self": true, "coordinates": "0,3-5",
 *           "memory": "0-7", "disk": "0,3-5", "flight": "", "cachestore": "",
 *           "partial": "7", "reason": null },           of these chunks, memory and disk hold some blocks, neither all
 *         { "replica_id": "orca-2", "self": false, "coordinates": "1-2", "memory": null, …,
 *           "reason": "Cannot ask \"orca-2\" …" }         alive, but did not answer: its chunks are unknown
 *       ]
 *     }
 */
import { OrcaError } from "../../base/orca-error.ts";
import { ChunkRanges } from "../../chunk/chunk-ranges.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import { type ChunkTiers, type TierName, tierBits } from "../../fill/inspection/cache-peers.ts";
import type { Holdings, InspectedObject, ObjectInspection } from "../../fill/inspection/object-inspection.ts";
import type { Buckets } from "../../object/buckets.ts";
import { jsonPage, type OpsEndpoint } from "../ops-endpoint.ts";
import { allowOnly, objectNamed } from "./cache-endpoints.ts";

export interface InspectEndpointOptions {
  readonly buckets: Buckets;
  readonly inspection: Pick<ObjectInspection, "inspect">;
}

export interface ReplicaHoldings {
  readonly replica_id: string;
  readonly self: boolean;
  readonly coordinates: string;
  readonly memory: string | null;
  readonly disk: string | null;
  readonly flight: string | null;
  readonly cachestore: string | null;
  /** A replica of an earlier version does not send it. */
  readonly partial?: string | null;
  readonly reason: string | null;
}

/** The document above. */
export interface InspectDocument {
  readonly bucket: string;
  readonly key: string;
  readonly origin: string;
  readonly size: number;
  readonly etag: string;
  readonly chunk_size: number;
  readonly chunks: number;
  readonly replicas: readonly ReplicaHoldings[];
}

export function inspectEndpoint({ buckets, inspection }: InspectEndpointOptions): OpsEndpoint {
  return {
    method: "GET",
    path: "/inspect",
    help: '?bucket=&key=: where the chunks of an object lie, as JSON; "orca inspect" prints it',
    answer: async ({ query }) => {
      allowOnly(query, ["bucket", "key"]);
      const { bucketName, key, bucket } = objectNamed(query, buckets);
      const found = await bucket.directory.lookup(bucket.locate(key));
      if (found.kind === "error") throw found.error;
      const { version } = found.record;
      const inspected = await inspection.inspect(version);
      return jsonPage(200, inspectDocument(bucketName, key, version, inspected));
    },
  };
}

function inspectDocument(
  bucket: string,
  key: string,
  version: ObjectVersion,
  { replicas, coordinators }: InspectedObject,
): InspectDocument {
  return {
    bucket,
    key,
    origin: version.originId,
    size: version.sizeBytes,
    etag: version.etag,
    chunk_size: version.chunkSizeBytes,
    chunks: version.chunkCount,
    replicas: replicas.map((holdings, position) => replicaHoldings(holdings, position === 0, coordinators)),
  };
}

function replicaHoldings(
  { replicaId, tiers }: Holdings,
  self: boolean,
  coordinators: readonly string[],
): ReplicaHoldings {
  const isKnown = !(tiers instanceof OrcaError);
  const held = (tier: TierName): string | null => (isKnown ? heldIn(tiers, tierBits[tier]) : null);
  return {
    replica_id: replicaId,
    self,
    coordinates: rangesOf(coordinators.length, (index) => coordinators[index] === replicaId),
    memory: held("memory"),
    disk: held("disk"),
    flight: held("flight"),
    cachestore: held("cachestore"),
    partial: held("partial"),
    reason: isKnown ? null : tiers.message,
  };
}

function heldIn(tiers: ChunkTiers, bit: number): string {
  return rangesOf(tiers.length, (index) => ((tiers[index] ?? 0) & bit) !== 0);
}

function rangesOf(chunks: number, isIn: (index: number) => boolean): string {
  const ranges = new ChunkRanges();
  for (let index = 0; index < chunks; index += 1) if (isIn(index)) ranges.add(index);
  return ranges.toString();
}
