/**
 * A chunk as the memory tier holds it. The version that was read last has a link to it, or to several in a map, so that a
 * hit needs no key.
 */
import { pieceSizeFor } from "../base/segment-pool.ts";
import type { ChunkBytes } from "../chunk/chunk-bytes.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import { hashOfText } from "./eviction/shared-columns.ts";

const digit0 = 0x30;
const slash = 0x2f;

export class MemoryEntry {
  readonly key: string;
  readonly hash: number;
  /** For the policy, the size of a chunk is the memory that it uses. */
  sizeBytes: number;
  /** Its number for the policy. */
  readonly row: number;
  readonly chunk: ChunkBytes;
  /** The memory key contains only a hash; the version has the bucket and the object key. */
  readonly version: ObjectVersion | undefined;
  /** The version whose `memoryEntry` is or has this. */
  linked: ObjectVersion | undefined;

  constructor(memoryKey: string, chunk: ChunkBytes, version: ObjectVersion | undefined, row: number) {
    this.key = memoryKey;
    this.hash = hashOfText(memoryKey);
    this.sizeBytes = memoryOf(chunk);
    this.row = row;
    this.chunk = chunk;
    this.version = version;
    this.linked = undefined;
  }

  get index(): number {
    return Number(this.key.slice(this.key.lastIndexOf("/") + 1));
  }

  /** Whether {@link index} is this one, without a text of its own. */
  isAt(index: number): boolean {
    let at = this.key.length - 1;
    for (let rest = index; ; rest = Math.trunc(rest / 10), at -= 1) {
      if (this.key.charCodeAt(at) !== digit0 + (rest % 10)) return false;
      if (rest < 10) return this.key.charCodeAt(at - 1) === slash;
    }
  }

  /** From now on MemoryTier.getOf finds it without its key. One version has the link: the one that was read last. */
  link(version: ObjectVersion, index: number): void {
    this.unlink();
    const { memoryEntry } = version;
    if (memoryEntry instanceof Map) memoryEntry.set(index, this);
    else if (memoryEntry instanceof MemoryEntry && !memoryEntry.isAt(index))
      version.memoryEntry = new Map([
        [memoryEntry.index, memoryEntry],
        [index, this],
      ]);
    else version.memoryEntry = this;
    this.linked = version;
  }

  unlink(): void {
    const { linked } = this;
    if (linked === undefined) return;
    this.linked = undefined;
    const { memoryEntry } = linked;
    if (memoryEntry === this) linked.memoryEntry = undefined;
    if (!(memoryEntry instanceof Map) || memoryEntry.get(this.index) !== this) return;
    memoryEntry.delete(this.index);
    // The heap that is charged for an entry has room for a half of a map, and not for a whole one.
    if (memoryEntry.size === 1) [linked.memoryEntry] = memoryEntry.values();
  }
}

/** The sum of the sizes of the pieces of slabs that a chunk uses. */
export function memoryOf(chunk: ChunkBytes): number {
  let sum = 0;
  for (const segment of chunk.held()) sum += pieceSizeFor(segment.bytes.length);
  return sum;
}
