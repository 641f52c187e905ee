/**
 * The files of the disk tier that stay open, by chunk path. Where there are too many, the least recently used one is
 * retired: it is closed when its last read ends. A part that takes a file out of the index retires it here as well, so
 * that the disk gets its bytes back.
 */
import { LruMap } from "../../base/lru-map.ts";
import type { DiskFile } from "../chunk-file/disk-file.ts";

export class DiskOpenFiles {
  readonly #files: LruMap<string, DiskFile>;

  constructor(filesMax: number) {
    this.#files = new LruMap({ entriesMax: filesMax, onEvict: (file) => file.retire() });
  }

  get count(): number {
    return this.#files.size;
  }

  get(key: string): DiskFile | undefined {
    return this.#files.get(key);
  }

  add(key: string, file: DiskFile): void {
    this.retire(key);
    this.#files.set(key, file);
  }

  retire(key: string): void {
    this.#files.peek(key)?.retire();
    this.#files.delete(key);
  }

  close(): void {
    for (const file of this.#files.values()) file.retire();
    this.#files.clear();
  }
}
