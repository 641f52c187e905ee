/**
 * The debug events of a request, one for each step of its way. docs/operations/debugging-a-fill.md shows this table, and a
 * test compares the two. An event has the id of its request, the object or chunk that it is about, and these fields.
 */

/**
 * What an event is about. `object`: id of the origin, bucket, key, and versionId where the client asks for a version. `chunk`: the same, index of the chunk, and the first
 * characters of the ETag. `either`: a chunk, or the object whose metadata is asked for. Bucket and key are the origin's own. `client`: bucket and key as the client named them.
 */
export type TraceSubject = "object" | "chunk" | "either" | "client";

export interface TraceStepEntry {
  readonly message: string;
  readonly about: TraceSubject;
  readonly fields: readonly string[];
}

export const traceSteps = {
  request: { message: "A client asks for an object", about: "object", fields: ["operation", "range"] },
  peer_request: {
    message: "A peer asks this replica",
    about: "either",
    fields: ["question", "offset", "lengthBytes", "cachedOnly", "result"],
  },
  metadata_hit: { message: "The metadata is cached", about: "object", fields: ["result", "etag"] },
  metadata_join: {
    message: "Joined a question about the metadata that another request asked",
    about: "object",
    fields: ["leaderId"],
  },
  metadata_ask: { message: "Asking for the metadata", about: "object", fields: ["from", "reason"] },
  plan: {
    message: "Planned a read",
    about: "chunk",
    fields: ["start", "end", "lastIndex", "chunkSizeBytes"],
  },
  catalog: { message: "Looked into the catalog of the cachestore", about: "chunk", fields: ["presence"] },
  coordinator: {
    message: "Found the coordinator of a chunk",
    about: "chunk",
    fields: ["replica", "rank", "isSelf"],
  },
  flight_join: {
    message: "Joined a flight that another request started",
    about: "chunk",
    fields: ["leaderId"],
  },
  peer_attempt: { message: "Asking a peer", about: "either", fields: ["question", "replica", "offset"] },
  peer_success: { message: "A peer answered", about: "either", fields: ["question", "replica", "offset"] },
  peer_refusal: {
    message: "A peer did not give what it was asked for",
    about: "either",
    fields: ["question", "replica", "offset", "code"],
  },
  permit: {
    message: "Got a permit for the origin",
    about: "either",
    fields: ["operation", "waitedMs"],
  },
  origin_attempt: {
    message: "Asking the origin",
    about: "either",
    fields: ["operation", "attempt", "offset", "lengthBytes", "lastBytes", "hedge"],
  },
  origin_result: {
    message: "The origin's attempt ended",
    about: "either",
    fields: ["operation", "result", "receivedBytes", "tookMs"],
  },
  first_bytes: { message: "The first bytes of a chunk can be sent", about: "chunk", fields: ["source"] },
  commit: { message: "Storing a chunk", about: "chunk", fields: ["store"] },
  commit_result: { message: "A commit ended", about: "chunk", fields: ["store", "result"] },
  response: {
    message: "Answered a request",
    about: "client",
    fields: ["operation", "status", "source", "seconds", "complete", "identity"],
  },
} as const satisfies Readonly<Record<string, TraceStepEntry>>;

export type TraceStep = keyof typeof traceSteps;
