/** Lists the chunks on other replicas' disks: InventoryPeers over the control sessions. */
import { FillService } from "../../../gen/orca/v1/fill_pb.ts";
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

export class InventoryClient implements InventoryPeers {
  readonly stats: PeerCallStats;
  readonly #calls: PeerCalls<typeof FillService>;

  constructor(options: PeerCallsOptions) {
    this.#calls = new PeerCalls(FillService, options);
    this.stats = this.#calls.stats;
  }

  list(peer: Member, request: InventoryRequest): Promise<InventoryPage> {
    return this.#calls.call({
      address: peer.address,
      timeoutMs,
      action: `Cannot list the chunks on the disk of "${peer.replicaId}"`,
      ask: (client, options) => client.listChunks(encodeInventoryRequest(request), options),
      decode: decodeInventoryPage,
    });
  }
}
