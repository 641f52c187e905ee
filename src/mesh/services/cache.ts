/**
 * Both ends of CacheService, over which people inspect the caches of all replicas: CacheClient asks other replicas what
 * they hold and believe (CachePeers and ExplainPeers over the control sessions), and routeCache answers them.
 */
import type { ConnectRouter } from "@connectrpc/connect";
import { CacheService } from "../../../gen/orca/v1/cache_pb.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { CacheAnswers, CachePeers, ChunkTiers } from "../../fill/inspection/cache-peers.ts";
import { blocksIn } from "../../fill/inspection/held-blocks.ts";
import type { Member } from "../../membership/member.ts";
import type {
  ExplainAnswer,
  ExplainAnswers,
  ExplainPeers,
  ExplainQuestion,
} from "../../object/explaining/explain-peers.ts";
import { decodeInspectAnswer, decodeInspectRequest, encodeInspectRequest } from "../codec/cache-codec.ts";
import {
  decodeExplainAnswer,
  decodeExplainRequest,
  encodeExplainAnswer,
  encodeExplainRequest,
} from "../codec/explain-codec.ts";
import { type PeerCallStats, PeerCalls, type PeerCallsOptions } from "../session/peer-calls.ts";
import type { ServiceCalls } from "../session/service-calls.ts";

export interface CacheClientOptions extends PeerCallsOptions {
  /** For one answer. The peer answers from memory, and a person waits for it. */
  readonly timeoutMs?: number;
}

export class CacheClient implements CachePeers, ExplainPeers {
  readonly stats: PeerCallStats;
  readonly #calls: PeerCalls<typeof CacheService>;
  readonly #timeoutMs: number;

  constructor({ timeoutMs = 3000, ...options }: CacheClientOptions) {
    this.#calls = new PeerCalls(CacheService, options);
    this.stats = this.#calls.stats;
    this.#timeoutMs = timeoutMs;
  }

  inspect(peer: Member, version: ObjectVersion): Promise<ChunkTiers> {
    return this.#calls.call({
      address: peer.address,
      timeoutMs: this.#timeoutMs,
      action: `Cannot ask "${peer.replicaId}" what it holds of "${version.objectKey}"`,
      ask: (client, options) => client.inspectObject(encodeInspectRequest(version), options),
      decode: (answer) => decodeInspectAnswer(answer, version),
    });
  }

  explain(peer: Member, question: ExplainQuestion): Promise<ExplainAnswer> {
    const { version, firstChunk, chunkCount } = question;
    let blocks = 0;
    for (let index = firstChunk; index < firstChunk + chunkCount; index += 1)
      blocks += version ? blocksIn(version, index) : 0;
    return this.#calls.call({
      address: peer.address,
      timeoutMs: this.#timeoutMs,
      action: `Cannot ask "${peer.replicaId}" what it believes of "${question.location.key}"`,
      ask: (client, options) => client.explainObject(encodeExplainRequest(question), options),
      decode: (answer) => decodeExplainAnswer(answer, blocks),
    });
  }
}

export interface CacheParts {
  readonly held: CacheAnswers;
  readonly explained: ExplainAnswers;
}

export function routeCache(
  router: ConnectRouter,
  { held, explained }: CacheParts,
  calls: ServiceCalls,
): void {
  router.service(CacheService, {
    inspectObject: (request) =>
      calls.answer(async () => ({ chunkTiers: await held.inspect(decodeInspectRequest(request)) })),
    explainObject: (request) =>
      calls.answer(async () => encodeExplainAnswer(await explained.explain(decodeExplainRequest(request)))),
  });
}
