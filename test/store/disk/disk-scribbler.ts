/** A process that writes chunks to the disk root of its argument until it is killed, and prints how many are stored. */
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { MiB } from "../../../src/base/units.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { chunkOf, keyOf, openTier } from "./disk-fixture.ts";

const [, , root, round] = process.argv;
const clock = new FakeClock();
const budget = new MemoryBudget({ maxBytes: 64 * MiB, clock });
const tier = openTier(root as string, { clock });
for (let index = 0; index < 200; index += 1) {
  const key = keyOf(`scribble-${round}`, 800 * MiB, index, 4 * MiB);
  const chunk = chunkOf(budget, key);
  await tier.put(key, chunk);
  chunk.release();
  console.log(`stored ${index}`);
}
setInterval(() => tier.usedBytes, 60_000);
