/**
 * `GET /cache/pins` of the ops listener: what this replica pins on its disk, by object, the largest first. `POST
 * /cache/unpin` ends pins on all replicas (purge-endpoint.ts).
 */
import type { Buckets } from "../../object/buckets.ts";
import type { DiskTier } from "../../store/disk/disk-tier.ts";
import type { PinnedObject } from "../../store/disk/pins/disk-pins.ts";
import { allowOnly } from "../endpoints/cache-endpoints.ts";
import { jsonPage, type OpsEndpoint } from "../ops-endpoint.ts";

export interface PinsEndpointOptions {
  readonly replicaId: string;
  readonly disk: Pick<DiskTier, "pins"> | undefined;
  readonly buckets: Buckets;
}

/** Fields stay, new ones may come. Without a disk, all counts are 0. */
export interface PinsDocument {
  readonly replica_id: string;
  readonly chunks: number;
  readonly max_chunks: number;
  /** Of chunk files, footers included. */
  readonly bytes: number;
  readonly max_bytes: number;
  readonly objects: readonly PinnedDocument[];
  /** Objects that have pins and are not in the list. */
  readonly objects_left_off: number;
}

export interface PinnedDocument {
  /** In the names that clients use. */
  readonly url: string;
  readonly chunks: number;
  readonly bytes: number;
  /** When the first of its pins ends, in ISO 8601. */
  readonly until: string;
}

const objectsMax = 1000;

export function pinsEndpoint({ replicaId, disk, buckets }: PinsEndpointOptions): OpsEndpoint {
  return {
    method: "GET",
    path: "/cache/pins",
    help: "what this replica keeps from being evicted from its disk, as JSON",
    answer: async ({ query }) => {
      allowOnly(query, []);
      const pins = disk?.pins;
      const objects = (pins?.objects() ?? []).toSorted((left, right) => right.bytes - left.bytes);
      return jsonPage(200, {
        replica_id: replicaId,
        chunks: pins?.count ?? 0,
        max_chunks: pins?.countMax ?? 0,
        bytes: pins?.bytes ?? 0,
        max_bytes: pins?.bytesMax ?? 0,
        objects: objects.slice(0, objectsMax).map((object) => pinnedDocument(object, buckets)),
        objects_left_off: Math.max(0, objects.length - objectsMax),
      } satisfies PinsDocument);
    },
  };
}

function pinnedDocument(object: PinnedObject, buckets: Buckets): PinnedDocument {
  const { chunks, bytes, untilMs } = object;
  return { url: urlOf(object, buckets), chunks, bytes, until: new Date(untilMs).toISOString() };
}

function urlOf({ originId, bucket, objectKey }: PinnedObject, buckets: Buckets): string {
  for (const [name, configured] of buckets.configured) {
    const place = configured.locate("");
    const isThere = configured.directory.originId === originId && place.bucket === bucket;
    if (isThere && objectKey.startsWith(place.key))
      return `s3://${name}/${objectKey.slice(place.key.length)}`;
  }
  return `s3://${bucket}/${objectKey}`;
}
