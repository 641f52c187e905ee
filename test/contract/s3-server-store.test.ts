/** The S3 cachestore on the in-repo S3 server, behind its guard as replicas use it. */
import { after } from "node:test";
import { S3CachestoreFixture } from "../store/cachestore/s3/s3-cachestore-fixture.ts";
import { startSignedS3Server } from "../support/s3-fixture.ts";
import { storeContract } from "./store.ts";

const server = await startSignedS3Server();
after(() => server.stop());
let buckets = 0;

storeContract("S3Cachestore on the in-repo S3 server", async () => {
  buckets += 1;
  const fixture = await S3CachestoreFixture.open(server, `chunks-${buckets}`);
  return {
    store: await fixture.guarded(),
    budget: fixture.budget,
    clock: fixture.clock,
    cleanup: () => fixture.close(),
  };
});
