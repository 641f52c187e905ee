/** What this replica answers a person, or a peer that asks for one, about the way of a read: @see ObjectExplanation. */
import { OrcaError } from "../base/orca-error.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import { blocksIn, type HeldBlocks } from "../fill/inspection/held-blocks.ts";
import {
  type ExplainAnswer,
  type ExplainAnswers,
  type ExplainQuestion,
  explainedBlocksMax,
} from "../object/explaining/explain-peers.ts";
import type { OpenOrigin } from "./metadata.ts";

export class ReplicaExplainAnswers implements ExplainAnswers {
  readonly #held: HeldBlocks;
  readonly #origins: readonly OpenOrigin[];

  constructor(held: HeldBlocks, origins: readonly OpenOrigin[]) {
    this.#held = held;
    this.#origins = origins;
  }

  async explain(question: ExplainQuestion): Promise<ExplainAnswer> {
    const { originId, location, firstBytes, version, firstChunk, chunkCount } = question;
    const open = this.#origins.find(({ origin }) => origin.id === originId);
    if (!open) throw rejected(location.key, `origin "${originId}" is not configured here`);
    if (version) checkBlocks(version, firstChunk, chunkCount);
    const { requestsInFlight, requestsInFlightMax, requestsWaiting, throttle } = open.origin;
    return {
      metadata: open.authority.believes(location, firstBytes),
      origin: {
        inFlight: requestsInFlight,
        inFlightMax: requestsInFlightMax,
        waiting: requestsWaiting,
        ...(throttle?.isCut && { throttledTo: throttle.limit }),
      },
      blocks: version ? await this.#held.of(version, firstChunk, chunkCount) : new Uint8Array(),
    };
  }
}

function checkBlocks(version: ObjectVersion, firstChunk: number, chunkCount: number): void {
  let blocks = 0;
  for (let index = firstChunk; index < firstChunk + chunkCount; index += 1) {
    blocks += blocksIn(version, index);
    if (blocks <= explainedBlocksMax) continue;
    throw rejected(
      version.objectKey,
      `more than ${explainedBlocksMax} MiB at once; ask about a shorter range`,
    );
  }
}

function rejected(key: string, reason: string): OrcaError {
  return new OrcaError("invalid_argument", "client", `Cannot explain "${key}": ${reason}`);
}
