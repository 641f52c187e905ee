/** How pins are shown, of one replica or of all: the counts, and the largest objects in the names that clients use. */
import { MiB } from "../../base/units.ts";
import type { Buckets } from "../../object/buckets.ts";
import type { PinnedObject } from "../../store/disk/pins/disk-pins.ts";
import type { ReplicaPins } from "../../store/disk/pins/replica-pins.ts";

export interface PinCounts {
  readonly chunks: number;
  readonly max_chunks: number;
  /** Of chunk files, footers included. */
  readonly bytes: number;
  readonly max_bytes: number;
  /** Objects that have pins and are not in the list. */
  readonly objects_left_off: number;
}

export interface PinnedDocument {
  /** In the names that clients use. */
  readonly url: string;
  readonly chunks: number;
  readonly bytes: number;
  /** When the first of its pins ends, in ISO 8601. */
  readonly until: string;
}

/** Objects that are shown, and characters of all their URLs as JSON has them. */
export const pinsShownMax = 1000;
const urlCharactersMax = MiB;

export function pinCounts({ chunks, chunksMax, bytes, bytesMax, objectsLeftOff }: ReplicaPins): PinCounts {
  return {
    chunks,
    max_chunks: chunksMax,
    bytes,
    max_bytes: bytesMax,
    objects_left_off: objectsLeftOff,
  };
}

/** The first of `objects`. Fields beside those of a {@link PinnedObject} are shown as they are. */
export function shownPins<Pinned extends PinnedObject>(
  objects: readonly Pinned[],
  buckets: Buckets,
): {
  readonly objects: readonly (Omit<Pinned, keyof PinnedObject> & PinnedDocument)[];
  readonly leftOff: number;
} {
  const shown: (Omit<Pinned, keyof PinnedObject> & PinnedDocument)[] = [];
  let urlCharacters = 0;
  for (const object of objects.slice(0, pinsShownMax)) {
    const url = urlOf(object, buckets);
    urlCharacters += JSON.stringify(url).length;
    if (urlCharacters > urlCharactersMax) break;
    const { originId: _origin, bucket: _bucket, objectKey: _key, untilMs, chunks, bytes, ...more } = object;
    shown.push({ url, chunks, bytes, until: new Date(untilMs).toISOString(), ...more });
  }
  return { objects: shown, leftOff: objects.length - shown.length };
}

function urlOf({ originId, bucket, objectKey }: PinnedObject, buckets: Buckets): string {
  for (const [name, configured] of buckets.configured) {
    const place = configured.locate("");
    const isThere = configured.directory.originId === originId && place.bucket === bucket;
    if (isThere && objectKey.startsWith(place.key))
      return `s3://${name}/${objectKey.slice(place.key.length)}`;
  }
  return `s3://${bucket}/${objectKey}`;
}
