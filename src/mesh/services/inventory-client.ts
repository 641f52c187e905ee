/** Compares this replica's disk with those of others, and announces chunks to them, over the control sessions. */
import { Code, ConnectError } from "@connectrpc/connect";
import { FillService } from "../../../gen/orca/v1/fill_pb.ts";
import { type ChunkTier, chunkSizeFor, defaultChunkTiers } from "../../chunk/chunk-layout.ts";
import type { AnnouncementPeers } from "../../fill/replication/announcer.ts";
import type {
  ComparePage,
  CompareRequest,
  InventoryPage,
  InventoryPeers,
} from "../../fill/replication/inventory-peers.ts";
import type { Member } from "../../membership/member.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import {
  decodeComparePage,
  decodeInventoryPage,
  decodeNamed,
  encodeAnnounced,
  encodeCompareRequest,
  encodeInventoryRequest,
} from "../codec/inventory-codec.ts";
import { type PeerCallStats, PeerCalls, type PeerCallsOptions } from "../session/peer-calls.ts";

/** A page is a few hundred small reads, from a disk that may be busy with others. */
const timeoutMs = 10_000;
/** Chunks of a page of a peer of an earlier version, which reads a file for each of them. */
const listedChunksMax = 128;

export interface InventoryClientOptions extends PeerCallsOptions {
  /** The agreed layout. */
  readonly chunkTiers?: readonly ChunkTier[];
}

export class InventoryClient implements InventoryPeers, AnnouncementPeers {
  readonly stats: PeerCallStats;
  readonly #calls: PeerCalls<typeof FillService>;
  readonly #chunkTiers: readonly ChunkTier[];

  constructor({ chunkTiers = defaultChunkTiers, ...options }: InventoryClientOptions) {
    this.#chunkTiers = chunkTiers;
    this.#calls = new PeerCalls(FillService, options);
    this.stats = this.#calls.stats;
  }

  /** A peer of an earlier version does not know this call, and is asked for its list. */
  compare(peer: Member, request: CompareRequest): Promise<ComparePage> {
    return this.#calls.call({
      ...this.#callOf(peer),
      ask: async (client, options) => {
        try {
          return await client.compareChunks(encodeCompareRequest(request), options);
        } catch (thrown) {
          if (!isUnimplemented(thrown)) throw thrown;
          const chunksMax = Math.min(request.chunksMax, listedChunksMax);
          return client.listChunks(encodeInventoryRequest({ ...request, chunksMax }), options);
        }
      },
      decode: (message) =>
        message.$typeName === "orca.v1.CompareChunksResponse"
          ? decodeComparePage(message)
          : this.#asComparePage(decodeInventoryPage(message)),
    });
  }

  announce(peer: Member, chunks: readonly ChunkKey[]): Promise<boolean> {
    return this.#calls.call({
      ...this.#callOf(peer),
      action: `Cannot announce chunks to "${peer.replicaId}"`,
      ask: async (client, options) => {
        try {
          return await client.announceChunks(encodeAnnounced(chunks), options);
        } catch (thrown) {
          if (isUnimplemented(thrown)) return undefined;
          throw thrown;
        }
      },
      decode: (answer) => answer !== undefined,
    });
  }

  nameChunks(peer: Member, paths: readonly string[]): Promise<readonly ChunkKey[]> {
    return this.#calls.call({
      ...this.#callOf(peer),
      ask: (client, options) => client.nameChunks({ chunkPaths: [...paths] }, options),
      decode: (message) => this.#ofLayout(decodeNamed(message)),
    });
  }

  #callOf({ address, replicaId }: Member) {
    return { address, timeoutMs, action: `Cannot list the chunks on the disk of "${replicaId}"` };
  }

  #asComparePage({ chunks, ...page }: InventoryPage): ComparePage {
    const ofLayout = this.#ofLayout(chunks);
    const paths = ofLayout.map(({ version, index }) => version.chunkPath(index));
    return { ...page, paths, chunks: ofLayout, extra: undefined };
  }

  /** Without the chunks of an earlier layout. No replica asks for them any more, and no peer sends them. */
  #ofLayout(chunks: readonly ChunkKey[]): readonly ChunkKey[] {
    return chunks.filter(
      ({ version }) => version.chunkSizeBytes === chunkSizeFor(version.sizeBytes, this.#chunkTiers),
    );
  }
}

/** A peer of an earlier version does not know the call. */
function isUnimplemented(thrown: unknown): boolean {
  return thrown instanceof ConnectError && thrown.code === Code.Unimplemented;
}
