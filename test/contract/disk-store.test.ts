import { DiskFixture, newTuned } from "../store/disk/disk-fixture.ts";
import { storeContract } from "./store.ts";

storeContract("disk", async () => {
  const fixture = new DiskFixture();
  return {
    store: await fixture.open({ policy: newTuned }),
    budget: fixture.budget,
    clock: fixture.clock,
    cleanup: () => fixture.close(),
  };
});
