/** What a thread has counted, since it was asked last. The main thread adds it to the replica's own counters. */
import type { EdgeStats } from "../../edge/edge-stats.ts";
import type { S3Listener } from "../../edge/s3-listener.ts";
import { drainEdge } from "../../edge/threads/edge-counts.ts";
import type { LeasedLookups } from "../../edge/threads/leased-lookups.ts";
import type { ThreadBodies } from "../../edge/threads/thread-bodies.ts";
import type { PeerStats } from "../../mesh/session/peer-session.ts";
import type { EventLoopLag } from "../../ops/event-loop-lag.ts";
import type { ReplicaAccess } from "../access/replica-access.ts";
import type { BytesPort } from "./bytes-port.ts";
import type { ThreadLogger } from "./thread-logger.ts";
import type { ThreadCounts } from "./thread-messages.ts";

export interface CountedParts {
  readonly stats: EdgeStats;
  readonly bodies: Pick<ThreadBodies, "stats">;
  readonly logger: Pick<ThreadLogger, "takeDropped">;
  readonly lag: Pick<EventLoopLag, "notice">;
  readonly lookups: () => Iterable<Pick<LeasedLookups, "originId" | "stats">>;
  /** Of its sessions to peers. */
  readonly peers: Readonly<PeerStats> | undefined;
  /** Both are undefined before the thread listens. */
  readonly access: () => ReplicaAccess | undefined;
  readonly listener: () => S3Listener | undefined;
  readonly bytesPort: () => BytesPort | undefined;
}

export class CountedThread {
  readonly #parts: CountedParts;
  /** As they were when they were taken last. */
  #acceptErrors = 0;
  #pipelinesCut = 0;
  #peers: Readonly<PeerStats> | undefined;

  constructor(parts: CountedParts) {
    this.#parts = parts;
  }

  take(): ThreadCounts {
    const { stats, bodies, lookups, access, logger, lag } = this.#parts;
    const listener = this.#parts.listener();
    const bytesPort = this.#parts.bytesPort();
    const { hits: memoryHits, sentBytes: memoryBytes } = bodies.stats;
    Object.assign(bodies.stats, { hits: 0, sentBytes: 0 });
    const { acceptErrors = 0, pipelinesCut = 0 } = listener ?? {};
    const counts: ThreadCounts = {
      edge: drainEdge(stats),
      memoryHits,
      memoryBytes,
      lookups: Object.fromEntries([...lookups()].map((each) => [each.originId, drained(each.stats)])),
      access: access()?.take(),
      acceptErrors: acceptErrors - this.#acceptErrors,
      pipelinesCut: pipelinesCut - this.#pipelinesCut,
      peers: this.#takePeers(),
      linesDropped: logger.takeDropped(),
      bytesPort: bytesPort?.take(),
      gauges: {
        connections: listener?.connections ?? 0,
        requestsInFlight: listener?.requestsInFlight ?? 0,
        requestsPipelined: listener?.requestsPipelined ?? 0,
        lag: lag.notice(),
        bytesPort: bytesPort?.notice ?? null,
      },
    };
    this.#acceptErrors = acceptErrors;
    this.#pipelinesCut = pipelinesCut;
    return counts;
  }

  #takePeers(): PeerStats | undefined {
    const { peers } = this.#parts;
    if (peers === undefined) return undefined;
    const before = this.#peers;
    this.#peers = { ...peers };
    const counts = { ...peers };
    if (before) for (const name of Object.keys(counts) as (keyof PeerStats)[]) counts[name] -= before[name];
    return counts;
  }
}

function drained(stats: LeasedLookups["stats"]): LeasedLookups["stats"] {
  const counted = { ...stats };
  Object.assign(stats, { hits: 0, negativeHits: 0 });
  return counted;
}
