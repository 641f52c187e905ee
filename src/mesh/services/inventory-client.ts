/** Lists the chunks on other replicas' disks: InventoryPeers over the control sessions. */
import { FillService } from "../../../gen/orca/v1/fill_pb.ts";
import { type ChunkTier, chunkSizeFor, defaultChunkTiers } from "../../chunk/chunk-layout.ts";
import type {
  InventoryPage,
  InventoryPeers,
  InventoryRequest,
} from "../../fill/replication/inventory-peers.ts";
import type { Member } from "../../membership/member.ts";
import { decodeInventoryPage, encodeInventoryRequest } from "../codec/inventory-codec.ts";
import { type PeerCallStats, PeerCalls, type PeerCallsOptions } from "../session/peer-calls.ts";

/** A page is a few hundred small reads, from a disk that may be busy with others. */
const timeoutMs = 10_000;

export interface InventoryClientOptions extends PeerCallsOptions {
  /** The agreed layout. */
  readonly chunkTiers?: readonly ChunkTier[];
}

export class InventoryClient implements InventoryPeers {
  readonly stats: PeerCallStats;
  readonly #calls: PeerCalls<typeof FillService>;
  readonly #chunkTiers: readonly ChunkTier[];

  constructor({ chunkTiers = defaultChunkTiers, ...options }: InventoryClientOptions) {
    this.#chunkTiers = chunkTiers;
    this.#calls = new PeerCalls(FillService, options);
    this.stats = this.#calls.stats;
  }

  list(peer: Member, request: InventoryRequest): Promise<InventoryPage> {
    return this.#calls.call({
      address: peer.address,
      timeoutMs,
      action: `Cannot list the chunks on the disk of "${peer.replicaId}"`,
      ask: (client, options) => client.listChunks(encodeInventoryRequest(request), options),
      decode: (message) => this.#ofLayout(decodeInventoryPage(message)),
    });
  }

  /** Without the chunks of an earlier layout. No replica asks for them any more, and no peer sends them. */
  #ofLayout(page: InventoryPage): InventoryPage {
    const chunks = page.chunks.filter(
      ({ version }) => version.chunkSizeBytes === chunkSizeFor(version.sizeBytes, this.#chunkTiers),
    );
    return { ...page, chunks };
  }
}
