/** Makes a GuardedCachestore of a driver, with a breaker and a catalog at their defaults. */
import type { Clock } from "../../../src/base/clock.ts";
import type { Logger } from "../../../src/base/logger.ts";
import { Breaker } from "../../../src/store/cachestore/breaker.ts";
import type { CachestoreDriver } from "../../../src/store/cachestore/cachestore-driver.ts";
import { Catalog } from "../../../src/store/cachestore/catalog.ts";
import { GuardedCachestore } from "../../../src/store/cachestore/guarded-cachestore.ts";

export function guarded(driver: CachestoreDriver, clock: Clock, logger: Logger): GuardedCachestore {
  return new GuardedCachestore({
    driver,
    breaker: new Breaker({ clock }),
    catalog: new Catalog(),
    clock,
    logger,
  });
}
