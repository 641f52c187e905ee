/**
 * The place for the last bytes of an object whose size was not known when they were asked for. What comes begins anywhere
 * in a block and may span two chunks. The front that fills no block is dropped, and each chunk gets its own flight.
 *
 * Invariants:
 * 1. The signal of the flight whose bytes come next ends the whole body. A flight that comes later and is not wanted any
 *    more ends the body at its own first byte, so that the flight before it gets all of its bytes.
 * 2. A part is ended once: with its last byte, or with the body. Nothing listens to its signal after that.
 */
import type { ByteSink } from "../../base/byte-sink.ts";
import { segmentSizeBytes } from "../../base/memory-budget.ts";
import type { OrcaError } from "../../base/orca-error.ts";
import { KiB } from "../../base/units.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { BodyPlace, FirstBytes } from "../../origin/origin.ts";
import type { Asker } from "../../trace/trace.ts";

const scratchBytes = 64 * KiB;

/** Where the bytes wanted begin in an object that is not empty, at the start of a block. */
export function startOfBytes({ offset, lastBytes }: FirstBytes, version: ObjectVersion): number {
  if (lastBytes === undefined) return offset;
  const { sizeBytes, chunkSizeBytes } = version;
  const first = Math.max(0, sizeBytes - lastBytes);
  return first - ((first % chunkSizeBytes) % segmentSizeBytes);
}

interface ChunkPlaces {
  receive(version: ObjectVersion, offset: number, lengthBytes: number, asker?: Asker): BodyPlace | undefined;
}

/** A run of bytes of the body. Without a place they are dropped. */
interface Part {
  missingBytes: number;
  readonly place: BodyPlace | undefined;
}

/**
 * The place for the bytes from `offset` to the end of the object, of which those from `start` on are kept. Undefined where
 * none of them has a place now.
 */
export function placeOfLastBytes(
  places: ChunkPlaces,
  version: ObjectVersion,
  offset: number,
  start: number,
  asker: Asker | undefined,
): BodyPlace | undefined {
  const { chunkSizeBytes, sizeBytes } = version;
  const parts: Part[] = [];
  if (start > offset) parts.push({ missingBytes: start - offset, place: undefined });
  for (let from = start; from < sizeBytes; ) {
    const end = Math.min(sizeBytes, from - (from % chunkSizeBytes) + chunkSizeBytes);
    parts.push({ missingBytes: end - from, place: places.receive(version, from, end - from, asker) });
    from = end;
  }
  return parts.some(({ place }) => place) ? new LastBytesPlace(parts) : undefined;
}

class LastBytesPlace implements BodyPlace {
  readonly sink: ByteSink = {
    space: () => this.#space(),
    advance: (lengthBytes) => this.#advance(lengthBytes),
  };
  readonly #parts: Part[];
  readonly #stop = new AbortController();
  readonly #stopIfUnwanted = (): void => {
    // Parts without a place are dropped for the one that follows them.
    const next = this.#parts.find(({ place }) => place);
    if (!next || next.place?.signal?.aborted) this.#stop.abort();
  };
  #scratch: Buffer | undefined;

  constructor(parts: Part[]) {
    this.#parts = parts;
    for (const { place } of parts) place?.signal?.addEventListener("abort", this.#stopIfUnwanted);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  ended(error?: OrcaError): void {
    for (const { place } of this.#parts.splice(0)) this.#end(place, error);
  }

  #end(place: BodyPlace | undefined, error?: OrcaError): void {
    // A composed signal that somebody listens to stays in memory until it aborts.
    place?.signal?.removeEventListener("abort", this.#stopIfUnwanted);
    place?.ended(error);
  }

  #space(): Buffer {
    const { place, missingBytes } = this.#parts[0] as Part;
    if (place) return place.sink.space();
    this.#scratch ??= Buffer.allocUnsafe(scratchBytes);
    return this.#scratch.subarray(0, missingBytes);
  }

  #advance(lengthBytes: number): void {
    const part = this.#parts[0] as Part;
    part.missingBytes -= lengthBytes;
    part.place?.sink.advance(lengthBytes);
    if (part.missingBytes > 0) return;
    this.#parts.shift();
    this.#end(part.place);
    if (this.#parts.length > 0) this.#stopIfUnwanted();
  }
}
