/** Not in test:threads: cachestore.test.ts is, and a mixed load on three replicas takes a tenth of its time. */
import { TroubledStore } from "../support/troubled-store.ts";
import { cachestoreTroubles } from "./cachestore-troubles.ts";

cachestoreTroubles("the in-repo S3 server", () => TroubledStore.startServer());
