/**
 * The flights of a replica as a place for the first bytes of objects, which arrive with their metadata: an opening names
 * bytes by their offset in the object, and a flight is a run of blocks of one chunk.
 */
import { segmentSizeBytes } from "../base/memory-budget.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { Filler } from "../fill/filler.ts";
import type { FirstBytesPlaces } from "../object/heads/origin-heads.ts";
import type { ChunkKey } from "../store/chunk-store.ts";

/** `wereEmpty`: whether no tier holds bytes of an earlier run, as soon as that is known. */
export function firstBytesPlaces(filler: Filler, wereEmpty: boolean | Promise<boolean>): FirstBytesPlaces {
  let known = typeof wereEmpty === "boolean" ? wereEmpty : undefined;
  if (typeof wereEmpty !== "boolean") {
    void wereEmpty.then((isEmpty) => {
      known = isEmpty;
    });
  }
  return {
    get wereEmpty() {
      return known;
    },
    get hasRoom() {
      return filler.hasRoom;
    },
    holds: (version, offset) => filler.holds(...chunkAt(version, offset)),
    receive: (version, offset, lengthBytes, asker) => {
      const [key, start] = chunkAt(version, offset);
      return isRun(key, start, lengthBytes) ? filler.receive(key, start, lengthBytes, asker) : undefined;
    },
  };
}

/** The chunk with the byte at `offset` of an object, and where in it that byte is. */
function chunkAt(version: ObjectVersion, offset: number): [key: ChunkKey, start: number] {
  const index = Math.floor(offset / version.chunkSizeBytes);
  return [{ version, index }, offset - index * version.chunkSizeBytes];
}

/** Whether bytes are whole blocks of a chunk. They are not where chunk sizes are odd: they were asked for without it. */
function isRun({ version, index }: ChunkKey, start: number, lengthBytes: number): boolean {
  const chunkBytes = version.chunkLength(index);
  const end = start + lengthBytes;
  return (
    start % segmentSizeBytes === 0 &&
    (end % segmentSizeBytes === 0 || end === chunkBytes) &&
    end <= chunkBytes
  );
}
