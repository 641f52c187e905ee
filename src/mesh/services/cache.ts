/**
 * Both ends of CacheService, over which people inspect, warm and purge the caches of all replicas: CacheClient asks other
 * replicas what they hold, pin, believe and have counted, to hold a chunk, or to forget objects (CachePeers, ExplainPeers,
 * WarmPeers, PurgePeers and others over the control sessions), and routeCache answers them.
 */
import type { ConnectRouter } from "@connectrpc/connect";
import { CacheService } from "../../../gen/orca/v1/cache_pb.ts";
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { ChunkTier } from "../../chunk/chunk-layout.ts";
import type { ObjectPrefix } from "../../chunk/object-prefix.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { ReplicaFigures } from "../../figures/replica-figures.ts";
import type { CacheAnswers, CachePeers, ChunkTiers } from "../../fill/inspection/cache-peers.ts";
import { blocksIn } from "../../fill/inspection/held-blocks.ts";
import type { HandedWarmUp, OpsPlace, WarmUpPeers, WarmUpTakers } from "../../fill/warming/handed-warm-up.ts";
import type { WarmAnswers, WarmPeers, WarmResult } from "../../fill/warming/warm-peers.ts";
import type { Member } from "../../membership/member.ts";
import type {
  ExplainAnswer,
  ExplainAnswers,
  ExplainPeers,
  ExplainQuestion,
} from "../../object/explaining/explain-peers.ts";
import type {
  PurgeAnswers,
  PurgedReplica,
  PurgePeers,
  PurgeScope,
} from "../../object/freshness/purge-peers.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import type { PinAnswers, ReplicaPins } from "../../store/disk/pins/replica-pins.ts";
import {
  decodeInspectAnswer,
  decodeInspectRequest,
  decodeWarmAnswer,
  decodeWarmRequest,
  encodeInspectRequest,
  encodeWarmAnswer,
  encodeWarmRequest,
} from "../codec/cache-codec.ts";
import {
  decodeExplainAnswer,
  decodeExplainRequest,
  encodeExplainAnswer,
  encodeExplainRequest,
} from "../codec/explain-codec.ts";
import { decodeFigures, encodeFigures } from "../codec/figures-codec.ts";
import { decodePins, encodePins } from "../codec/pins-codec.ts";
import { decodePurged, decodePurgeRequest, encodePurged, encodePurgeRequest } from "../codec/purge-codec.ts";
import { decodeOpsPlace, encodeWarmUp } from "../codec/warm-up-codec.ts";
import { WarmUpParts } from "../codec/warm-up-parts.ts";
import { callerKey } from "../session/caller.ts";
import { messageBytesMax } from "../session/http2-limits.ts";
import { type PeerCallStats, PeerCalls, type PeerCallsOptions } from "../session/peer-calls.ts";
import type { ServiceCalls } from "../session/service-calls.ts";

export interface CacheClientOptions extends PeerCallsOptions {
  /** For one answer. The peer answers from memory, and a person waits for it. */
  readonly timeoutMs?: number;
  /** For figures, which a page asks for every few seconds. */
  readonly figuresTimeoutMs?: number;
}

/** The figures of this replica, with so many slots of history at most. */
export type FigureAnswers = (historySlotsMax: number) => ReplicaFigures | Promise<ReplicaFigures>;

/** A chunk waits for its turn, for permits that clients leave free, and for all its bytes. */
const warmTimeoutMs = 900_000;
/** To find a prefix, a replica reads the footers of all its chunks: about a hundred a second on a hard disk. */
const purgeTimeoutMs = 3_600_000;

export class CacheClient implements CachePeers, ExplainPeers, WarmPeers, WarmUpPeers, PurgePeers {
  readonly stats: PeerCallStats;
  readonly #calls: PeerCalls<typeof CacheService>;
  readonly #timeoutMs: number;
  readonly #figuresTimeoutMs: number;

  constructor({ timeoutMs = 3000, figuresTimeoutMs = 2000, ...options }: CacheClientOptions) {
    this.#calls = new PeerCalls(CacheService, options);
    this.stats = this.#calls.stats;
    this.#timeoutMs = timeoutMs;
    this.#figuresTimeoutMs = figuresTimeoutMs;
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

  figures(peer: Member, historySlotsMax: number): Promise<ReplicaFigures> {
    return this.#calls.call({
      address: peer.address,
      timeoutMs: this.#figuresTimeoutMs,
      action: `Cannot ask "${peer.replicaId}" for its figures`,
      ask: (client, options) => client.figures({ historySlotsMax }, options),
      decode: decodeFigures,
    });
  }

  pins(peer: Member, objectsMax: number): Promise<ReplicaPins> {
    return this.#calls.call({
      address: peer.address,
      timeoutMs: this.#timeoutMs,
      action: `Cannot ask "${peer.replicaId}" what it pins`,
      ask: (client, options) => client.pins({ objectsMax }, options),
      decode: (answer) => decodePins(answer, objectsMax),
    });
  }

  warm(
    peer: Member,
    key: ChunkKey,
    fills: boolean,
    signal: AbortSignal,
    pinUntilMs = 0,
  ): Promise<WarmResult> {
    return this.#calls.call({
      address: peer.address,
      timeoutMs: warmTimeoutMs,
      signal,
      action: `Cannot ask "${peer.replicaId}" to hold a chunk of "${key.version.objectKey}"`,
      ask: (client, options) => client.warmChunk(encodeWarmRequest(key, fills, pinUntilMs), options),
      decode: (answer) => decodeWarmAnswer(answer, !fills && pinUntilMs > 0),
    });
  }

  async takeWarmUp(peer: Member, warmUp: HandedWarmUp, signal: AbortSignal): Promise<OpsPlace> {
    const action = `Cannot hand a warm-up to "${peer.replicaId}"`;
    for (const request of encodeWarmUp(warmUp)) {
      const place = await this.#calls.call({
        address: peer.address,
        timeoutMs: this.#timeoutMs,
        signal,
        action,
        ask: (client, options) => client.takeWarmUp(request, options),
        decode: (answer) => (answer.started ? decodeOpsPlace(answer) : undefined),
      });
      if (place) return place;
    }
    throw new OrcaError("peer_unavailable", "mesh", `${action}: it has all parts and does not begin`);
  }

  purge(peer: Member, prefix: ObjectPrefix, scope: PurgeScope, signal: AbortSignal): Promise<PurgedReplica> {
    return this.#calls.call({
      address: peer.address,
      timeoutMs: purgeTimeoutMs,
      signal,
      action: `Cannot ask "${peer.replicaId}" to forget objects`,
      ask: (client, options) => client.purgeObjects(encodePurgeRequest(prefix, scope), options),
      decode: decodePurged,
    });
  }
}

export interface CacheParts {
  readonly held: CacheAnswers;
  readonly explained: ExplainAnswers;
  readonly figures: FigureAnswers;
  readonly pins: PinAnswers;
  readonly warmer: WarmAnswers;
  readonly warmUps: WarmUpTakers;
  readonly purger: PurgeAnswers;
  readonly clock: Clock;
  /** The agreed layout, as chunkSizeFor takes it. */
  readonly chunkTiers: readonly ChunkTier[];
}

export function routeCache(
  router: ConnectRouter,
  { held, explained, figures, pins, warmer, warmUps, purger, chunkTiers, clock }: CacheParts,
  calls: ServiceCalls,
): void {
  const parts = new WarmUpParts(clock);
  router.service(CacheService, {
    inspectObject: (request) =>
      calls.answer(async () => ({ chunkTiers: await held.inspect(decodeInspectRequest(request)) })),
    explainObject: (request) =>
      calls.answer(async () => encodeExplainAnswer(await explained.explain(decodeExplainRequest(request)))),
    figures: ({ historySlotsMax }) =>
      calls.answer(async () => ({ figures: encodeFigures(await figures(historySlotsMax)) })),
    pins: ({ objectsMax }) => calls.answer(() => encodePins(pins(objectsMax))),
    warmChunk: (request, { signal }) =>
      calls.answer(async () => {
        const { key, pinUntilMs } = decodeWarmRequest(request, chunkTiers);
        const result = await warmer.warm(key, request.fill, signal, pinUntilMs);
        return encodeWarmAnswer(result, pinUntilMs);
      }),
    purgeObjects: (request, { signal }) =>
      calls.answer(async () => {
        const { prefix, scope } = decodePurgeRequest(request);
        return encodePurged(await purger.purge(prefix, scope, signal));
      }),
  });
  router.rpc(
    CacheService.method.takeWarmUp,
    (request, { values }) =>
      calls.answer(async () => {
        const warmUp = parts.add(request, values.get(callerKey)?.remoteAddress ?? "");
        if (!warmUp) return { started: false };
        const { port, isTls } = await warmUps.take(warmUp);
        return { started: true, opsPort: port, opsTls: isTls };
      }),
    // A part of a manifest.
    { readMaxBytes: messageBytesMax },
  );
}
