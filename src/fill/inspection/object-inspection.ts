/**
 * Reports where the chunks of an object are in the whole cluster: what this replica holds, and what each live member
 * answers that it holds. All members are asked at once, and each answer is of its own moment. A member that does not
 * answer in time is listed with the reason, so that its chunks are not taken for absent.
 */
import { nextTurn } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { Coordination } from "../../membership/coordination.ts";
import { isLive, type Member } from "../../membership/member.ts";
import type { CacheAnswers, CachePeers, ChunkTiers } from "./cache-peers.ts";

export interface InspectedCluster {
  readonly coordination: Pick<Coordination, "chunkName" | "coordinator" | "members">;
  readonly cachePeers: CachePeers;
}

export interface ObjectInspectionOptions {
  readonly replicaId: string;
  readonly held: CacheAnswers;
  /** Undefined in a cluster of one. */
  readonly cluster: InspectedCluster | undefined;
}

/** What one replica holds, or why that is unknown. */
export interface Holdings {
  readonly replicaId: string;
  readonly tiers: ChunkTiers | OrcaError;
}

export interface InspectedObject {
  /** This replica first, then the others by id. */
  readonly replicas: readonly Holdings[];
  /** The coordinator of each chunk, by this replica's view. */
  readonly coordinators: readonly string[];
}

/** Ranking so many takes about a millisecond with a few members. */
const chunksPerTurn = 250;

export class ObjectInspection {
  readonly #options: ObjectInspectionOptions;

  constructor(options: ObjectInspectionOptions) {
    this.#options = options;
  }

  /** @throws OrcaError `invalid_argument` where the object has too many chunks. */
  async inspect(version: ObjectVersion): Promise<InspectedObject> {
    const { replicaId, held, cluster } = this.#options;
    const tiers = await held.inspect(version);
    const self: Holdings = { replicaId, tiers };
    if (!cluster) return { replicas: [self], coordinators: new Array(tiers.length).fill(replicaId) };
    const others = cluster.coordination
      .members()
      .filter((member) => isLive(member) && member.replicaId !== replicaId)
      .sort((left, right) => (left.replicaId < right.replicaId ? -1 : 1));
    const answers = Promise.all(others.map((member) => ask(cluster, member, version)));
    const coordinators = await coordinatorsOf(cluster, version);
    return { replicas: [self, ...(await answers)], coordinators };
  }
}

async function ask(
  { cachePeers }: InspectedCluster,
  member: Member,
  version: ObjectVersion,
): Promise<Holdings> {
  const { replicaId } = member;
  try {
    return { replicaId, tiers: await cachePeers.inspect(member, version) };
  } catch (thrown) {
    const error = OrcaError.from(
      thrown,
      "peer_unavailable",
      "mesh",
      `Cannot ask "${replicaId}" what it holds`,
    );
    return { replicaId, tiers: error };
  }
}

async function coordinatorsOf({ coordination }: InspectedCluster, version: ObjectVersion): Promise<string[]> {
  const coordinators: string[] = [];
  for (let index = 0; index < version.chunkCount; index += 1) {
    coordinators.push(coordination.coordinator(coordination.chunkName({ version, index })).replicaId);
    if (index % chunksPerTurn === chunksPerTurn - 1) await nextTurn();
  }
  return coordinators;
}
