/**
 * `/explain?bucket=&key=&range=` of the ops listener: which way a read would go now, and why. It asks the other replicas,
 * never the origin, and changes nothing: an object of which nothing is known stays unknown. The field names are a format:
 * they stay, and new ones may come.
 *
 *     {
 *       "bucket": "models", "key": "llama.bin", "origin": "weights", "replica_id": "orca-0",
 *       "first": 0, "last": 67108863,                  null without an end: nothing is known of the object
 *       "size": 67108864, "etag": "9a03…",             null where no version is known
 *       "metadata": { "state": "fresh",                fresh, expired or unknown, on this replica
 *         "remaining_ms": 41000,                       null for an immutable object
 *         "error": null,                               no_such_key and other lasting errors
 *         "asking": false, "coordinator": "orca-1", "coordinator_state": "fresh",     null: it did not answer
 *         "origin_request": "none",                    none, HEAD, GET (with the first bytes), or unknown
 *         "why": "…" },
 *       "ways": [ { "first": 0, "last": 8388607, "chunks": "0", "from": "disk", "at": "orca-1",
 *         "coordinator": "orca-1", "copies": ["orca-1"], "why": "…" } ],
 *       "origin_now": [ { "replica_id": "orca-0", "in_flight": 3, "in_flight_max": 21, "waiting": 0,
 *         "throttled_to": null } ],                    requests that may be in flight while the origin throttles
 *       "silent": [ "Cannot ask \"orca-2\" …" ]        alive, but did not answer: what they hold is unknown
 *     }
 */
import { assert } from "../../../base/assert.ts";
import { OrcaError } from "../../../base/orca-error.ts";
import type { Way, WayFrom } from "../../../fill/inspection/block-ways.ts";
import type { Buckets } from "../../../object/buckets.ts";
import { Directory } from "../../../object/directory.ts";
import type { MetadataBelief } from "../../../object/explaining/metadata-belief.ts";
import { jsonPage, type OpsEndpoint } from "../../ops-endpoint.ts";
import { allowOnly, objectNamed } from "../cache-endpoints.ts";
import type { AskedRange, Explained, ObjectExplanation } from "./object-explanation.ts";

export interface ExplainEndpointOptions {
  readonly replicaId: string;
  readonly buckets: Buckets;
  readonly explanation: Pick<ObjectExplanation, "explain">;
}

export interface WayDocument {
  readonly first: number;
  readonly last: number;
  readonly chunks: string;
  readonly from: WayFrom;
  readonly at: string;
  readonly coordinator: string;
  readonly copies: readonly string[];
  readonly why: string;
}

export interface MetadataDocument {
  readonly state: MetadataBelief["state"];
  readonly remaining_ms: number | null;
  readonly error: string | null;
  readonly asking: boolean;
  readonly coordinator: string;
  readonly coordinator_state: MetadataBelief["state"] | null;
  readonly origin_request: "none" | "HEAD" | "GET" | "unknown";
  readonly why: string;
}

export interface OriginNowDocument {
  readonly replica_id: string;
  readonly in_flight: number;
  readonly in_flight_max: number;
  readonly waiting: number;
  readonly throttled_to: number | null;
}

/** The document above. */
export interface ExplainDocument {
  readonly bucket: string;
  readonly key: string;
  readonly origin: string;
  readonly replica_id: string;
  readonly first: number;
  readonly last: number | null;
  readonly size: number | null;
  readonly etag: string | null;
  readonly metadata: MetadataDocument;
  readonly ways: readonly WayDocument[];
  readonly origin_now: readonly OriginNowDocument[];
  readonly silent: readonly string[];
}

export function explainEndpoint({ replicaId, buckets, explanation }: ExplainEndpointOptions): OpsEndpoint {
  return {
    method: "GET",
    path: "/explain",
    help: '?bucket=&key=&range=A-B: which way a read would go now and why, as JSON; "orca explain" prints it',
    answer: async ({ query }) => {
      allowOnly(query, ["bucket", "key", "range"]);
      const { bucketName, key, bucket } = objectNamed(query, buckets);
      const asked = rangeOf(query.get("range"));
      const { directory } = bucket;
      assert(directory instanceof Directory, "the ops listener is in the thread of the directories");
      const explained = await explanation.explain(directory, bucket.locate(key), asked);
      const names = { bucket: bucketName, key, origin: directory.originId, replica_id: replicaId };
      return jsonPage(200, { ...names, ...documentOf(explained, replicaId) } satisfies ExplainDocument);
    },
  };
}

/** `A-B`, both included as in a Range header, or `A-`. @throws OrcaError `invalid_argument`. */
function rangeOf(text: string | null): AskedRange {
  if (text === null) return { start: 0, end: Infinity };
  const [, first = "", last = ""] = /^(\d{1,15})-(\d{0,15})$/.exec(text) ?? [];
  const end = last === "" ? Infinity : Number(last) + 1;
  if (first !== "" && Number(first) < end) return { start: Number(first), end };
  const expected = "expected the first and the last byte, as 0-1048575, or only the first, as 1048576-";
  throw new OrcaError("invalid_argument", "client", `Cannot explain the range "${text}": ${expected}`);
}

function documentOf(explained: Explained, replicaId: string) {
  const { range, version, ways, origins, silent } = explained;
  return {
    first: range.start,
    last: range.end === Infinity ? null : Math.max(range.start, range.end) - 1,
    size: version?.sizeBytes ?? null,
    etag: version?.etag ?? null,
    metadata: metadataOf(explained, replicaId),
    ways: ways.map(wayOf),
    origin_now: origins.map(({ replicaId: id, inFlight, inFlightMax, waiting, throttledTo }) => ({
      replica_id: id,
      in_flight: inFlight,
      in_flight_max: inFlightMax,
      waiting,
      throttled_to: throttledTo ?? null,
    })),
    silent: silent.map((error) => error.message),
  };
}

function wayOf({ firstChunk, lastChunk, ...way }: Way): WayDocument {
  const chunks = firstChunk === lastChunk ? String(firstChunk) : `${firstChunk}-${lastChunk}`;
  const { first, last, from, at, coordinator, copies, why } = way;
  return { first, last, chunks, from, at, coordinator, copies, why };
}

function metadataOf({ metadata, authority, coordinator }: Explained, replicaId: string): MetadataDocument {
  const { state, remainingMs, error, isAsking } = metadata;
  const common = {
    state,
    remaining_ms: remainingMs === Infinity ? null : Math.floor(remainingMs),
    error: error ?? null,
    asking: isAsking,
    coordinator,
    coordinator_state: authority?.state ?? null,
  };
  const told = (origin_request: MetadataDocument["origin_request"], why: string): MetadataDocument => ({
    ...common,
    origin_request,
    why,
  });
  if (state === "fresh") {
    const what = error === undefined ? "the metadata" : `the answer "${error}"`;
    return told("none", `this replica knows ${what}${lasting(remainingMs)}`);
  }
  const own =
    state === "expired"
      ? `what this replica knows has expired, and is used only while the origin fails${lasting(remainingMs)}`
      : "this replica does not know the object's metadata";
  const asked = isAsking ? `${own}; a question is in flight, which a client joins` : own;
  const isOwn = coordinator === replicaId;
  if (!authority)
    return told("unknown", `${asked}; ${coordinator} coordinates the object, and did not answer`);
  const who = isOwn ? "this replica" : coordinator;
  if (!isOwn && authority.state === "fresh")
    return told(
      "none",
      `${asked}; ${who} coordinates the object, and knows it${lasting(authority.remainingMs)}`,
    );
  if (authority.isAsking) return told("none", `${asked}; a question of ${who} to the origin is in flight`);
  const request =
    authority.request === "GET" ? "a GET that brings metadata and the first bytes together" : "a HEAD";
  const role = isOwn ? "it asks the origin itself" : `${who} coordinates the object, and asks the origin`;
  return told(authority.request, `${asked}; ${role}: ${request}`);
}

function lasting(remainingMs: number): string {
  return remainingMs === Infinity ? ", for ever" : `, for another ${(remainingMs / 1000).toFixed(1)} s`;
}
