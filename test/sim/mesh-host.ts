/** The processes on the simulated mesh, and what a stream between two of them needs of it. */
import type { ChunkServer } from "../../src/fill/chunk-server.ts";
import type { InventoryAnswers } from "../../src/mesh/services/inventory-service.ts";
import type { ObjectAnswers } from "../../src/object/object-peers.ts";
import type { StallableClock } from "../support/stallable-clock.ts";

/** A process on the mesh. After a restart it is another one. */
export interface MeshHost {
  readonly replicaId: string;
  readonly clock: StallableClock;
  readonly chunks: ChunkServer;
  readonly objects: ObjectAnswers;
  /** Undefined where disks are not replicated. */
  readonly inventory: InventoryAnswers | undefined;
}

/** Who calls: known before its servers are made. */
export type MeshCaller = Pick<MeshHost, "replicaId" | "clock">;

/** Carries messages, each to the process it is for. */
export interface MessageCarrier {
  /** Replicas that take what they are sent and never answer. */
  readonly blackHoles: ReadonlySet<string>;
  isCut(from: string, to: string): boolean;
  carry(from: string, to: MeshCaller, isWanted: () => boolean): Promise<void>;
  arrive(from: MeshCaller, to: string, isWanted: () => boolean): Promise<MeshHost | "refused" | "swallowed">;
}
