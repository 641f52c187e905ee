/** Asks other replicas for metadata: ObjectPeers over the control sessions. */
import { ObjectService } from "../../../gen/orca/v1/object_pb.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { Member } from "../../membership/member.ts";
import type {
  ObjectPeers,
  PeerHeadAnswer,
  PeerHeadRequest,
  PeerListAnswer,
  PeerListRequest,
  PeerPartAnswer,
  PeerPartRequest,
} from "../../object/object-peers.ts";
import type { TraceContexts } from "../../trace/trace-contexts.ts";
import {
  decodeHeadAnswer,
  decodeListAnswer,
  encodeHeadRequest,
  encodeListRequest,
} from "../codec/object-codec.ts";
import { decodePartAnswer, encodePartRequest } from "../codec/part-codec.ts";
import {
  type PeerCall,
  type PeerCallStats,
  PeerCalls,
  type PeerCallsOptions,
} from "../session/peer-calls.ts";
import { requestIdHeaders } from "../session/peer-request-ids.ts";

export interface ObjectClientOptions extends PeerCallsOptions {
  /** For one answer. The coordinator may have to ask its origin. The deadline of a session's calls applies, too. */
  readonly timeoutMs?: number;
  readonly traceContexts?: TraceContexts | undefined;
}

/**
 * Calls at once, to all peers together. All of them may go to one peer, whose control session must have room left for
 * pings. Otherwise a replica with too many calls would take that peer for dead.
 */
const callsMax = 512;

export class ObjectClient implements ObjectPeers {
  readonly stats: PeerCallStats;
  readonly #calls: PeerCalls<typeof ObjectService>;
  readonly #permits: Semaphore;
  readonly #timeoutMs: number;
  readonly #traceContexts: TraceContexts | undefined;

  constructor({ timeoutMs = 10_000, traceContexts, ...options }: ObjectClientOptions) {
    this.#traceContexts = traceContexts;
    this.#calls = new PeerCalls(ObjectService, options);
    this.stats = this.#calls.stats;
    this.#permits = new Semaphore("metadata of peers", callsMax, options.clock, 10_000, "mesh");
    this.#timeoutMs = timeoutMs;
  }

  head(peer: Member, request: PeerHeadRequest): Promise<PeerHeadAnswer> {
    const { location } = request;
    return this.#call({
      address: peer.address,
      timeoutMs: this.#timeoutMs,
      action: `Cannot ask "${peer.replicaId}" about "${location.key}"`,
      ask: (client, options) =>
        client.headObject(encodeHeadRequest(request), {
          ...options,
          headers: requestIdHeaders(request.requestId, this.#traceContexts),
        }),
      decode: (answer) => decodeHeadAnswer(answer, location),
    });
  }

  async part(peer: Member, request: PeerPartRequest): Promise<PeerPartAnswer> {
    const action = `Cannot ask "${peer.replicaId}" for a part of "${request.request.key}"`;
    const answer = await this.#call({
      address: peer.address,
      timeoutMs: this.#timeoutMs,
      action,
      ask: (client, options) =>
        client.headObject(encodePartRequest(request), {
          ...options,
          headers: requestIdHeaders(request.requestId, this.#traceContexts),
        }),
      decode: (message) => decodePartAnswer(message, request),
    });
    if (answer) return answer;
    throw new OrcaError("not_held", "mesh", `${action}: it is of a version that knows no parts`);
  }

  list(peer: Member, request: PeerListRequest): Promise<PeerListAnswer> {
    return this.#call({
      address: peer.address,
      timeoutMs: this.#timeoutMs,
      action: `Cannot ask "${peer.replicaId}" for a listing of "${request.request.prefix}"`,
      ask: (client, options) => client.listObjects(encodeListRequest(request), options),
      decode: (answer) => decodeListAnswer(answer, request.request),
    });
  }

  async #call<Message, Answer>(call: PeerCall<typeof ObjectService, Message, Answer>): Promise<Answer> {
    const permit = await this.#permits.acquire(this.#timeoutMs);
    try {
      return await this.#calls.call(call);
    } finally {
      permit.release();
    }
  }
}
