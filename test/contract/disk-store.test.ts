import { TunedS3Fifo } from "../../src/store/eviction/tuned-s3-fifo.ts";
import { DiskFixture } from "../store/disk/disk-fixture.ts";
import { storeContract } from "./store.ts";

storeContract("disk", async () => {
  const fixture = new DiskFixture();
  return {
    store: await fixture.open({ policy: new TunedS3Fifo() }),
    budget: fixture.budget,
    clock: fixture.clock,
    cleanup: () => fixture.close(),
  };
});
