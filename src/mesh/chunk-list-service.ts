/**
 * The answering side of ListChunks. FillChunk, the other call of its service, never gets here: the server gives that path
 * to fill-chunk-handler.ts.
 */
import type { ConnectRouter } from "@connectrpc/connect";
import { FillService } from "../../gen/orca/v1/fill_pb.ts";
import type { ChunkListPage, ChunkListRequest } from "../fill/chunk-lists.ts";
import { listPageToWire, listRequestFromWire } from "./chunk-list-wire.ts";
import type { ServiceCalls } from "./service-calls.ts";

/** Who knows what is on this replica's disk. */
export interface ChunkListAnswers {
  list(request: ChunkListRequest): Promise<ChunkListPage>;
}

export function routeChunkLists(router: ConnectRouter, lists: ChunkListAnswers, calls: ServiceCalls): void {
  router.service(FillService, {
    listChunks: (request) =>
      calls.answer(async () => listPageToWire(await lists.list(listRequestFromWire(request)))),
  });
}
