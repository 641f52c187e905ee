/**
 * The server of the calls about what is on disks. FillChunk, the other call of their service, never gets here: the mesh server routes that path
 * to fill-chunk-handler.ts.
 */
import type { ConnectRouter } from "@connectrpc/connect";
import { FillService } from "../../../gen/orca/v1/fill_pb.ts";
import type {
  ComparePage,
  CompareRequest,
  InventoryPage,
  InventoryRequest,
} from "../../fill/replication/inventory-peers.ts";
import type { ChunkKey } from "../../store/chunk-store.ts";
import {
  decodeAnnounced,
  decodeCompareRequest,
  decodeInventoryRequest,
  decodeNameRequest,
  encodeComparePage,
  encodeInventoryPage,
  encodeNamed,
} from "../codec/inventory-codec.ts";
import type { ServiceCalls } from "../session/service-calls.ts";

/** Tells what is on this replica's disk, and hears of chunks on those of others. */
export interface InventoryAnswers {
  announced(chunks: readonly ChunkKey[]): void;
  compare(request: CompareRequest): Promise<ComparePage>;
  nameChunks(paths: readonly string[]): Promise<readonly ChunkKey[]>;
  /** For peers of an earlier version. */
  list(request: InventoryRequest): Promise<InventoryPage>;
}

export function routeInventory(
  router: ConnectRouter,
  inventory: InventoryAnswers,
  calls: ServiceCalls,
): void {
  router.service(FillService, {
    announceChunks: (request) =>
      calls.answer(() => {
        inventory.announced(decodeAnnounced(request));
        return {};
      }),
    compareChunks: (request) =>
      calls.answer(async () => encodeComparePage(await inventory.compare(decodeCompareRequest(request)))),
    nameChunks: (request) =>
      calls.answer(async () => encodeNamed(await inventory.nameChunks(decodeNameRequest(request)))),
    listChunks: (request) =>
      calls.answer(async () => encodeInventoryPage(await inventory.list(decodeInventoryRequest(request)))),
  });
}
