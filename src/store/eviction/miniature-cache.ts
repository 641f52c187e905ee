/**
 * A cache without contents: S3-FIFO in one shape, with the keys that a tier of this shape would hold. It sees a sample
 * of the tier's requests. A few hundred keys are enough to predict the hit ratio within a point or two (Waldspurger,
 * Saemundsson, Ahmad, Park: "Cache modeling and optimization using miniature simulations", USENIX ATC 2017).
 *
 * It starts full of placeholders that no request asks for. A cache that starts empty has given all its room to the
 * small queue when it becomes full. If few entries then move to the main queue, it stays so for a long time, and
 * predicts hits that a tier cannot have if it takes this shape later.
 */
import { noRow, type PolicyEntries } from "./eviction-policy.ts";
import { S3Fifo, type S3FifoShape } from "./s3-fifo.ts";

const placeholderCount = 64;
/** Four times the sample of a tier, for the case that the sizes become smaller. */
const rowsMax = 4096;
const placeholderHash = -1;

/** Keys are 32 bits of a hash: among so few, two keys of one hash are rare, and then only a prediction is wrong. */
export class MiniatureCache implements PolicyEntries {
  readonly shape: S3FifoShape;
  readonly #policy: S3Fifo;
  readonly #rows = new Map<number, number>();
  readonly #hashes: number[] = [placeholderHash];
  readonly #sizesBytes: number[] = [0];
  readonly #freeRows: number[] = [];

  constructor(shape: S3FifoShape) {
    this.shape = shape;
    this.#policy = new S3Fifo(this, rowsMax, shape);
  }

  sizeOf(row: number): number {
    return this.#sizesBytes[row] as number;
  }

  hashOf(row: number): number {
    return this.#hashes[row] as number;
  }

  /** Returns whether the key is held, and adds it if not. An entry larger than the cache is never held. */
  request(hash: number, sizeBytes: number, capacityBytes: number): boolean {
    const held = this.#rows.get(hash);
    if (held !== undefined) {
      this.#policy.touch(held);
      return true;
    }
    if (sizeBytes > capacityBytes) return false;
    if (this.#policy.bytes === 0) this.#fill(capacityBytes);
    this.#makeRoom(capacityBytes - sizeBytes);
    this.#rows.set(hash, this.#insert(hash, sizeBytes));
    return false;
  }

  #fill(capacityBytes: number): void {
    for (let count = 0; count < placeholderCount; count += 1) {
      const row = this.#insert(placeholderHash, capacityBytes / placeholderCount);
      for (let use = 0; use < this.shape.usesForMain; use += 1) this.#policy.touch(row);
    }
  }

  #insert(hash: number, sizeBytes: number): number {
    const row = this.#freeRows.pop() ?? this.#hashes.length;
    this.#hashes[row] = hash;
    this.#sizesBytes[row] = sizeBytes;
    this.#policy.insert(row);
    return row;
  }

  #makeRoom(heldBytesMax: number): void {
    while (this.#policy.bytes > heldBytesMax || this.#policy.count === rowsMax) {
      const row = this.#policy.evict();
      if (row === noRow) return;
      this.#rows.delete(this.hashOf(row));
      this.#freeRows.push(row);
    }
  }
}
