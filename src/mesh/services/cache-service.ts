/** The answering side of what people ask about caches. */
import type { ConnectRouter } from "@connectrpc/connect";
import { CacheService } from "../../../gen/orca/v1/cache_pb.ts";
import type { CacheAnswers } from "../../fill/inspection/cache-peers.ts";
import { decodeInspectRequest } from "../codec/cache-codec.ts";
import type { ServiceCalls } from "../session/service-calls.ts";

export function routeCache(router: ConnectRouter, cache: CacheAnswers, calls: ServiceCalls): void {
  router.service(CacheService, {
    inspectObject: (request) =>
      calls.answer(async () => ({ chunkTiers: await cache.inspect(decodeInspectRequest(request)) })),
  });
}
