/** What is on other replicas' disks: ChunkLists over the control sessions. */
import { FillService } from "../../gen/orca/v1/fill_pb.ts";
import type { ChunkListPage, ChunkListRequest, ChunkLists } from "../fill/chunk-lists.ts";
import type { Member } from "../membership/member.ts";
import { listPageFromWire, listRequestToWire } from "./chunk-list-wire.ts";
import { type PeerCallStats, PeerCalls, type PeerCallsOptions } from "./peer-calls.ts";

/** A page is a few hundred small reads from a disk that may have better things to do. */
const timeoutMs = 10_000;

export class ChunkListClient implements ChunkLists {
  readonly stats: PeerCallStats;
  readonly #calls: PeerCalls<typeof FillService>;

  constructor(options: PeerCallsOptions) {
    this.#calls = new PeerCalls(FillService, options);
    this.stats = this.#calls.stats;
  }

  list(peer: Member, request: ChunkListRequest): Promise<ChunkListPage> {
    return this.#calls.call({
      address: peer.address,
      timeoutMs,
      action: `Cannot ask "${peer.replicaId}" for the chunks on its disk`,
      ask: (client, options) => client.listChunks(listRequestToWire(request), options),
      read: listPageFromWire,
    });
  }
}
