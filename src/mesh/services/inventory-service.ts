/**
 * The server of ListChunks. FillChunk, the other call of its service, never gets here: the mesh server routes that path
 * to fill-chunk-handler.ts.
 */
import type { ConnectRouter } from "@connectrpc/connect";
import { FillService } from "../../../gen/orca/v1/fill_pb.ts";
import type { InventoryPage, InventoryRequest } from "../../fill/replication/inventory-peers.ts";
import { decodeInventoryRequest, encodeInventoryPage } from "../codec/inventory-codec.ts";
import type { ServiceCalls } from "../session/service-calls.ts";

/** Lists the chunks on this replica's disk. */
export interface InventoryAnswers {
  list(request: InventoryRequest): Promise<InventoryPage>;
}

export function routeInventory(
  router: ConnectRouter,
  inventory: InventoryAnswers,
  calls: ServiceCalls,
): void {
  router.service(FillService, {
    listChunks: (request) =>
      calls.answer(async () => encodeInventoryPage(await inventory.list(decodeInventoryRequest(request)))),
  });
}
