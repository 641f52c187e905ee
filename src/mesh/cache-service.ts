/** The answering side of what people ask about caches. */
import type { ConnectRouter } from "@connectrpc/connect";
import { CacheService } from "../../gen/orca/v1/cache_pb.ts";
import type { CacheAnswers } from "../fill/cache-peers.ts";
import { inspectRequestFromWire } from "./cache-wire.ts";
import type { ServiceCalls } from "./service-calls.ts";

export function routeCache(router: ConnectRouter, cache: CacheAnswers, calls: ServiceCalls): void {
  router.service(CacheService, {
    inspectObject: (request) =>
      calls.answer(async () => ({ chunkTiers: await cache.inspect(inspectRequestFromWire(request)) })),
  });
}
