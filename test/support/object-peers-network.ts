/**
 * What the mesh does for metadata, in memory: a question goes to the ObjectAnswers of the replica that is asked. A test
 * sees every one of them, takes replicas away, and holds messages on their way.
 */
import { OrcaError } from "../../src/base/orca-error.ts";
import type {
  ObjectAnswers,
  ObjectPeers,
  PeerHeadRequest,
  PeerListRequest,
  PeerPartRequest,
} from "../../src/object/object-peers.ts";

/** One question, from the asking to the asked replica. */
export interface ObjectCall {
  readonly from: string;
  readonly to: string;
  readonly request: PeerHeadRequest | PeerListRequest | PeerPartRequest;
}

export class ObjectPeersNetwork {
  readonly calls: ObjectCall[] = [];
  readonly hosts = new Map<string, ObjectAnswers>();
  /** Passes the time that a message takes; rejects where it is lost. Messages take no time by default. */
  carry: (from: string, to: string) => Promise<void> = async () => {};

  /** How `from` sees the others. */
  peersOf(from: string): ObjectPeers {
    return {
      head: (peer, request) => this.#ask({ from, to: peer.replicaId, request }, (host) => host.head(request)),
      part: (peer, request) => this.#ask({ from, to: peer.replicaId, request }, (host) => host.part(request)),
      list: (peer, request) => this.#ask({ from, to: peer.replicaId, request }, (host) => host.list(request)),
    };
  }

  async #ask<Answer>(call: ObjectCall, answer: (host: ObjectAnswers) => Promise<Answer>): Promise<Answer> {
    const { from, to } = call;
    this.calls.push(call);
    await this.carry(from, to);
    const host = this.hosts.get(to);
    if (!host) throw new OrcaError("peer_unavailable", "mesh", `Cannot ask "${to}": it is gone`);
    try {
      return await answer(host);
    } finally {
      await this.carry(to, from);
    }
  }
}
