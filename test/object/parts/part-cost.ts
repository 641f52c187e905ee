/**
 * A process that prints the memory of as many tables of parts as its first argument says, each of as many parts as the
 * second says, and what they are taken to cost.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { PartTables } from "../../../src/object/parts/part-tables.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const tables = Number(process.argv[2]);
const count = Number(process.argv[3]);

/** Numbers in bulk lie outside of V8's heap, where memory is released in the background. */
async function heapBytes(): Promise<number> {
  for (let round = 0; round < 5; round += 1) {
    globalThis.gc?.();
    await sleep(20);
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const parts = new PartTables({
  originId: "origin-a",
  source: {
    hasParts: true,
    part: async () => ({ part: { kind: "range", start: 0, end: 5, count }, remainingMs: undefined }),
  },
  clock: new FakeClock(),
  ttlMs: 300_000,
  entriesMax: tables,
});
const before = await heapBytes();
for (let index = 0; index < tables; index += 1) {
  const line = `/bucket/some/directory/of/large/objects/${index}.bin?X-Amz-Signature=${"s".repeat(512)}`;
  const key = line.slice("/bucket/".length, line.indexOf("?"));
  const etag = `d41d8cd98f00b204e980${String(index).padStart(12, "0")}-${count}`;
  await parts.find({ bucket: "bucket", key, etag, objectSizeBytes: 100, partNumber: 1 });
}
const taken = (await heapBytes()) - before;
console.log(JSON.stringify({ entries: parts.size, heapBytes: taken, countedBytes: parts.bytes }));
