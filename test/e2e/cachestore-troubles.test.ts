import { TroubledStore } from "../support/troubled-store.ts";
import { cachestoreTroubles } from "./cachestore-troubles.ts";

cachestoreTroubles("the in-repo S3 server", () => TroubledStore.startServer());
