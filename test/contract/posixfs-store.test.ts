import { PosixFixture } from "../store/cachestore/posix/posix-fixture.ts";
import { storeContract } from "./store.ts";

storeContract("guarded posixfs", async () => {
  const fixture = new PosixFixture();
  return {
    store: await fixture.guarded(),
    budget: fixture.budget,
    clock: fixture.clock,
    cleanup: () => fixture.close(),
  };
});
