/** A process that churns the disk root of its arguments until it is killed, and prints its progress. */
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { MiB } from "../../../src/base/units.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { churn, churnBytesMax } from "./disk-churn.ts";
import { newS3Fifo, openTier } from "./disk-fixture.ts";

const [, , root, seed] = process.argv;
const clock = new FakeClock();
const tier = openTier(root as string, { maxBytes: churnBytesMax, policy: newS3Fifo, clock });
await tier.ready;
await churn(tier, new MemoryBudget({ maxBytes: 64 * MiB, clock }), Number(seed), 1_000_000, (done) => {
  if (done % 100 === 0) console.log(`done ${done}`);
});
