/**
 * The pins of the whole cluster: those of this replica, and those that each live member answers with. All members are asked
 * at once. One that does not answer in time is named with the reason, and its pins are in no total.
 *
 * Invariants:
 * 1. One round of questions runs at a time. A request that comes during it, or within a second after it, gets its answer,
 *    so many people who look cost no more than one.
 * 2. All answers together name at most {@link namedMax} objects.
 */
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { isLive, type Member } from "../../membership/member.ts";
import type { Membership } from "../../membership/membership.ts";
import type { Buckets } from "../../object/buckets.ts";
import type { PinnedObject } from "../../store/disk/pins/disk-pins.ts";
import type { PinAnswers, ReplicaPins } from "../../store/disk/pins/replica-pins.ts";
import { type PinCounts, type PinnedDocument, pinCounts, pinsShownMax, shownPins } from "./pin-documents.ts";

/** Over the mesh. */
export interface PinPeers {
  /** @throws OrcaError `peer_unavailable` where the peer cannot answer; else the peer's error. */
  pins(peer: Member, objectsMax: number): Promise<ReplicaPins>;
}

export interface ClusterPinsOptions {
  readonly replicaId: string;
  readonly pins: PinAnswers;
  readonly buckets: Buckets;
  /** Undefined in a cluster of one. */
  readonly cluster:
    | { readonly membership: Pick<Membership, "members">; readonly peers: PinPeers }
    | undefined;
  readonly clock: Clock;
}

/** The answer to `GET /cache/pins?cluster=true`. Fields stay, new ones may come. */
export interface ClusterPinsDocument extends Omit<PinCounts, "objects_left_off"> {
  /** The one that was asked. */
  readonly replica_id: string;
  readonly replicas: readonly ({ readonly replica_id: string } & PinCounts)[];
  readonly unreachable: readonly { readonly replica_id: string; readonly reason: string }[];
  /** The largest first; counts are sums over replicas, and `until` is the first end. */
  readonly objects: readonly ClusterPinnedDocument[];
  /** Objects that the replicas have named and that are not in the list. */
  readonly objects_left_off: number;
}

export interface ClusterPinnedDocument extends PinnedDocument {
  readonly replicas: readonly {
    readonly replica_id: string;
    readonly chunks: number;
    readonly bytes: number;
  }[];
}

interface NamedPins extends ReplicaPins {
  readonly replicaId: string;
}

interface Unreachable {
  readonly replica_id: string;
  readonly reason: string;
}

interface PinnedSum extends PinnedObject {
  readonly replicas: { readonly replica_id: string; readonly chunks: number; readonly bytes: number }[];
}

const namedMax = 16_000;
const answerKeptMs = 1000;

export class ClusterPins {
  readonly #options: ClusterPinsOptions;
  #answer: Promise<ClusterPinsDocument> | undefined;
  #answeredMs = 0;

  constructor(options: ClusterPinsOptions) {
    this.#options = options;
  }

  read(): Promise<ClusterPinsDocument> {
    const { clock } = this.#options;
    if (this.#answer && clock.monotonic() < this.#answeredMs + answerKeptMs) return this.#answer;
    this.#answeredMs = Infinity;
    const answer = this.#ask().finally(() => {
      this.#answeredMs = clock.monotonic();
    });
    this.#answer = answer;
    return answer;
  }

  async #ask(): Promise<ClusterPinsDocument> {
    const { replicaId, pins, cluster, buckets } = this.#options;
    const others = (cluster?.membership.members() ?? []).filter(
      (member) => isLive(member) && member.replicaId !== replicaId,
    );
    const objectsMax = Math.max(1, Math.min(pinsShownMax, Math.floor(namedMax / (others.length + 1))));
    const answers = await Promise.all(others.map((member) => this.#askMember(member, objectsMax)));
    const answered = answers.filter((answer): answer is NamedPins => !("reason" in answer));
    const all = [{ replicaId, ...pins(objectsMax) }, ...answered].toSorted(byId);
    const { objects, leftOff } = shownPins(sumsOf(all), buckets);
    return {
      replica_id: replicaId,
      chunks: sum(all.map(({ chunks }) => chunks)),
      max_chunks: sum(all.map(({ chunksMax }) => chunksMax)),
      bytes: sum(all.map(({ bytes }) => bytes)),
      max_bytes: sum(all.map(({ bytesMax }) => bytesMax)),
      replicas: all.map((each) => ({ replica_id: each.replicaId, ...pinCounts(each) })),
      unreachable: answers.filter((answer): answer is Unreachable => "reason" in answer),
      objects,
      objects_left_off: leftOff,
    };
  }

  async #askMember(member: Member, objectsMax: number): Promise<NamedPins | Unreachable> {
    const { replicaId } = member;
    const action = `Cannot ask "${replicaId}" what it pins`;
    try {
      const pins = await this.#options.cluster?.peers.pins(member, objectsMax);
      if (pins) return { replicaId, ...pins };
      return { replica_id: replicaId, reason: action };
    } catch (thrown) {
      const { message } = OrcaError.from(thrown, "peer_unavailable", "mesh", action);
      return { replica_id: replicaId, reason: message };
    }
  }
}

function sumsOf(all: readonly NamedPins[]): PinnedSum[] {
  const sums = new Map<string, PinnedSum>();
  for (const { replicaId, objects } of all) {
    for (const { originId, bucket, objectKey, chunks, bytes, untilMs } of objects) {
      const name = JSON.stringify([originId, bucket, objectKey]);
      const empty = { originId, bucket, objectKey, chunks: 0, bytes: 0, untilMs, replicas: [] };
      const object: PinnedSum = sums.get(name) ?? empty;
      object.chunks += chunks;
      object.bytes += bytes;
      object.untilMs = Math.min(object.untilMs, untilMs);
      object.replicas.push({ replica_id: replicaId, chunks, bytes });
      sums.set(name, object);
    }
  }
  return [...sums.values()].sort((left, right) => right.bytes - left.bytes);
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

function byId(left: NamedPins, right: NamedPins): number {
  return left.replicaId < right.replicaId ? -1 : 1;
}
