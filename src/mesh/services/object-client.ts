/** Metadata from other replicas: ObjectPeers over the control sessions. */
import { ObjectService } from "../../../gen/orca/v1/object_pb.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { Member } from "../../membership/member.ts";
import type {
  ObjectPeers,
  PeerHeadAnswer,
  PeerHeadRequest,
  PeerListAnswer,
  PeerListRequest,
} from "../../object/object-peers.ts";
import {
  decodeHeadAnswer,
  decodeListAnswer,
  encodeHeadRequest,
  encodeListRequest,
} from "../codec/object-codec.ts";
import {
  type PeerCall,
  type PeerCallStats,
  PeerCalls,
  type PeerCallsOptions,
} from "../session/peer-calls.ts";

export interface ObjectClientOptions extends PeerCallsOptions {
  /** For one answer. The coordinator may have to ask its origin, and the bound of a session's calls is there besides. */
  readonly timeoutMs?: number;
}

/**
 * Calls at once, to all peers. All may be to one, and its session for control must have room left for pings: a replica
 * that asks too much would take the other for dead.
 */
const callsMax = 512;

export class ObjectClient implements ObjectPeers {
  readonly stats: PeerCallStats;
  readonly #calls: PeerCalls<typeof ObjectService>;
  readonly #permits: Semaphore;
  readonly #timeoutMs: number;

  constructor({ timeoutMs = 10_000, ...options }: ObjectClientOptions) {
    this.#calls = new PeerCalls(ObjectService, options);
    this.stats = this.#calls.stats;
    this.#permits = new Semaphore("metadata of peers", callsMax, options.clock, 10_000, "mesh");
    this.#timeoutMs = timeoutMs;
  }

  head(peer: Member, request: PeerHeadRequest): Promise<PeerHeadAnswer> {
    const { key } = request.location;
    return this.#call({
      address: peer.address,
      timeoutMs: this.#timeoutMs,
      action: `Cannot ask "${peer.replicaId}" about "${key}"`,
      ask: (client, options) => client.headObject(encodeHeadRequest(request), options),
      read: (answer) => decodeHeadAnswer(answer, key),
    });
  }

  list(peer: Member, request: PeerListRequest): Promise<PeerListAnswer> {
    return this.#call({
      address: peer.address,
      timeoutMs: this.#timeoutMs,
      action: `Cannot ask "${peer.replicaId}" for the keys that begin with "${request.request.prefix}"`,
      ask: (client, options) => client.listObjects(encodeListRequest(request), options),
      read: decodeListAnswer,
    });
  }

  async #call<Wire, Answer>(call: PeerCall<typeof ObjectService, Wire, Answer>): Promise<Answer> {
    const permit = await this.#permits.acquire(this.#timeoutMs);
    try {
      return await this.#calls.call(call);
    } finally {
      permit.release();
    }
  }
}
