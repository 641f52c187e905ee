/** What goes wrong in a simulated cluster: draws the next fault of those that its scenario has, and mends all of them. */
import type { Timer } from "../../src/base/clock.ts";
import type { Chance } from "../support/chance.ts";
import type { SimulatedClock } from "../support/simulated-clock.ts";
import type { Scenario, ScenarioKind } from "./scenario.ts";
import type { SimulatedCachestore } from "./simulated-cachestore.ts";
import type { DiskMedium } from "./simulated-disk.ts";
import type { SimulatedMesh } from "./simulated-mesh.ts";
import { fairWeather, type SimulatedOrigin } from "./simulated-origin.ts";
import type { SimulatedReplica } from "./simulated-replica.ts";
import type { Trace } from "./trace.ts";

type Fault =
  | "change"
  | "slow"
  | "desert"
  | "crash"
  | "restart"
  | "pause"
  | "disk"
  | "store"
  | "part"
  | "hole"
  | "reset"
  | "origin";

const faultsOf: Readonly<Record<ScenarioKind, readonly Fault[]>> = {
  calm: ["slow", "desert"],
  changing: ["slow", "desert", "change", "change", "change"],
  losing: ["slow", "desert", "crash", "crash", "restart", "pause", "disk", "store", "store", "change"],
  parting: ["slow", "desert", "part", "part", "hole", "reset", "reset", "change"],
  storm: [
    "slow",
    "desert",
    "change",
    "change",
    "crash",
    "restart",
    "pause",
    "disk",
    "store",
    "part",
    "hole",
    "reset",
    "origin",
    "origin",
  ],
};

/** The cluster as its faults see it: what can be broken, and what shows that it was. */
export interface BreakableCluster {
  readonly clock: SimulatedClock;
  readonly scenario: Scenario;
  readonly trace: Trace;
  readonly origin: SimulatedOrigin;
  readonly mesh: SimulatedMesh;
  readonly media: Map<string, DiskMedium>;
  readonly cachestore: SimulatedCachestore;
  readonly keys: readonly string[];
  readonly replicaIds: readonly string[];
  readonly replicas: ReadonlyMap<string, SimulatedReplica>;
  start(id: string): void;
  crash(id: string, loudly: boolean): void;
  partition(sides: readonly (readonly string[])[]): void;
  heal(): void;
  herd(key?: string): void;
  desert(): void;
  watch(key: string): void;
  sizeOf(index: number): number | undefined;
}

export class Faults {
  readonly #cluster: BreakableCluster;
  readonly #chance: Chance;
  readonly #strikes: Readonly<Record<Fault, () => void>>;
  #timer: Timer | undefined;
  #hasEnded = false;

  constructor(cluster: BreakableCluster, chance: Chance) {
    this.#cluster = cluster;
    this.#chance = chance;
    this.#strikes = {
      change: () => this.#change(),
      slow: () => this.#slow(),
      desert: () => this.#cluster.desert(),
      crash: () => this.#crash(),
      restart: () => this.#restart(),
      pause: () => this.#pause(),
      disk: () => this.#disk(),
      store: () => this.#store(),
      part: () => this.#part(),
      hole: () => this.#hole(),
      reset: () => this.#reset(),
      origin: () => this.#originFails(),
    };
  }

  /** Strikes now and then, for so long at most. */
  begin(): void {
    const { clock, scenario } = this.#cluster;
    const kinds = faultsOf[scenario.kind];
    const everyMs = scenario.kind === "changing" ? 600 : 1500;
    const next = (): void => {
      this.#timer = clock.timer(this.#chance.between(50, 2 * everyMs), () => {
        const fault = this.#chance.oneOf(kinds);
        if (fault) this.#strike(fault);
        next();
      });
    };
    next();
  }

  /** Strikes no more, and mends what is broken. */
  end(): void {
    const { origin, mesh, media, cachestore, replicaIds, replicas } = this.#cluster;
    this.#hasEnded = true;
    this.#timer?.cancel();
    this.#cluster.heal();
    origin.weather = { ...fairWeather };
    mesh.blackHoles.clear();
    for (const id of replicaIds) if (!replicas.has(id)) this.#cluster.start(id);
    for (const { disk } of replicas.values()) if (disk) disk.refuses = false;
    cachestore.failing = 0;
    for (const medium of [cachestore.medium, ...media.values()]) {
      // What cannot be read is found out at the latest now. Later it would cost a GET, wherever it lies.
      for (const [path, state] of medium) if (state === "damaged") medium.delete(path);
    }
  }

  /** Where nothing is going on, a fault finds nothing to break: most strike among a herd. */
  #strike(fault: Fault): void {
    if (this.#chance.happens(0.3)) return this.#strikes[fault]();
    this.#cluster.herd();
    this.#cluster.clock.timer(this.#chance.between(0, 500), () => {
      if (!this.#hasEnded) this.#strikes[fault]();
    });
  }

  /** Before, while or after many ask for it. */
  #change(): void {
    const { keys, origin, clock } = this.#cluster;
    const index = this.#chance.below(keys.length);
    const key = keys[index] as string;
    if (this.#chance.happens(0.5)) this.#cluster.herd(key);
    clock.timer(this.#chance.between(0, 400), () => origin.write(key, this.#cluster.sizeOf(index)));
    if (this.#chance.happens(0.5)) clock.timer(this.#chance.between(0, 800), () => this.#cluster.herd(key));
    if (this.#chance.happens(0.5)) this.#cluster.watch(key);
  }

  #slow(): void {
    const { weather } = this.#cluster.origin;
    weather.latencyMs = fairWeather.latencyMs * this.#chance.oneOf([0.3, 1, 1, 3, 8]);
    weather.bytesPerMs = fairWeather.bytesPerMs * this.#chance.oneOf([3, 1, 1, 0.3]);
  }

  /** One is always left, and so is the other half of a pair that was never more. */
  #crash(): void {
    const { replicas } = this.#cluster;
    if (replicas.size <= 2) return this.#restart();
    const running = [...replicas.values()];
    const filling = running.filter(({ filler }) => filler.flightsInProgress > 0);
    const victim = this.#chance.oneOf(filling) ?? this.#chance.oneOf(running);
    if (victim) this.#cluster.crash(victim.replicaId, this.#chance.happens(0.5));
  }

  #restart(): void {
    const { replicas, replicaIds, media } = this.#cluster;
    const id = this.#chance.oneOf(replicaIds.filter((each) => !replicas.has(each)));
    if (id === undefined) return;
    if (this.#chance.happens(0.3)) media.delete(id);
    this.#cluster.start(id);
  }

  /** The event loop of one stands still, for less than would make anybody give up on it, or more. */
  #pause(): void {
    const { replicas, trace } = this.#cluster;
    const replica = this.#chance.oneOf([...replicas.values()]);
    if (!replica || replica.clock.stalled) return;
    const durationMs = this.#chance.oneOf([200, 1000, 2500]);
    trace.note(replica.replicaId, `stands still for ${durationMs} ms`);
    replica.clock.stall(durationMs);
  }

  #disk(): void {
    const { replicas, media, trace } = this.#cluster;
    const replica = this.#chance.oneOf([...replicas.values()]);
    if (!replica?.disk) return;
    if (this.#chance.happens(0.5)) {
      replica.disk.refuses = !replica.disk.refuses;
      return;
    }
    const medium = media.get(replica.replicaId);
    const path = this.#chance.oneOf([...(medium?.keys() ?? [])]);
    if (path !== undefined) medium?.set(path, "damaged");
    trace.note(replica.replicaId, "loses a chunk on disk");
  }

  /** The cachestore fails or works again, for all at once; or it damages or loses a chunk. */
  #store(): void {
    const { cachestore, scenario, trace } = this.#cluster;
    if (!scenario.hasCachestore) return;
    if (this.#chance.happens(0.5)) {
      cachestore.failing = cachestore.failing > 0 ? 0 : this.#chance.oneOf([0.2, 1]);
      return trace.note("store", `fails ${cachestore.failing} of what it is asked`);
    }
    const path = this.#chance.oneOf([...cachestore.medium.keys()]);
    if (path === undefined) return;
    if (this.#chance.happens(0.5)) cachestore.medium.set(path, "damaged");
    else cachestore.medium.delete(path);
    trace.note("store", "loses a chunk");
  }

  #part(): void {
    const { replicaIds } = this.#cluster;
    if (this.#chance.happens(0.4)) return this.#cluster.heal();
    const here = replicaIds.filter(() => this.#chance.happens(0.5));
    this.#cluster.partition([here, replicaIds.filter((id) => !here.includes(id))]);
  }

  /** One answers nobody any more about chunks and objects, and seems alive; or answers again. */
  #hole(): void {
    const { mesh, replicas, trace } = this.#cluster;
    const id = this.#chance.oneOf([...replicas.keys()]);
    if (id === undefined) return;
    const isOne = mesh.blackHoles.delete(id);
    if (!isOne && mesh.blackHoles.size === 0) mesh.blackHoles.add(id);
    trace.note(id, isOne ? "answers again" : "falls silent");
  }

  #reset(): void {
    const { mesh, trace } = this.#cluster;
    const stream = this.#chance.oneOf([...mesh.streams]);
    if (!stream) return;
    trace.note("net", `resets a stream from ${stream.to} to ${stream.from.replicaId}`);
    stream.reset();
  }

  #originFails(): void {
    const { origin, trace } = this.#cluster;
    const isBad = origin.weather.failing > 0;
    const weather = isBad
      ? { failing: 0, breaking: 0, hanging: 0 }
      : { failing: 0.2, breaking: 0.3, hanging: 0.05 };
    Object.assign(origin.weather, weather);
    trace.note("origin", isBad ? "works again" : "begins to fail");
  }
}
