/** Seeded use of a disk tier that is too small for its chunks: puts, reads and deletes, several at once. */
import type { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { SeededRandom } from "../../../src/base/random.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import type { DiskTier } from "../../../src/store/disk/disk-tier.ts";
import { chunkOf, keyOf, readChunk } from "./disk-fixture.ts";

export const churnBytesMax = 24 * MiB;

/** The chunks of a churn are together more than twice as large as {@link churnBytesMax}. */
const objects = 240;
const lanes = 6;

/** Most objects are small; every twelfth has a chunk of more than one block. */
export function churnedRef(index: number): ChunkKey {
  const sizeBytes = index % 12 === 0 ? MiB + index * KiB : 1 + index * 997;
  return keyOf(`churned-${index}`, sizeBytes);
}

export async function churn(
  tier: DiskTier,
  budget: MemoryBudget,
  seed: number,
  operations: number,
  onOperation: (done: number) => void = () => undefined,
): Promise<void> {
  const random = new SeededRandom(seed);
  let begun = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (begun < operations) {
      begun += 1;
      const key = churnedRef(Math.floor(random.next() * objects));
      const kind = random.next();
      if (kind < 0.6) await put(tier, budget, key);
      else if (kind < 0.85) await readChunk(tier, key);
      else await tier.delete(key);
      done += 1;
      onOperation(done);
    }
  };
  await Promise.all(Array.from({ length: lanes }, work));
}

async function put(tier: DiskTier, budget: MemoryBudget, key: ChunkKey): Promise<void> {
  const chunk = chunkOf(budget, key);
  try {
    await tier.put(key, chunk);
  } finally {
    chunk.release();
  }
}
