/** A process that writes one chunk whole and another in pieces to the disk root of its argument, until it is killed. */
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { MiB } from "../../../src/base/units.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { chunkOf, openTier, refOf } from "./disk-fixture.ts";

const [, , root] = process.argv;
const clock = new FakeClock();
const budget = new MemoryBudget({ maxBytes: 64 * MiB, clock });
const tier = openTier(root as string, { clock });
await tier.ready;
const whole = chunkOf(budget, refOf("whole", MiB));
await tier.put(refOf("whole", MiB), whole);
const chunk = chunkOf(budget, refOf("staged", 8 * MiB));
const stage = tier.stage(refOf("staged", 8 * MiB));
for (const [index, segment] of chunk.segments.slice(0, 5).entries()) {
  await stage?.append(segment.bytes);
  console.log(`staged ${index}`);
}
setInterval(() => tier.usedBytes, 60_000);
