/**
 * Finds out which way a client's read of an object would go now: what this replica believes, what the coordinator of the
 * metadata believes, and what each live member holds. Nothing is changed on the way, and the origin is not asked. A member
 * that does not answer in time is listed with the reason, so that its blocks are not taken for absent.
 */
import { OrcaError } from "../../../base/orca-error.ts";
import { ObjectVersion } from "../../../chunk/object-version.ts";
import type { BlockWays, Way } from "../../../fill/inspection/block-ways.ts";
import type { Coordination } from "../../../membership/coordination.ts";
import { isLive, type Member } from "../../../membership/member.ts";
import type { Directory } from "../../../object/directory.ts";
import type {
  ExplainAnswer,
  ExplainAnswers,
  ExplainPeers,
  ExplainQuestion,
  OriginNow,
} from "../../../object/explaining/explain-peers.ts";
import type { BelievedVersion, MetadataBelief } from "../../../object/explaining/metadata-belief.ts";
import type { FirstBytes, ObjectLocation } from "../../../origin/origin.ts";
import { objectPlacementName } from "../../../placement/placement-name.ts";

export interface ObjectExplanationOptions {
  readonly replicaId: string;
  readonly answers: ExplainAnswers;
  readonly ways: BlockWays;
  /** The smallest chunk size: more bytes are not asked for together with metadata. */
  readonly chunkSizeBytesMin: number;
  /** Undefined in a cluster of one. */
  readonly cluster:
    | {
        readonly coordination: Pick<Coordination, "peekNext" | "members">;
        readonly cachePeers: ExplainPeers;
      }
    | undefined;
}

/** Bytes `[start, end)`; `end` may be Infinity. */
export interface AskedRange {
  readonly start: number;
  readonly end: number;
}

export interface Explained {
  readonly range: AskedRange;
  /** What the directory that answers clients believes. */
  readonly metadata: MetadataBelief;
  readonly coordinator: string;
  /** What the coordinator's believes; undefined where it did not answer. */
  readonly authority: MetadataBelief | undefined;
  readonly version: BelievedVersion | undefined;
  /** Empty without a version. */
  readonly ways: readonly Way[];
  readonly origins: readonly (OriginNow & { readonly replicaId: string })[];
  readonly silent: readonly OrcaError[];
}

type Answers = Map<string, ExplainAnswer | OrcaError>;

export class ObjectExplanation {
  readonly #options: ObjectExplanationOptions;

  constructor(options: ObjectExplanationOptions) {
    this.#options = options;
  }

  /** @throws OrcaError `invalid_argument` where the range has too many blocks. */
  async explain(directory: Directory, location: ObjectLocation, asked: AskedRange): Promise<Explained> {
    const { originId } = directory;
    const { replicaId, cluster, ways } = this.#options;
    const firstBytes = this.#firstBytesOf(asked);
    const metadata = directory.believes(location, firstBytes);
    const placement = objectPlacementName(originId, location);
    const coordinator = cluster?.coordination.peekNext(placement).member ?? { replicaId };
    const nothing: ExplainQuestion = { originId, location, firstBytes, firstChunk: 0, chunkCount: 0 };
    const asking = await this.#ask(coordinator, nothing);
    const authority = asking instanceof OrcaError ? undefined : asking.metadata;
    const version = metadata.version ?? authority?.version;
    const range = { start: asked.start, end: Math.min(asked.end, version?.sizeBytes ?? asked.end) };
    const hasBytes = version !== undefined && range.start < range.end;
    const question = hasBytes ? withVersion(nothing, version, range) : nothing;
    const answers = await this.#askAll(question);
    const blocks = new Map(
      [...answers].map(([id, each]) => [id, each instanceof OrcaError ? undefined : each.blocks]),
    );
    const { firstChunk, chunkCount } = question;
    const held = question.version && { version: question.version, firstChunk, chunkCount, blocks };
    return {
      range,
      metadata,
      coordinator: coordinator.replicaId,
      authority,
      version,
      ways: held ? ways.of(held, range.start, range.end) : [],
      origins: [...answers].flatMap(([id, each]) =>
        each instanceof OrcaError ? [] : [{ replicaId: id, ...each.origin }],
      ),
      silent: [...answers.values()].filter((each) => each instanceof OrcaError),
    };
  }

  /** As edge/headers/first-bytes.ts has them, for a client without conditions. */
  #firstBytesOf({ start, end }: AskedRange): FirstBytes {
    const { chunkSizeBytesMin } = this.#options;
    const chunkEnd = start - (start % chunkSizeBytesMin) + chunkSizeBytesMin;
    return { offset: start, lengthBytes: Math.min(end, chunkEnd) - start, withChecksums: false };
  }

  async #askAll(question: ExplainQuestion): Promise<Answers> {
    const { replicaId, cluster } = this.#options;
    const others = (cluster?.coordination.members() ?? [])
      .filter((member) => isLive(member) && member.replicaId !== replicaId)
      .sort((left, right) => (left.replicaId < right.replicaId ? -1 : 1));
    const own = await this.#options.answers.explain(question);
    const answers = await Promise.all(
      others.map(async (member) => [member.replicaId, await this.#ask(member, question)] as const),
    );
    return new Map<string, ExplainAnswer | OrcaError>([[replicaId, own], ...answers]);
  }

  async #ask(
    member: Pick<Member, "replicaId"> | Member,
    question: ExplainQuestion,
  ): Promise<ExplainAnswer | OrcaError> {
    const { replicaId, answers, cluster } = this.#options;
    if (member.replicaId === replicaId || !cluster || !("address" in member))
      return answers.explain(question);
    try {
      return await cluster.cachePeers.explain(member, question);
    } catch (thrown) {
      const action = `Cannot ask "${member.replicaId}" what it believes`;
      return OrcaError.from(thrown, "peer_unavailable", "mesh", action);
    }
  }
}

function withVersion(
  question: ExplainQuestion,
  believed: BelievedVersion,
  range: AskedRange,
): ExplainQuestion {
  const { originId, location } = question;
  const { bucket, key: objectKey } = location;
  const version = new ObjectVersion({ originId, bucket, objectKey, ...believed });
  const firstChunk = Math.floor(range.start / version.chunkSizeBytes);
  const lastChunk = Math.floor((range.end - 1) / version.chunkSizeBytes);
  return { ...question, version, firstChunk, chunkCount: lastChunk - firstChunk + 1 };
}
