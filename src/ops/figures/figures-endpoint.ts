/**
 * `/figures` of the ops listener: what the whole cluster has served, from where, and what it cost the origins, for the
 * console and `orca top`. The numbers are those that `/metrics` of each replica shows. The field names are a format: they
 * stay, and new ones may come. Fields of replicas that are not here are left out where a replica has no such part; see
 * proto/orca/v1/figures.proto for what each means.
 *
 *     {
 *       "replica_id": "orca-0", "at_ms": 1796000000000,      the replica that answers
 *       "members": [ { "replica_id": "orca-0", "address": "10.0.0.7:8444", "zone": "eu-1a", "state": "alive",
 *                      "self": true, "share": 0.5 }, … ],      in its view; share: of the names, to coordinate
 *       "replicas": [ { "replica_id": "orca-0", "version": "0.1.0", "phase": "serving", "started_ms": …,
 *                       "served_bytes": 3000, "origin_bytes": 1000, "requests": 30, "bad_answers": 0,
 *                       "sources": { "memory": { "bytes": 2000, "requests": 20 }, … },
 *                       "first_byte": [ { "bound_ms": 0.1, "count": 12 }, …, { "count": 0 } ],
 *                       "tiers": [ { "tier": "memory", "chunks": 3, "used_bytes": 3000, "max_bytes": 9000,
 *                                    "evictions": 0 }, … ],
 *                       "fills": { "flights": 1, "relays": 0 },
 *                       "origins": [ { "origin": "weights", "served_bytes": …, "origin_bytes": …, … } ],
 *                       "replication": { … }, "scrub": { … }, "cachestore": { … },
 *                       "notices": { "disk": "…" } }, … ],     this replica first
 *       "unreachable": [ { "replica_id": "orca-2", "reason": "Cannot ask \"orca-2\" …" } ],
 *       "totals": { "served_bytes": …, "origin_bytes": …, "saved_bytes": …, "hit_ratio_bytes": 0.9,
 *                   "requests": …, "hit_ratio_requests": 0.8, "bad_answers": 0, "sources": { … },
 *                   "first_byte_ms": { "p50": 0.25, "p99": 100 },
 *                   "cost": { "fetched": 0.2, "saved": 1.8 } },
 *       "errors": [ { "place": "weights", "code": "origin_unavailable", "count": 2, "last_hour": 1, "last_ms": …,
 *                     "meaning": "…", "remedy": "…", "status": 503 } ],     place: an origin, or "clients"
 *       "hot_objects": [ { "bucket": "models", "key": "llama.bin", "requests": 12, "overcount": 0, "bytes": … } ],
 *       "history": { "start_ms": …, "slot_ms": 5000, "served_bytes": […], "origin_bytes": […], "requests": […] }
 *     }
 */
import { jsonPage, type OpsEndpoint } from "../ops-endpoint.ts";
import type { ClusterFigures } from "./cluster-figures.ts";

export function figuresEndpoint(figures: Pick<ClusterFigures, "read">): OpsEndpoint {
  return {
    method: "GET",
    path: "/figures",
    help: "what the cluster served, from where, with an hour of history, as JSON; /console shows it",
    answer: async () => jsonPage(200, await figures.read()),
  };
}
