/**
 * A process that prints the bytes of memory of a full disk index of as many chunks as its argument says. Each chunk is of a
 * version of its own, and as many were evicted before: that costs most.
 */
import { createHash } from "node:crypto";
import { DiskIndex } from "../../../src/store/disk/disk-index.ts";
import { newTuned } from "./disk-fixture.ts";

const count = Number(process.argv[2]);

function usedBytes(): { heapBytes: number; sharedBytes: number } {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heapBytes: heapUsed, sharedBytes: arrayBuffers };
}

const before = usedBytes();
const index = new DiskIndex({
  maxBytes: count * 4096,
  maxChunks: count,
  highWatermark: 1,
  lowWatermark: 1,
  policy: newTuned,
});
index.endScan();
for (let chunk = 0; chunk < 2 * count; chunk += 1) {
  if (!index.reserve(4096).isReserved) throw new Error("no room");
  index.endReservation(4096);
  index.add(`origin/${createHash("sha256").update(String(chunk)).digest("hex")}/0`, 4096);
}
const after = usedBytes();
console.log(
  JSON.stringify({
    chunks: index.count,
    heapBytes: after.heapBytes - before.heapBytes,
    sharedBytes: after.sharedBytes - before.sharedBytes,
  }),
);
