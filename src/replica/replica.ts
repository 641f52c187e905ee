/**
 * The composition root: makes the parts of one replica out of its configuration, starts them and stops them. Each part
 * gets what it needs by its constructor. The other files of this folder make the larger groups of parts.
 *
 * An orderly stop has two halves. The drains come first and go from the outside in: not ready, serve on for
 * `server.drain_delay`, goodbye to the peers, no new connections, running responses finish, fills that no client waits
 * for end, commits finish. They take up to `server.drain_timeout` for responses and as much again for commits. Then the
 * releases close files and sockets.
 *
 * Invariants:
 * 1. A part that holds something (a timer, a thread, a socket, a lock) has its release on the stack before anything else
 *    can fail. A failed open, a failed start and a stop unwind the same stack: the part made last is released first.
 * 2. Drains are put on top of the stack when the start has succeeded. A failed start does without them: it has no clients,
 *    and its peers turn to other replicas.
 * 3. A release cuts what runs. It waits for no client, origin, peer or commit, and after the drains it finds nothing to
 *    cut. One release speaks: a replica that has joined says goodbye, whichever way it ends.
 * 4. A step that fails does not keep the others from running (release-stack.ts).
 */

import type { AddressInfo } from "node:net";
import { assert } from "../base/assert.ts";
import { type Clock, sleep } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { OrcaError } from "../base/orca-error.ts";
import { pages } from "../base/pages.ts";
import type { Random } from "../base/random.ts";
import type { Config } from "../config/config.ts";
import type { OriginConfig } from "../config/origin-config.ts";
import { openToAll } from "../config/warnings.ts";
import { EdgeStats } from "../edge/edge-stats.ts";
import type { MeshTls } from "../mesh/session/mesh-tls.ts";
import type { FirstBytesPlaces } from "../object/heads/origin-heads.ts";
import { EventLoopLag } from "../ops/event-loop-lag.ts";
import type { ReplicaFiguresReader } from "../ops/figures/replica-figures-reader.ts";
import type { Log } from "../ops/logging.ts";
import type { OpsServer } from "../ops/ops-server.ts";
import { Readiness } from "../ops/readiness.ts";
import type { GuardedOrigin } from "../origin/guarded-origin.ts";
import { originShare } from "../placement/origin-share.ts";
import { Trace } from "../trace/trace.ts";
import type { AccessFiles } from "./access/access-files.ts";
import { ReplicaAccess } from "./access/replica-access.ts";
import { bucketLooksOf } from "./bucket-looks.ts";
import { CacheView } from "./cache-view.ts";
import { type FromFiles, loadFiles } from "./from-files.ts";
import { MeshClient } from "./mesh-client.ts";
import { MeshService, meshWithoutTlsNotice } from "./mesh-service.ts";
import { closeMetadata, type OpenOrigin, openMetadata } from "./metadata.ts";
import { opsServerOf } from "./ops-listener.ts";
import { OriginLooks } from "./origin-looks.ts";
import { connectThrottles } from "./origin-throttling.ts";
import { openOrigins } from "./origins.ts";
import { ReplicaReadPath } from "./read-path.ts";
import { begin, ReleaseStack, type Step, step, together } from "./release-stack.ts";
import { bucketsOf } from "./replica-buckets.ts";
import { openFigures, readFigures } from "./replica-figures.ts";
import {
  type ClientListener,
  type ClientListenerParts,
  clientListenerOf,
  lagNotice,
  threadLoadsOf,
} from "./threads/client-listener.ts";
import { addTierNotices, openTiers, type Tiers } from "./tiers.ts";
import { Tracing } from "./tracing.ts";

export interface ReplicaOptions extends Pick<ClientListenerParts, "hasLane"> {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where `logger` writes, to be shown on the ops listener. Left out for another logger. */
  readonly log?: Log;
  /** Of Orca, to be shown. */
  readonly version?: string;
}

export interface ReplicaAddresses {
  readonly s3: AddressInfo;
  readonly ops: AddressInfo;
  /** Undefined in a cluster of one. */
  readonly mesh: AddressInfo | undefined;
}

/** Commits are worth waiting for even where responses are cut early: each one saves a refill. */
const commitsDrainMinMs = 30_000;

export class Replica {
  readonly #options: ReplicaOptions & { readonly trace: Trace };
  readonly #held: ReleaseStack;
  readonly #readiness = new Readiness();
  #stopAsked = false;
  #responsesCut = 0;
  readonly #edge = new EdgeStats();
  readonly #listenerDied = Promise.withResolvers<OrcaError>();
  readonly #origins: readonly GuardedOrigin[];
  readonly #looks: OriginLooks;
  readonly #tiers: Tiers;
  /** Undefined in a cluster of one, as the mesh service is. */
  readonly #meshClient: MeshClient | undefined;
  readonly #readPath: ReplicaReadPath;
  readonly #cacheView: CacheView;
  readonly #figures: ReplicaFiguresReader;
  readonly #meshService: MeshService | undefined;
  readonly #listener: ClientListener;
  readonly #ops: OpsServer;

  /**
   * Makes all parts. Nothing listens yet.
   * @throws OrcaError config_invalid where a part cannot be made, such as a disk root that another process holds. Nothing
   * is held then, nor after a failed {@link start}.
   */
  static async open(options: ReplicaOptions): Promise<Replica> {
    const { config, clock, logger } = options;
    const held = new ReleaseStack(logger, clock);
    return held.orUnwind(async () => {
      const files = await loadFiles(options, held);
      const tracing = await Tracing.load(config);
      const replica = new Replica(options, files, held);
      tracing?.start({ ...replica.#options, replicaId: replica.replicaId }, held);
      return replica;
    });
  }

  private constructor(
    given: ReplicaOptions,
    { access: accessFiles, opsToken, ...tls }: FromFiles,
    held: ReleaseStack,
  ) {
    const options = { ...given, trace: new Trace(given.logger, given.clock) };
    this.#options = options;
    this.#held = held;
    // It is made last, and closes last: until then it shows how the stop goes.
    held.add(step("close the ops listener", () => this.#ops?.stop()));
    this.#origins = openOrigins(options, held);
    this.#looks = this.#looksAtOrigins();
    const tiers = openTiers(options, held);
    this.#tiers = tiers;
    const { replicaId } = tiers;
    addTierNotices(this.#readiness, tiers);
    this.#watchEventLoop();
    const meshClient = options.config.cluster.clustered
      ? new MeshClient({ ...options, replicaId, tls: tls.mesh })
      : undefined;
    this.#meshClient = meshClient;
    if (meshClient) held.add(step("close the sessions to other replicas", () => meshClient.close()));
    meshClient?.membership.subscribeLive(() => this.#shareOrigins());
    connectThrottles({ ...options, replicaId, origins: this.#origins, membership: meshClient?.membership });
    const readPath = new ReplicaReadPath({ ...options, tiers, origins: this.#origins, meshClient });
    this.#readPath = readPath;
    held.add(this.#closeStores(0));
    const origins = this.#openMetadata(meshClient, readPath.places);
    const buckets = bucketsOf(options.config, origins, options.clock);
    held.add(step("stop sweeping the lists of buckets", () => buckets.others?.lists.close()));
    const cacheView = new CacheView({ ...options, ...tiers, readPath, origins, buckets, meshClient });
    this.#cacheView = cacheView;
    held.add(step("stop warm-ups and the scrub", () => cacheView.stop()));
    const counted = { readiness: this.#readiness, edge: this.#edge, origins: this.#origins };
    this.#figures = openFigures({ ...options, ...counted, tiers, readPath, cacheView }, held);
    this.#meshService = meshClient && this.#makeMeshService(meshClient, tls.mesh, origins);
    this.#addAuthNotice(accessFiles);
    const access = accessFiles && new ReplicaAccess({ ...options, source: accessFiles });
    const shared = {
      ...options,
      tiers,
      readPath,
      origins,
      meshClient,
      onDied: this.#listenerDied.resolve,
      tls: tls.server,
      meshService: this.#meshService,
    };
    const listener = clientListenerOf({
      ...shared,
      buckets,
      access,
      warmQueue: cacheView.warmQueue,
      stats: this.#edge,
    });
    this.#listener = listener;
    held.add(step("close the S3 listener", () => listener.close()));
    this.#ops = opsServerOf({
      ...shared,
      readiness: this.#readiness,
      cacheView,
      figures: this.#figures,
      listener,
      threadLoads: threadLoadsOf(listener, options.clock, held),
      edge: this.#edge,
      others: buckets.others,
      accessCounters: accessFiles && access?.countersWith(accessFiles),
      tokenGuard: opsToken?.guard,
    });
  }

  #openMetadata(meshClient: MeshClient | undefined, places: FirstBytesPlaces | undefined): OpenOrigin[] {
    const { memory, disk, metadataHeap } = this.#tiers;
    const chunkTiers = disk ? [memory, disk] : [memory];
    const revocations = this.#tiers.shared?.revocations;
    const parts = { ...this.#options, metadataHeap, places, revocations };
    const origins = this.#origins.map((origin, index) =>
      openMetadata(origin, parts.config.origins[index] as OriginConfig, parts, meshClient, chunkTiers),
    );
    this.#held.add(step("close the caches of metadata", () => closeMetadata(origins, metadataHeap)));
    return origins;
  }

  #watchEventLoop(): void {
    const lag = new EventLoopLag(this.#options.clock);
    this.#readiness.addNotice("event_loop", () => lagNotice(lag.notice(), this.#listener));
    this.#held.add(step("stop measuring the event loop", () => lag.stop()));
  }

  #addAuthNotice(access: AccessFiles | undefined): void {
    const open = openToAll(this.#options.config.server);
    if (open !== undefined) this.#readiness.addNotice("auth", () => open);
    if (access) this.#readiness.addNotice("auth", () => access.fault());
  }

  /** Resolves with its error when a listener died. Then nobody can connect there any more, and the replica is to be stopped. */
  get listenerDied(): Promise<OrcaError> {
    return this.#listenerDied.promise;
  }

  get replicaId(): string {
    return this.#tiers.replicaId;
  }

  /** For the rehearsal of {@link start}. Undefined where no other thread serves clients. */
  get rehearseThreads(): ClientListener["rehearse"] {
    return this.#listener.rehearse;
  }

  /** Resolves when the disk's scan has ended. */
  get scanned(): Promise<void> {
    return this.#tiers.disk?.ready ?? Promise.resolve();
  }

  /** Live replicas as this one sees them, itself included. */
  get liveMembers(): number {
    return this.#meshClient?.membership.live.length ?? 1;
  }

  /** Responses to clients that a stop cut, because they did not finish within `server.drain_timeout`. */
  get responsesCut(): number {
    return this.#responsesCut;
  }

  /**
   * Resolves when clients are served. To be called once. The ops listener opens first: a step that takes long, or hangs,
   * must not look like a dead process, and /readyz names it. `rehearse` is one, where it is given (rehearsal/).
   * @throws OrcaError config_invalid where a listener cannot listen, or the cachestore fails its check; internal where
   * {@link stop} was called before it had ended.
   */
  start(rehearse?: () => Promise<unknown>): Promise<ReplicaAddresses> {
    return this.#held.orUnwind(async () => {
      const ops = await this.#startStep("opening the ops listener", () => this.#ops.start());
      await this.#startStep("rehearsing reads", () => rehearse?.());
      const { cachestore } = this.#tiers;
      await this.#startStep("checking the cachestore", () => cachestore?.store.check());
      const mesh = await this.#startStep("opening the mesh listener", () =>
        this.#meshService?.start(this.#listener.bytesListener),
      );
      // Clients come when the peers are known: until then, this replica would fetch what others hold.
      await this.#startStep("joining the cluster", () => mesh && this.#meshClient?.join(mesh.port));
      this.#readPath.start();
      this.#cacheView.start();
      const s3 = await this.#startStep("opening the S3 listener", () => this.#listener.start());
      const longestMs = Math.max(this.#commitsDrainMs, this.#options.config.server.drainDelayMs);
      this.#held.addInOrder(this.#drains(), longestMs);
      this.#readiness.enter("serving");
      this.#looks.start();
      return { s3, ops, mesh };
    });
  }

  /**
   * Stops in order, once, however often it is called. A start that has not ended is cut.
   * @throws OrcaError internal that names every step that failed.
   */
  stop(): Promise<void> {
    this.#stopAsked = true;
    return this.#held.unwind();
  }

  async #startStep<Result>(what: string, run: () => Result | Promise<Result>): Promise<Result> {
    this.#readiness.startStep(what);
    try {
      const result = await run();
      if (!this.#stopAsked) return result;
    } catch (thrown) {
      if (!this.#stopAsked) throw thrown;
    }
    // Also in place of an error: a part that the stop cuts has reasons of its own.
    throw new OrcaError("internal", "replica", "Cannot start: the replica is stopped");
  }

  #looksAtOrigins(): OriginLooks {
    const { config, clock } = this.#options;
    const looks = new OriginLooks({
      ...this.#options,
      looks: bucketLooksOf(config, this.#origins, clock),
    });
    this.#held.add(step("stop looking at the origins", () => looks.stop()));
    for (const { id } of this.#origins) this.#readiness.addNotice(`origin ${id}`, looks.notice(id));
    return looks;
  }

  #makeMeshService(meshClient: MeshClient, tls: MeshTls | undefined, origins: readonly OpenOrigin[]) {
    const { filler, relay, replicated, forReaders } = this.#readPath;
    assert(relay !== undefined, "a replica with peers has a relay");
    const service = new MeshService({
      ...this.#options,
      onDied: this.#listenerDied.resolve,
      meshClient,
      tls,
      readPath: forReaders,
      filler,
      relay,
      disk: this.#tiers.disk,
      origins,
      cache: this.#cacheView,
      figures: (slotsMax) => readFigures(this.#figures, this.#listener, slotsMax),
      inventory: replicated?.answers,
    });
    if (!tls) this.#readiness.addNotice("internal_tls", meshWithoutTlsNotice);
    this.#readiness.addNotice("cluster", () => service.notice);
    this.#held.add(step("close the mesh listener", () => service.close()));
    return service;
  }

  get #commitsDrainMs(): number {
    return Math.max(this.#options.config.server.drainTimeoutMs, commitsDrainMinMs);
  }

  /** What an orderly stop does before it releases anything, in this order. */
  #drains(): Step[] {
    const { drainTimeoutMs } = this.#options.config.server;
    const readPath = this.#readPath;
    return [
      step("become unready", () => this.#readiness.enter("draining")),
      step("serve until load balancers have noticed", () => this.#serveOn()),
      step("end the chunks of warm-ups", () => this.#cacheView.pause()),
      begin(() => readPath.stopCopies()),
      step("say goodbye to the other replicas", () => this.#meshClient?.leave()),
      // Peers wait for fills of this replica as clients do.
      together(
        step("hand warm-ups on", () => this.#cacheView.handOn()),
        step("drain the mesh listener", () => this.#meshService?.drain(drainTimeoutMs)),
        step("drain the S3 listener", () => this.#drainClients(drainTimeoutMs)),
      ),
      begin(() => readPath.stopFlights()),
      step("end copies between disks", () => readPath.stopCopies()),
      step("stop warm-ups and the scrub", () => this.#cacheView.stop()),
      this.#closeStores(this.#commitsDrainMs),
    ];
  }

  /** During `server.drain_delay` this replica is a member as before, because clients still come to it. */
  async #serveOn(): Promise<void> {
    const { clock, config } = this.#options;
    const { drainDelayMs } = config.server;
    this.#listener.announceStop();
    if (drainDelayMs > 0) await sleep(clock, drainDelayMs);
  }

  async #drainClients(drainTimeoutMs: number): Promise<void> {
    const cut = await this.#listener.drain(drainTimeoutMs);
    this.#responsesCut = cut;
    if (cut === 0) return;
    this.#options.logger.warn(
      { responses: cut, see: pages.stop },
      "Cut responses that did not finish within server.drain_timeout",
    );
  }

  /** Copies and flights end with their commits, and commits end at the latest when the stores close. */
  #closeStores(deadlineMs: number): Step {
    const { disk, cachestore } = this.#tiers;
    return together(
      step("end copies between disks", () => this.#readPath.stopCopies()),
      step("end fills", () => this.#readPath.stopFlights()),
      step("close the disk", () => disk?.close(deadlineMs)),
      step("close the cachestore", () => cachestore?.store.close(deadlineMs)),
    );
  }

  /**
   * Shares `target_global` of each origin among the live replicas. A replica that has left keeps its share for the fills
   * that it ends, while the others share anew. Until it has stopped, the sum may exceed the target by that share.
   */
  #shareOrigins(): void {
    if (this.#meshClient?.membership.self.state === "left") return;
    const live = this.liveMembers;
    for (const [index, origin] of this.#origins.entries()) {
      origin.resize(originShare(this.#options.config.origins[index]?.targetGlobal ?? 1, live));
    }
  }
}
