/**
 * A process that commits chunks to the cachestore's directory in its argument, in the same order as other processes,
 * and prints the results. It begins when the file of its last argument exists, so that several processes begin
 * together.
 */
import { existsSync } from "node:fs";
import { MemoryBudget } from "../../../../src/base/memory-budget.ts";
import { MiB } from "../../../../src/base/units.ts";
import { PosixCachestore } from "../../../../src/store/cachestore/posix/posix-cachestore.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { RecordedLogger } from "../../../support/recorded-logger.ts";
import { chunkOf, keyOf } from "../../disk/disk-fixture.ts";

const [, , root, chunks, startSignal] = process.argv;
const clock = new FakeClock();
const budget = new MemoryBudget({ maxBytes: 64 * MiB, clock });
const store = new PosixCachestore({ root: root as string, clock, logger: new RecordedLogger() });
const results: string[] = [];
console.log("ready");
while (!existsSync(startSignal as string)) await new Promise((resolve) => setImmediate(resolve));
for (let index = 0; index < Number(chunks); index += 1) {
  const key = keyOf("raced", Number(chunks) * MiB, index, MiB);
  const chunk = chunkOf(budget, key);
  results.push(await store.put(key, chunk));
  chunk.release();
}
console.log(`results ${JSON.stringify(results)}`);
await store.close(0);
