/**
 * `GET /cache/pins` of the ops listener: what this replica pins on its disk, by object, the largest first. With
 * `?cluster=true`, what all replicas pin (cluster-pins.ts has the fields). `POST /cache/unpin` ends pins on all replicas
 * (purge-endpoint.ts).
 */
import type { Buckets } from "../../object/buckets.ts";
import type { PinAnswers } from "../../store/disk/pins/replica-pins.ts";
import { allowOnly } from "../endpoints/cache-endpoints.ts";
import { flagOf } from "../endpoints/place-query.ts";
import { jsonPage, type OpsEndpoint } from "../ops-endpoint.ts";
import type { ClusterPins } from "./cluster-pins.ts";
import { type PinCounts, type PinnedDocument, pinCounts, pinsShownMax, shownPins } from "./pin-documents.ts";

export interface PinsEndpointOptions {
  readonly replicaId: string;
  readonly pins: PinAnswers;
  readonly cluster: Pick<ClusterPins, "read">;
  readonly buckets: Buckets;
}

/** Fields stay, new ones may come. Without a disk, all counts are 0. */
export interface PinsDocument extends PinCounts {
  readonly replica_id: string;
  readonly objects: readonly PinnedDocument[];
}

export function pinsEndpoint({ replicaId, pins, cluster, buckets }: PinsEndpointOptions): OpsEndpoint {
  return {
    method: "GET",
    path: "/cache/pins",
    help: "what this replica, or with ?cluster=true all, keep from being evicted from disk, as JSON",
    answer: async ({ query }) => {
      allowOnly(query, ["cluster"]);
      if (flagOf(query, "cluster", "Cannot show pins")) return jsonPage(200, await cluster.read());
      const found = pins(pinsShownMax);
      const { objects, leftOff } = shownPins(found.objects, buckets);
      const objectsLeftOff = found.objectsLeftOff + leftOff;
      return jsonPage(200, {
        replica_id: replicaId,
        ...pinCounts({ ...found, objectsLeftOff }),
        objects,
      } satisfies PinsDocument);
    },
  };
}
