/**
 * Makes what serves S3 clients: a listener in this thread, or with `server.threads` above 1 other threads. What those count
 * is added to the counters of the parts that would have counted here.
 */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { OrcaError } from "../../base/orca-error.ts";
import type { Random } from "../../base/random.ts";
import type { TlsFiles } from "../../base/tls-files.ts";
import type { Config } from "../../config/config.ts";
import type { EdgeStats } from "../../edge/edge-stats.ts";
import type { S3Listener } from "../../edge/s3-listener.ts";
import { EngineBodies } from "../../fill/bodies.ts";
import type { WarmQueue } from "../../fill/warming/warm-queue.ts";
import type { Buckets } from "../../object/buckets.ts";
import type { Log } from "../../ops/logging.ts";
import { type LoadedThread, ownLoopTime, ThreadLoads } from "../../ops/thread-loads.ts";
import type { Trace } from "../../trace/trace.ts";
import type { ReplicaAccess } from "../access/replica-access.ts";
import type { MeshClient } from "../mesh-client.ts";
import type { MeshService } from "../mesh-service.ts";
import type { OpenOrigin } from "../metadata.ts";
import type { ReplicaReadPath } from "../read-path.ts";
import { type ReleaseStack, step } from "../release-stack.ts";
import { bucketPlacesOf } from "../replica-buckets.ts";
import type { Tiers } from "../tiers.ts";
import { EdgeThreads } from "./edge-threads.ts";
import { s3ListenerOf } from "./s3-listener.ts";
import type { ThreadCounts } from "./thread-messages.ts";

/** What serves S3 clients: a listener in this thread, or threads with a listener each. */
export type ClientListener = Pick<
  S3Listener,
  | "start"
  | "announceStop"
  | "drain"
  | "close"
  | "connections"
  | "requestsInFlight"
  | "requestsPipelined"
  | "pipelinesCut"
  | "acceptErrors"
> &
  Partial<
    Pick<EdgeThreads, "bytesListener" | "rehearse" | "collect" | "linesDropped" | "loaded" | "lagNotice">
  >;

export interface ClientListenerParts {
  readonly config: Config;
  readonly buckets: Buckets;
  readonly tiers: Tiers;
  readonly readPath: ReplicaReadPath;
  readonly origins: readonly OpenOrigin[];
  /** Undefined in a cluster of one. */
  readonly meshClient: Pick<MeshClient, "peers" | "receivers"> | undefined;
  /** Undefined where clients do not authenticate. */
  readonly access: ReplicaAccess | undefined;
  readonly warmQueue: WarmQueue;
  readonly stats: EdgeStats;
  /** Undefined in a cluster of one. */
  readonly meshService: Pick<MeshService, "chunks" | "tlsSource" | "add"> | undefined;
  readonly tls: TlsFiles | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: Trace;
  readonly logger: Logger;
  /** @see ReplicaOptions.log */
  readonly log?: Pick<Log, "access" | "level">;
  /** @see S3ListenerOptions.hasLane */
  readonly hasLane?: boolean | undefined;
  readonly onDied: (error: OrcaError) => void;
}

export function clientListenerOf(parts: ClientListenerParts): ClientListener {
  const { tiers, readPath, origins, buckets, access, trace, stats } = parts;
  const { shared, replicaId } = tiers;
  const accessLogger = parts.log?.access ?? parts.logger;
  const bodies = new EngineBodies(readPath.forReaders);
  const gate = access?.gate(origins, buckets);
  if (shared === undefined) {
    return s3ListenerOf({
      ...parts,
      replicaId,
      bodies,
      access: gate,
      accessLogger,
      warmRequests: parts.warmQueue,
    });
  }
  return new EdgeThreads({
    ...parts,
    replicaId,
    bodies,
    chunks: parts.meshService?.chunks,
    meshTls: parts.meshService?.tlsSource,
    origins: new Map(origins.map((origin) => [origin.origin.id, origin])),
    ...shared,
    warmRequests: parts.warmQueue,
    verdicts: access?.verdicts,
    receivers: parts.meshClient?.receivers,
    accessLogger,
    traceContexts: trace.contexts,
    places: bucketPlacesOf(origins),
    counters: { edge: stats, add: (counts) => addTo(parts, counts) },
  });
}

/** Of the main thread, else of one that serves clients. @see EventLoopLag.notice */
export function lagNotice(ofMain: string | null, listener: ClientListener): string | null {
  if (ofMain !== null) return listener.loaded ? `thread main: ${ofMain}` : ofMain;
  return listener.lagNotice?.() ?? null;
}

/** Of the main thread, and of those that serve clients where there are any. */
export function threadLoadsOf(listener: ClientListener, clock: Clock, held: ReleaseStack): ThreadLoads {
  const { loaded } = listener;
  const main: LoadedThread = {
    name: "main",
    get connections() {
      return loaded ? undefined : listener.connections;
    },
    loopTime: ownLoopTime,
  };
  const loads = new ThreadLoads(clock, () => [main, ...(loaded?.() ?? [])]);
  held.add(step("stop measuring the threads", () => loads.stop()));
  return loads;
}

function addTo(
  { tiers, readPath, origins, access, meshClient, meshService }: ClientListenerParts,
  counts: ThreadCounts,
): void {
  const { memoryHits, memoryBytes, lookups, bytesPort } = counts;
  if (bytesPort) meshService?.add(bytesPort);
  tiers.memory.stats.hits += memoryHits;
  readPath.forReaders.sentBytes.memory += memoryBytes;
  for (const { origin, directory } of origins) {
    const { hits = 0, negativeHits = 0 } = lookups[origin.id] ?? {};
    directory.stats.hits += hits;
    directory.stats.negativeHits += negativeHits;
  }
  if (counts.access) access?.add(counts.access);
  if (counts.peers) meshClient?.peers.add(counts.peers);
}
