/** A process that writes one chunk whole and another in pieces to the disk root of its argument, until it is killed. */
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { MiB } from "../../../src/base/units.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { chunkOf, keyOf, openTier } from "./disk-fixture.ts";

const [, , root] = process.argv;
const clock = new FakeClock();
const budget = new MemoryBudget({ maxBytes: 64 * MiB, clock });
const tier = openTier(root as string, { clock });
await tier.ready;
const whole = chunkOf(budget, keyOf("whole", MiB));
await tier.put(keyOf("whole", MiB), whole);
const chunk = chunkOf(budget, keyOf("staged", 8 * MiB));
const stage = tier.stage(keyOf("staged", 8 * MiB));
for (const [index, segment] of chunk.segments.slice(0, 5).entries()) {
  await stage?.append(segment.bytes);
  console.log(`staged ${index}`);
}
setInterval(() => tier.usedBytes, 60_000);
