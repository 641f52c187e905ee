/**
 * A cache without contents: S3-FIFO in one shape, with the keys that a tier of this shape would hold. It sees a sample
 * of the tier's requests. A few hundred keys are enough to predict the hit ratio within a point or two (Waldspurger,
 * Saemundsson, Ahmad, Park: "Cache modeling and optimization using miniature simulations", USENIX ATC 2017).
 *
 * It starts full of placeholders that no request asks for. A cache that starts empty has given all its room to the
 * small queue when it becomes full. If few entries then move to the main queue, it stays so for a long time, and
 * predicts hits that a tier cannot have if it takes this shape later.
 */
import { Evictable } from "./evictable.ts";
import { S3Fifo, type S3FifoShape } from "./s3-fifo.ts";

const placeholderCount = 64;

export class MiniatureCache {
  readonly shape: S3FifoShape;
  readonly #policy: S3Fifo<Evictable>;
  readonly #entries = new Map<string, Evictable>();

  constructor(shape: S3FifoShape) {
    this.shape = shape;
    this.#policy = new S3Fifo(shape);
  }

  /** Returns whether the key is held, and adds it if not. An entry larger than the cache is never held. */
  request(key: string, sizeBytes: number, capacityBytes: number): boolean {
    const held = this.#entries.get(key);
    if (held !== undefined) {
      this.#policy.touch(held);
      return true;
    }
    if (sizeBytes > capacityBytes) return false;
    if (this.#policy.bytes === 0) this.#fill(capacityBytes);
    this.#makeRoom(capacityBytes - sizeBytes);
    const entry = new Evictable(key, sizeBytes);
    this.#entries.set(key, entry);
    this.#policy.insert(entry);
    return false;
  }

  #fill(capacityBytes: number): void {
    for (let count = 0; count < placeholderCount; count += 1) {
      const placeholder = new Evictable("", capacityBytes / placeholderCount);
      this.#policy.insert(placeholder);
      for (let use = 0; use < this.shape.usesForMain; use += 1) this.#policy.touch(placeholder);
    }
  }

  #makeRoom(heldBytesMax: number): void {
    while (this.#policy.bytes > heldBytesMax) {
      const victim = this.#policy.evict();
      if (victim === undefined) return;
      this.#entries.delete(victim.key);
    }
  }
}
