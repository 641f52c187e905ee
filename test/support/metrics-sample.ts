/** Parts that show a value of every metric, so that docs/metrics.md can be made of the metrics registered with them. */
import { SystemClock } from "../../src/base/clock.ts";
import { Histogram } from "../../src/base/histogram.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { Membership } from "../../src/membership/membership.ts";
import { registerAccessMetrics } from "../../src/ops/metrics/access-metrics.ts";
import { registerBucketMetrics } from "../../src/ops/metrics/bucket-metrics.ts";
import { type CachestoreParts, registerCachestoreMetrics } from "../../src/ops/metrics/cachestore-metrics.ts";
import { registerClientMetrics } from "../../src/ops/metrics/client-metrics.ts";
import { registerMembershipMetrics } from "../../src/ops/metrics/membership-metrics.ts";
import { type MeshParts, registerSessionMetrics } from "../../src/ops/metrics/mesh-metrics.ts";
import { MetricsRegistry } from "../../src/ops/metrics/metrics.ts";
import type { MetricsSection } from "../../src/ops/metrics/metrics-page.ts";
import {
  registerEdgeThreadMetrics,
  registerLogMetrics,
  registerOpsMetrics,
  registerSpanMetrics,
  registerStallMetrics,
  registerThreadMetrics,
} from "../../src/ops/metrics/ops-metrics.ts";
import { registerOriginMetrics } from "../../src/ops/metrics/origin-metrics.ts";
import { registerRelayMetrics } from "../../src/ops/metrics/relay-metrics.ts";
import {
  type ReplicaParts,
  registerFillMetrics,
  registerWarmMetrics,
} from "../../src/ops/metrics/replica-metrics.ts";
import { registerReplicationMetrics } from "../../src/ops/metrics/replication-metrics.ts";
import { registerTierMetrics } from "../../src/ops/metrics/tier-metrics.ts";
import { Breaker } from "../../src/store/cachestore/breaker.ts";
import type { CachestoreDriver } from "../../src/store/cachestore/cachestore-driver.ts";
import { Catalog } from "../../src/store/cachestore/catalog.ts";
import { GuardedCachestore } from "../../src/store/cachestore/guarded-cachestore.ts";
import { S3CachestoreStats } from "../../src/store/cachestore/s3/s3-cachestore.ts";
import { DiskStats } from "../../src/store/disk/disk-stats.ts";
import { StallWatch } from "../../src/trace/stalls/stall-watch.ts";
import { FakeClock } from "./fake-clock.ts";
import { agreedSettings } from "./membership-fixture.ts";
import { RecordedLogger } from "./recorded-logger.ts";
import { ReplicatedFixture } from "./replicated-fixture.ts";

/** The parts of a replica with TLS, a disk tier and one origin. */
export function replicaParts() {
  const disk = Object.assign(new DiskStats(), { errorsByCode: { EIO: 1 } });
  return {
    edge: {
      requests: { get_object: new Map([[200, 1]]) },
      firstByteSeconds: { memory: new Histogram() },
      totalSeconds: { get_object: new Histogram() },
      errors: new Map([["no_such_key" as const, 1]]),
      servedBytes: new Map([["weights", 1]]),
      bodiesCut: 0,
      clientsGone: 0,
      clientsStalled: 0,
      clientsSlow: 0,
      requestsSlow: 0,
      requestsMalformed: 0,
      handshakesFailed: 0,
    },
    listener: { connections: 0, requestsInFlight: 0, requestsPipelined: 0, pipelinesCut: 0 },
    acceptErrors: () => ({ s3: 0 }),
    readPath: {
      sentBytes: { memory: 0 },
      readerMemory: { heldBytes: 0, waiting: 0, stats: { copies: 0 } },
    },
    tls: { expiresMs: 4000, stats: { reloads: 0, reloadFailures: 0 } },
    warmer: { stats: { held: 1, filled: 2, missing: 0, busy: 0, unpinned: 0 } },
    warmUps: { running: [] },
    warmQueue: { waiting: 0, stats: { complete: 1, incomplete: 0, full: 0 } },
    filler: {
      flightsInProgress: 0,
      stats: {
        flights: 0,
        joins: 0,
        moot: 0,
        failed: 0,
        cut: 0,
        readAheads: 0,
        promotions: 0,
        adoptions: 0,
        commits: 0,
        commitsNotStored: 0,
        commitsMismatched: 0,
        blockCommits: 0,
        blockCommitsNotStored: 0,
      },
    },
    budget: { maxBytes: 0, usedBytes: 0, waiting: 0 },
    memory: { bytes: 0, stats: { hits: 0, misses: 0, evictions: 0, bytes: 0, chunks: 0 } },
    disk: {
      isSetAside: false,
      usedBytes: 0,
      maxBytes: 0,
      chunkCount: 0,
      blockCount: 0,
      pendingBytes: 0,
      pins: { bytes: 0 },
      shares: {
        figures: () => [{ originId: "o", bucket: "b", priority: "normal", bytes: 0, shareBytes: 0 }],
      },
      stats: disk,
    },
    scrub: scrubCounters(),
    origins: [
      {
        id: "o",
        requestsInFlight: 0,
        requestsInFlightMax: 0,
        requestsWaiting: 0,
        hedge: undefined,
        throttle: { part: 1, stats: { cuts: 0, cutsHeard: 0, letThrough: 0 } },
        stats: {
          requests: { get: 0, head: 0, list: 0, sub_resource: 0 },
          errors: new Map([["internal" as const, 1]]),
          bytes: 0,
          retries: 0,
          resumes: 0,
          openings: 0,
          openingsWasted: 0,
          slowBodies: 0,
        },
      },
    ],
    prices: new Map([["weights", 0.09]]),
    directories: new Map([
      [
        "o",
        {
          size: 0,
          bytes: 0,
          stats: {
            hits: 0,
            misses: 0,
            joins: 0,
            negativeHits: 0,
            forgotten: 0,
            refreshes: 0,
            revalidations: 0,
          },
          freshness: { ahead: { answered: 0, failed: 0 }, stale: { answers: 0 } },
        },
      ],
    ]),
    parts: new Map([["o", { size: 0, bytes: 0, stats: { hits: 0, misses: 0, joins: 0 } }]]),
    lists: new Map([["o", listing]]),
    authorityLists: new Map([["o", listing]]),
  } satisfies ReplicaParts;
}

const listing = {
  size: 0,
  bytes: 0,
  running: 0,
  waiting: 0,
  stats: { hits: 0, misses: 0, joins: 0, oversize: 0 },
};

function scrubCounters() {
  const counts = { checkedChunks: 0, checkedBytes: 0, badChunks: 0, skippedChunks: 0 };
  return {
    stats: { passes: 0, passesFailed: 0, ...counts },
    progress: {
      ...counts,
      cursor: "",
      state: "idle" as const,
      totalBytes: 0,
      reason: "",
      finished: undefined,
      dueMs: undefined,
    },
  };
}

function unanswered(): Promise<never> {
  return Promise.reject(new Error("there is no other replica"));
}

/** The parts of a replica that has peers, and TLS between them. */
export function meshParts() {
  const sessions = { sessions: 0, sessionsOpen: 0, sessionsDead: 0 };
  const membership = new Membership({
    replicaId: "r1",
    address: "r1:1",
    zone: "",
    agreedSettings,
    seeds: [],
    transport: { ping: unanswered, pingIndirect: unanswered, sync: unanswered },
    clock: new FakeClock(),
    random: new SeededRandom(1),
    logger: new RecordedLogger(),
  });
  return {
    membership,
    coordination: { stats: { failures: 0, avoided: 0, disagreements: 0 } },
    server: {
      stats: {
        ...sessions,
        sessionsBroken: 0,
        sessionsUnnamed: 0,
        connectionsDropped: 0,
        connectionsOverRate: 0,
        requests: 0,
        requestsFailed: 0,
      },
      rpc: { stats: { bodyLate: 0, answerLate: 0, overBudget: 0 }, bodyBytes: 0, answerBytes: 0 },
      handshakeFailures: { counts: { expired: 0, wrong_identity: 0 } },
    },
    peers: {
      size: 0,
      stats: { ...sessions, connectFailures: 0, requestsWhileDown: 0, streams: 0 },
      handshakeFailures: { counts: { expired: 0 } },
    },
    tls: { expiresMs: 4000, stats: { reloads: 0, reloadFailures: 0 } },
    fillServer: { stats: { requests: 0, malformed: 0, failed: 0, sentBytes: 0 } },
    fillClient: { stats: { requests: 0, receivedBytes: 0, complete: 0, notHeld: 0 } },
    relay: {
      flightsInProgress: 0,
      stats: {
        relays: 0,
        cut: 0,
        joins: 0,
        readAheads: 0,
        moot: 0,
        failed: 0,
        resumed: 0,
        adopted: 0,
        peerBytes: 0,
      },
    },
    calls: {
      membership: { stats: { calls: 0, unavailable: 0 } },
      object: { stats: { calls: 0, peerError: 0 } },
    },
    callsServed: { stats: { calls: 0, notCoordinator: 0 } },
    chunkServer: { stats: { answered: 0, notCoordinator: 0, notHeld: 0 } },
    requestIds: { stats: { replaced: 0 } },
    objectServer: { stats: { notCoordinator: 0, invalidationsPublished: 0, invalidationsHeard: 0 } },
  } satisfies MeshParts;
}

/** The parts of a cachestore that is asked nothing. */
export function cachestoreParts(
  driver: CachestoreParts["driver"],
): CachestoreParts & { readonly store: GuardedCachestore } {
  const clock = new FakeClock();
  const breaker = new Breaker({ clock });
  const catalog = new Catalog();
  const logger = new RecordedLogger();
  const store = new GuardedCachestore({
    driver: { kind: driver.kind } as CachestoreDriver,
    breaker,
    catalog,
    clock,
    logger,
  });
  return { store, driver, breaker, catalog };
}

function section(title: string, intro: string, register: (metrics: MetricsRegistry) => void): MetricsSection {
  const registry = new MetricsRegistry(new SystemClock());
  register(registry);
  return { title, intro, metrics: registry.describe() };
}

/** Every metric that a replica can have, as docs/metrics.md groups them. */
export function metricsSections(): MetricsSection[] {
  const replica = replicaParts();
  const mesh = meshParts();
  const cachestore = cachestoreParts({
    kind: "s3",
    stats: new S3CachestoreStats(),
    putPolicy: "conditional",
  });
  const replicated = new ReplicatedFixture().get("r0");
  const always = "Every replica has these.";
  const withPeers = "With `cluster.peers` or `cluster.service`.";
  return [
    section("Clients", always, (metrics) => registerClientMetrics(metrics, replica)),
    section("Access", "Only with `server.auth`.", (metrics) =>
      registerAccessMetrics(metrics, {
        denials: new Map([["access_denied", 1]]),
        verdicts: { hits: 0, questions: 0, joined: 0, failures: 0 },
        files: { reloads: 0, reloadFailures: 0 },
      }),
    ),
    section("Every bucket of an origin", 'Only with `"*"` in `origin.buckets`.', (metrics) =>
      registerBucketMetrics(metrics, {
        originId: "origin-a",
        open: { size: 0, bytes: 0, stats: { present: 0, absent: 0, denied: 0, failed: 0, joined: 0 } },
        lists: { bytes: 0, stats: { hits: 0, misses: 0, joins: 0 } },
      }),
    ),
    section("Fills", always, (metrics) => registerFillMetrics(metrics, replica)),
    section("Warm-ups", always, (metrics) => registerWarmMetrics(metrics, replica)),
    section(
      "Memory and disk",
      `${always} Those of the disk and of the scrub: only with \`disk\`.`,
      (metrics) => registerTierMetrics(metrics, replica),
    ),
    section("Origins and metadata", always, (metrics) => registerOriginMetrics(metrics, replica)),
    section("Membership", withPeers, (metrics) => registerMembershipMetrics(metrics, mesh)),
    section("Connections between replicas", withPeers, (metrics) => registerSessionMetrics(metrics, mesh)),
    section("Chunks between replicas", withPeers, (metrics) => registerRelayMetrics(metrics, mesh)),
    section("Cachestore", "With `cachestore.driver`.", (metrics) =>
      registerCachestoreMetrics(metrics, cachestore),
    ),
    section("Copies on disks", "With `cluster.replication` above 1.", (metrics) =>
      registerReplicationMetrics(metrics, replicated),
    ),
    section("Traces", "Only with `tracing.otlp_endpoint`.", (metrics) =>
      registerSpanMetrics(metrics, () => undefined),
    ),
    section("Threads", always, (metrics) => {
      registerThreadMetrics(metrics, () => ({ main: 1, "orca-edge-1": 12.5 }));
      registerEdgeThreadMetrics(metrics, () => [{ name: "orca-edge-1", cpuSeconds: 12.5, connections: 3 }]);
    }),
    section("Log and ops listener", always, (metrics) => {
      registerLogMetrics(metrics, { linesDropped: 0, accessLinesDropped: 0 });
      registerStallMetrics(metrics, new StallWatch(new FakeClock(), new RecordedLogger()));
      registerOpsMetrics(metrics, { connections: 0, stats: { closedForRoom: 0 } });
    }),
  ];
}
