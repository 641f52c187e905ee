/**
 * The figures of the whole cluster: those of this replica, and those that each live member answers with. All members are
 * asked at once. One that does not answer in time is named with the reason, and its figures are in no total.
 *
 * Invariants:
 * 1. One round of questions runs at a time. A request that comes during it, or within a second after it, gets its answer.
 *    So many people who look cost no more than one.
 * 2. All answers together have at most `historySlotsMax` slots of history.
 */
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { slotsMax, sumOfSeries } from "../../figures/figure-history.ts";
import { mergedHotObjects } from "../../figures/hot-objects.ts";
import type { FigureSeries, HotObject, ReplicaFigures } from "../../figures/replica-figures.ts";
import { isLive, type Member, type MemberState } from "../../membership/member.ts";
import type { Membership } from "../../membership/membership.ts";
import { type ExplainedErrors, explainedErrors, type FigureTotals, totalsOf } from "./figure-totals.ts";

/** Over the mesh. */
export interface FigurePeers {
  /** @throws OrcaError `peer_unavailable` where the peer cannot answer; else the peer's error. */
  figures(peer: Member, historySlotsMax: number): Promise<ReplicaFigures>;
}

export interface FigureCluster {
  readonly membership: Pick<Membership, "members">;
  readonly figurePeers: FigurePeers;
}

export interface MemberFigures {
  readonly replica_id: string;
  readonly address: string;
  readonly zone: string;
  readonly state: MemberState;
  readonly self: boolean;
  /** The part of all names that it coordinates. */
  readonly share: number;
}

export interface UnreachableMember {
  readonly replica_id: string;
  readonly reason: string;
}

/** What `/figures` answers, see figures-endpoint.ts. */
export interface ClusterFiguresDocument {
  readonly replica_id: string;
  readonly at_ms: number;
  readonly members: readonly MemberFigures[];
  readonly replicas: readonly Omit<ReplicaFigures, "history" | "hot_objects" | "errors">[];
  readonly unreachable: readonly UnreachableMember[];
  readonly totals: FigureTotals;
  readonly errors: ExplainedErrors;
  readonly hot_objects: readonly HotObject[];
  readonly history: FigureSeries;
}

const answerKeptMs = 1000;
/** About 1 MiB of messages. */
const historySlotsAllMax = 64 * slotsMax;

/** Of this replica. @see ReplicaFiguresReader */
export interface OwnFigures {
  read(historySlotsMax: number): ReplicaFigures | Promise<ReplicaFigures>;
}

export class ClusterFigures {
  readonly #reader: OwnFigures;
  readonly #replicaId: string;
  readonly #zone: string;
  readonly #cluster: FigureCluster | undefined;
  readonly #clock: Clock;
  #answer: Promise<ClusterFiguresDocument> | undefined;
  #answeredMs = 0;

  /** `cluster` is undefined in a cluster of one. */
  constructor(
    reader: OwnFigures,
    { replicaId, zone }: { readonly replicaId: string; readonly zone: string },
    cluster: FigureCluster | undefined,
    clock: Clock,
  ) {
    this.#reader = reader;
    this.#replicaId = replicaId;
    this.#zone = zone;
    this.#cluster = cluster;
    this.#clock = clock;
  }

  read(): Promise<ClusterFiguresDocument> {
    if (this.#answer && this.#clock.monotonic() < this.#answeredMs + answerKeptMs) return this.#answer;
    this.#answeredMs = Infinity;
    const answer = this.#ask().finally(() => {
      this.#answeredMs = this.#clock.monotonic();
    });
    this.#answer = answer;
    return answer;
  }

  async #ask(): Promise<ClusterFiguresDocument> {
    const members = this.#members();
    const others = (this.#cluster?.membership.members() ?? [])
      .filter((member) => isLive(member) && member.replicaId !== this.#replicaId)
      .sort(byId);
    const slots = Math.min(slotsMax, Math.floor(historySlotsAllMax / (others.length + 1)));
    const answers = await Promise.all(others.map((member) => this.#askMember(member, slots)));
    const answered = answers.filter((answer): answer is ReplicaFigures => !("reason" in answer));
    const all = [await this.#reader.read(slots), ...answered];
    const nowMs = this.#clock.now();
    return {
      replica_id: this.#replicaId,
      at_ms: nowMs,
      members,
      replicas: all.map(({ history: _history, hot_objects: _hot, errors: _errors, ...figures }) => figures),
      unreachable: answers.filter((answer): answer is UnreachableMember => "reason" in answer),
      totals: totalsOf(all),
      errors: explainedErrors(all),
      hot_objects: mergedHotObjects(all.map(({ hot_objects }) => hot_objects)),
      history: sumOfSeries(
        all.map(({ history }) => history),
        nowMs,
      ),
    };
  }

  /** Its answer must be its own: one that names another replica would count that one twice. */
  async #askMember(member: Member, slots: number): Promise<ReplicaFigures | UnreachableMember> {
    const { replicaId } = member;
    const action = `Cannot ask "${replicaId}" for its figures`;
    try {
      const figures = await this.#cluster?.figurePeers.figures(member, slots);
      if (figures?.replica_id === replicaId) return figures;
      return { replica_id: replicaId, reason: `${action}: it answers as "${figures?.replica_id}"` };
    } catch (thrown) {
      const { message } = OrcaError.from(thrown, "peer_unavailable", "mesh", action);
      return { replica_id: replicaId, reason: message };
    }
  }

  #members(): MemberFigures[] {
    const cluster = this.#cluster;
    if (!cluster) {
      const alone = { address: "", zone: this.#zone, state: "alive", self: true, share: 1 } as const;
      return [{ replica_id: this.#replicaId, ...alone }];
    }
    const members = cluster.membership.members().sort(byId);
    const live = members.filter(isLive).length;
    return members.map((member) => ({
      replica_id: member.replicaId,
      address: member.address,
      zone: member.zone,
      state: member.state,
      self: member.replicaId === this.#replicaId,
      share: isLive(member) ? 1 / live : 0,
    }));
  }
}

function byId(left: Member, right: Member): number {
  return left.replicaId < right.replicaId ? -1 : 1;
}
