/**
 * The cluster as a source of where parts lie. The replica that coordinates an object answers about its parts, too
 * (cluster-heads.ts), so the origin receives one HEAD per part and TTL from all replicas together.
 */
import type { Coordination } from "../../membership/coordination.ts";
import type { PartRequest } from "../../origin/origin.ts";
import { objectPlacementName } from "../../placement/placement-name.ts";
import type { Asker, Trace } from "../../trace/trace.ts";
import { CoordinatorCall } from "../coordinator-call.ts";
import type { ObjectPeers } from "../object-peers.ts";
import { traced } from "../traced-question.ts";
import type { PartAnswer, PartSource, PartTables } from "./part-tables.ts";

export interface ClusterPartsOptions {
  readonly originId: string;
  readonly hasParts: boolean;
  readonly coordination: Coordination;
  readonly peers: ObjectPeers;
  /** This replica's own: it answers as the coordinator, or in place of one that is unreachable. */
  readonly authority: PartTables;
  readonly trace?: Trace | undefined;
}

export class ClusterParts implements PartSource {
  readonly hasParts: boolean;
  readonly #originId: string;
  readonly #peers: ObjectPeers;
  readonly #authority: PartTables;
  readonly #trace: Trace | undefined;
  readonly #call: CoordinatorCall;

  constructor({ originId, hasParts, coordination, peers, authority, trace }: ClusterPartsOptions) {
    this.#trace = trace;
    this.hasParts = hasParts;
    this.#originId = originId;
    this.#peers = peers;
    this.#authority = authority;
    this.#call = new CoordinatorCall(coordination);
  }

  part(request: PartRequest, asker?: Asker): Promise<PartAnswer> {
    const { requestId } = asker ?? {};
    const originId = this.#originId;
    const asked = { originId, location: request, question: "part", requestId } as const;
    return this.#call.ask<PartAnswer>(
      objectPlacementName(originId, request),
      (peer) =>
        traced(this.#trace, { ...asked, peer }, () =>
          this.#peers.part(peer, { originId, request, requestId }),
        ),
      () => this.#authority.answer(request, asker),
    );
  }
}
