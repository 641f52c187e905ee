/** What a replica tells others of the pins on its disk: the counts, and the objects, the largest first, as far as they fit. */
import { KiB } from "../../../base/units.ts";
import type { DiskPins, PinnedObject } from "./disk-pins.ts";

export interface ReplicaPins {
  readonly chunks: number;
  readonly chunksMax: number;
  /** Of chunk files, footers included. */
  readonly bytes: number;
  readonly bytesMax: number;
  readonly objects: readonly PinnedObject[];
  /** Objects that have pins and are not in the list. */
  readonly objectsLeftOff: number;
}

/** The pins of this replica, with so many objects at most. */
export type PinAnswers = (objectsMax: number) => ReplicaPins;

/** Of names, for each object that may be named, and together: an answer is one message of the mesh. */
const nameBytesMean = 512;
const nameBytesMax = 512 * KiB;

/** `pins` is undefined without a disk. */
export function replicaPins(
  pins: Pick<DiskPins, "objects" | "count" | "countMax" | "bytes" | "bytesMax"> | undefined,
  objectsMax: number,
): ReplicaPins {
  const found = (pins?.objects() ?? []).sort((left, right) => right.bytes - left.bytes);
  let nameBytes = 0;
  const end = found.findIndex(({ originId, bucket, objectKey }, index) => {
    nameBytes += Buffer.byteLength(originId) + Buffer.byteLength(bucket) + Buffer.byteLength(objectKey);
    return index >= objectsMax || nameBytes > Math.min(nameBytesMax, nameBytesMean * objectsMax);
  });
  const objects = end < 0 ? found : found.slice(0, end);
  return {
    chunks: pins?.count ?? 0,
    chunksMax: pins?.countMax ?? 0,
    bytes: pins?.bytes ?? 0,
    bytesMax: pins?.bytesMax ?? 0,
    objects,
    objectsLeftOff: found.length - objects.length,
  };
}
