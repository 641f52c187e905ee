/**
 * Hands a warm-up to another replica. It asks a few of them, one after the other, and ends within {@link handOverMs}. One
 * that took it and whose answer was lost leads it, too: then two replicas lead one warm-up, which fetches nothing twice,
 * because they ask the same coordinators.
 */
import { type Clock, sleep } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { HandedWarmUp, OpsPlace, WarmUpPeers } from "../../fill/warming/handed-warm-up.ts";
import type { Coordination } from "../../membership/coordination.ts";
import type { Member } from "../../membership/member.ts";
import type { WarmDocument } from "./warm-document.ts";

export interface WarmUpHandOverParts {
  readonly coordination: Pick<Coordination, "ranked" | "selfId">;
  readonly peers: WarmUpPeers;
  readonly clock: Clock;
  readonly logger: Logger;
}

const candidatesMax = 3;
const handOverMs = 4000;

export class WarmUpHandOver {
  readonly #parts: WarmUpHandOverParts;

  constructor(parts: WarmUpHandOverParts) {
    this.#parts = parts;
  }

  get hasCandidates(): boolean {
    return this.#candidates("").length > 0;
  }

  /** Where it goes on. Undefined if no replica took it. */
  async handOn(handed: HandedWarmUp): Promise<WarmDocument["continued"] | undefined> {
    const { peers, clock, logger } = this.#parts;
    const late = new AbortController();
    const deadline = new AbortController();
    void sleep(clock, handOverMs, deadline.signal).then(
      () => late.abort(new OrcaError("peer_unavailable", "mesh", `no answer within ${handOverMs} ms`)),
      () => undefined,
    );
    try {
      for (const member of this.#candidates(handed.runId)) {
        const place = await peers.takeWarmUp(member, handed, late.signal).catch((thrown: unknown) => {
          const { replicaId } = member;
          logger.info({ err: thrown, replicaId, runId: handed.runId }, "Cannot hand a warm-up on");
          return undefined;
        });
        if (place) return { replica_id: member.replicaId, ops: opsUrl(member, place) };
      }
      return undefined;
    } finally {
      deadline.abort();
    }
  }

  #candidates(runId: string): readonly Member[] {
    const { coordination } = this.#parts;
    return coordination
      .ranked(runId, candidatesMax + 1)
      .filter(({ replicaId }) => replicaId !== coordination.selfId)
      .slice(0, candidatesMax);
  }
}

/** The host is that of the mesh, since members know no other of each other. */
function opsUrl({ address }: Member, { port, isTls }: OpsPlace): string {
  return `${isTls ? "https" : "http"}://${address.slice(0, address.lastIndexOf(":"))}:${port}`;
}
