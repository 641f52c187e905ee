/**
 * What must hold in a simulated cluster: the invariants of the design (ARCHITECTURE.md), by their numbers there, said so
 * that a machine can find them broken.
 *
 * 1. Every byte that a client gets is that of the version it was promised, at its offset; so is what a disk keeps.
 * 2. A read that ends as complete has all its bytes (simulated-client.ts).
 * 3. Where nothing goes wrong, be it from the start or no more, each block of a chunk is read from the origin once for
 *    the cluster, in one GET, and from one request for the metadata of an object to the next at least a TTL passes. The
 *    request may be an opening, which brings bytes as well. Where one tells nothing, a HEAD follows.
 * 4. Memory in use never passes its bound; a replica begins no request to the origin past the share that its view gives it;
 *    and while all views are right, the requests begun since they are do not pass the cluster's target together.
 * 5. A look-up answers with what was true at some moment from one TTL before it was asked until it answered, on
 *    whatever replica and by however many hops; absence with the TTL of absence. What a client found out of date it is
 *    not told again.
 * 6. While the origin works, whatever happens to replicas and between them, no client on a replica that runs sees an error,
 *    but that the object was overwritten under it. In the end everything comes to rest: no reader, flight, permit or
 *    byte that is not a cached one.
 */
import assert from "node:assert/strict";
import type { Clock } from "../../src/base/clock.ts";
import { segmentSizeBytes } from "../../src/base/memory-budget.ts";
import type { ErrorCode, OrcaError } from "../../src/base/orca-error.ts";
import { chunkSizeFor } from "../../src/chunk/chunk-layout.ts";
import type { ObjectVersion } from "../../src/chunk/object-version.ts";
import type { LookupResult } from "../../src/object/object-record.ts";
import type { ListPage, ListRequest, ObjectLocation } from "../../src/origin/origin.ts";
import { wasTrue } from "./listing-model.ts";
import { ampleMemoryBytes, negativeTtlMs, type Scenario, ttlMs } from "./scenario.ts";
import type { OriginRequest, SimulatedOrigin } from "./simulated-origin.ts";
import type { MetadataRequest, SimulatedReplica } from "./simulated-replica.ts";
import { assertVersionBytes } from "./version-bytes.ts";

/** What a failing origin, and memory that is short of what is asked of it, may cost. */
const stormErrors: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "origin_unavailable",
  "origin_throttled",
  "overloaded",
]);

/** Names by which it is seen who is avoided: enough for each replica to coordinate some. */
const probesOfCoordination = 40;

export interface ClusterChecksOptions {
  readonly scenario: Scenario;
  readonly clock: Clock;
  readonly origin: SimulatedOrigin;
  readonly replicas: ReadonlyMap<string, SimulatedReplica>;
}

export class ClusterChecks {
  readonly metadataRequests: Record<MetadataRequest, number> = { head: 0, opening: 0, "after-opening": 0 };
  lists = 0;
  readonly #options: ClusterChecksOptions;
  /** Since when every replica that runs believes in exactly those that run. */
  #steadySinceMs: number | undefined;
  /** When the metadata of an object was asked for last, and what TTL the answer has. */
  readonly #lastAsked = new Map<string, { readonly atMs: number; readonly ttlMs: number }>();
  /** When a page was asked for last. */
  readonly #lastListed = new Map<string, number>();
  /** The first GET from which on invariant 3 holds. */
  #orderlyFromGet: number;
  #metadataIsOrderly: boolean;

  constructor(options: ClusterChecksOptions) {
    this.#options = options;
    const { kind } = options.scenario;
    this.#orderlyFromGet = kind === "calm" || kind === "changing" ? 0 : Number.POSITIVE_INFINITY;
    this.#metadataIsOrderly = kind === "calm";
  }

  get isSteady(): boolean {
    return this.#steadySinceMs !== undefined;
  }

  /** To be called after whatever changes a view or what runs. */
  viewsChanged(): void {
    const { replicas, clock } = this.#options;
    const running = [...replicas.keys()].sort().join();
    const isSteady = [...replicas.values()].every(
      ({ membership }) => membership.live.map(({ replicaId }) => replicaId).join() === running,
    );
    if (!isSteady) this.#steadySinceMs = undefined;
    else this.#steadySinceMs ??= clock.monotonic();
  }

  /** Invariant 1. */
  received(who: { readonly name: string }, version: ObjectVersion, offset: number, slice: Buffer): void {
    const { ordinal } = this.#options.origin.object(version.objectKey).version(version.etag);
    assertVersionBytes(slice, ordinal, offset, `${who.name} received`);
  }

  /** Invariant 5, and the part of 1 that is about the promise itself. */
  lookedUp(key: string, found: LookupResult, askedMs: number, staleEtag: string | undefined): void {
    const object = this.#options.origin.object(key);
    if (found.kind === "error") {
      assert.equal(found.error.code, "no_such_key");
      const since = askedMs - negativeTtlMs;
      assert.ok(
        object.wasCurrent(undefined, since),
        `a look-up of ${key} at ${askedMs} says there is none, which was not so after ${since}`,
      );
      return;
    }
    const { version } = found.record;
    assert.notEqual(version.etag, staleEtag, "what was found out of date is not told again");
    assert.equal(version.sizeBytes, object.version(version.etag).sizeBytes);
    const since = askedMs - ttlMs;
    assert.ok(
      object.wasCurrent(version.etag, since),
      `a look-up of ${key} at ${askedMs} says ${version.etag}, which was not so after ${since}`,
    );
  }

  /** Invariant 5, for a page of a listing. */
  listed(request: ListRequest, page: ListPage, askedMs: number): void {
    const { origin, clock } = this.#options;
    const objects = [...origin.objects.values()];
    const [since, until] = [askedMs - ttlMs, clock.monotonic()];
    assert.ok(
      wasTrue(page, objects, request, since, until),
      `a list of "${request.prefix}" at ${askedMs} says ${JSON.stringify(page)}, which was not so after ${since}`,
    );
  }

  /** Invariant 3, for listings. Objects that change are no reason to list again. */
  listAsked(request: ListRequest): void {
    this.lists += 1;
    if (!this.#metadataIsOrderly) return;
    const name = JSON.stringify(request);
    const atMs = this.#options.clock.monotonic();
    const lastMs = this.#lastListed.get(name) ?? Number.NEGATIVE_INFINITY;
    assert.ok(atMs - lastMs >= ttlMs, `LIST ${name} is sent ${atMs - lastMs} ms after the last one`);
    this.#lastListed.set(name, atMs);
  }

  /** Invariant 6: a client was told that this version is not the object's any more. */
  foundStale({ objectKey, etag }: ObjectVersion): void {
    assert.notEqual(this.#options.origin.object(objectKey).current?.etag, etag, `${etag} is not out of date`);
  }

  /** Invariant 6. */
  clientFailed(
    {
      name,
      key,
      replica,
    }: { readonly name: string; readonly key: string; readonly replica: SimulatedReplica },
    error: OrcaError,
  ): void {
    // Looked at by foundStale.
    if (error.code === "origin_etag_changed") return;
    if (this.#options.scenario.kind === "storm" && stormErrors.has(error.code)) return;
    assert.fail(`${name} on ${replica.replicaId} could not read ${key}: ${error.code}: ${error.message}`);
  }

  /** Invariant 4, as each request reaches the origin. */
  originRequested({ replicaId }: OriginRequest): void {
    const { origin, replicas, clock, scenario } = this.#options;
    const replica = replicas.get(replicaId);
    assert.ok(replica, "only replicas that run ask the origin");
    const inFlight = [...origin.inFlight];
    const ofReplica = inFlight.filter((request) => request.replicaId === replicaId).length;
    const { atMs, greatest } = replica.shareAtChange;
    const ofView = Math.max(1, Math.floor(scenario.targetGlobal / replica.membership.live.length));
    const share = atMs === clock.monotonic() ? Math.max(greatest, ofView) : ofView;
    assert.ok(
      ofReplica <= share,
      `${replicaId} has ${ofReplica} requests in flight, and a share of ${share}`,
    );
    const since = this.#steadySinceMs;
    if (since === undefined) return;
    const begun = inFlight.filter(({ startedMs }) => startedMs >= since).length;
    assert.ok(
      begun <= scenario.targetGlobal,
      `${begun} requests are in flight, and target_global is ${scenario.targetGlobal}`,
    );
  }

  /** Invariant 3, the part about metadata. */
  metadataAsked({ key }: ObjectLocation, request: MetadataRequest): void {
    const { clock, origin } = this.#options;
    this.metadataRequests[request] += 1;
    if (!this.#metadataIsOrderly || request === "after-opening") return;
    const atMs = clock.monotonic();
    const last = this.#lastAsked.get(key);
    assert.ok(
      !last || atMs - last.atMs >= last.ttlMs,
      `the metadata of ${key} is asked for ${atMs - (last?.atMs ?? 0)} ms after the last time`,
    );
    this.#lastAsked.set(key, { atMs, ttlMs: origin.object(key).current ? ttlMs : negativeTtlMs });
  }

  /** Invariant 4: memory, at every moment that anybody looks. */
  memoryBounded(): void {
    for (const { budget, replicaId } of this.#options.replicas.values()) {
      assert.ok(budget.usedBytes <= budget.maxBytes, `${replicaId} uses ${budget.usedBytes} bytes`);
    }
  }

  /** To be called when the bad time and what it leaves behind is over: all must be as if it had never been. */
  recovered(): void {
    const { scenario, origin, replicas } = this.#options;
    // What memory has let go of and no disk holds is fetched again, and rightly so.
    if (scenario.hasDisks || scenario.memoryBytes >= ampleMemoryBytes) {
      this.#orderlyFromGet = Math.min(this.#orderlyFromGet, origin.gets.length);
    }
    this.#metadataIsOrderly = true;
    this.#lastAsked.clear();
    this.#lastListed.clear();
    for (const { replicaId, coordination } of replicas.values()) {
      for (let probe = 0; probe < probesOfCoordination; probe += 1) {
        const passedOver: string[] = [];
        const { replicaId: next } = coordination.next(`probe/${probe}`, passedOver);
        assert.deepEqual(passedOver, [], `${replicaId} still goes around others`);
        coordination.answered(next);
      }
    }
  }

  /** Invariant 6: why the cluster is not at rest, or undefined. */
  unrest(): string | undefined {
    const { origin, replicas } = this.#options;
    for (const { replicaId, filler, relay, budget, guarded, replicated } of replicas.values()) {
      const counts = {
        fills: filler.flightsInProgress,
        relays: relay.flightsInProgress,
        "reservations waiting": budget.waiting,
        "bytes reserved": budget.reservedBytes,
        pulls: replicated ? replicated.puller.running + replicated.puller.waiting : 0,
        "bytes announced": replicated?.announcer.queuedBytes ?? 0,
        "origin requests": guarded.requestsInFlight + guarded.requestsWaiting,
      };
      for (const [what, count] of Object.entries(counts)) {
        if (count > 0) return `${replicaId} has ${count} ${what}`;
      }
    }
    return origin.inFlight.size > 0 ? `the origin has ${origin.inFlight.size} requests` : undefined;
  }

  /** Which keeper lacks a chunk that lies on some disk; undefined where all have their copies. */
  missingCopy(): string | undefined {
    const { replicas } = this.#options;
    const disks = [...replicas.values()].filter(({ replicated }) => replicated);
    const paths = new Set(disks.flatMap(({ disk }) => disk?.pathsAfter("", Number.POSITIVE_INFINITY) ?? []));
    for (const path of paths) {
      for (const { replicaId, disk, replicated } of disks) {
        if (replicated?.keepers.isKeptHere(path) && !disk?.holds(path)) return `${replicaId} lacks ${path}`;
      }
    }
    return undefined;
  }

  /** At the end, once at rest: nothing is held but what is cached, and nothing was fetched twice. */
  ended(): void {
    for (const { replicaId, budget, memory } of this.#options.replicas.values()) {
      memory.clear();
      assert.equal(budget.usedBytes, 0, `${replicaId} has lost bytes of memory`);
    }
    this.#fetchedOnce();
  }

  /** Invariant 3, the part about chunks. */
  #fetchedOnce(): void {
    const { origin, scenario } = this.#options;
    const { chunkTiers } = scenario;
    const endsOfBlocks = new Map<string, { readonly from: number; readonly to: number }[]>();
    for (const get of origin.gets.slice(this.#orderlyFromGet)) {
      const chunkSizeBytes = chunkSizeFor(origin.object(get.key).version(get.etag).sizeBytes, chunkTiers);
      const index = Math.floor(get.offset / chunkSizeBytes);
      assert.ok(get.offset + get.lengthBytes <= (index + 1) * chunkSizeBytes, "a GET stays in its chunk");
      // One that found the object overwritten brought nothing, and there may be more of them.
      const end = get.offset + get.deliveredBytes;
      for (let from = get.offset; from < end; ) {
        const block = Math.floor((from - index * chunkSizeBytes) / segmentSizeBytes);
        const to = Math.min(end, index * chunkSizeBytes + (block + 1) * segmentSizeBytes);
        const name = `block ${block} of ${get.etag}/${index}`;
        endsOfBlocks.set(name, [...(endsOfBlocks.get(name) ?? []), { from, to }]);
        from = to;
      }
    }
    for (const [name, fetched] of endsOfBlocks) {
      const [first, ...others] = fetched;
      const again = others.map(({ from }) => from).join();
      assert.ok(others.length === 0, `${name} was fetched twice: from ${first?.from} and from ${again}`);
    }
  }
}
