/**
 * The chunk files that stay open, by chunk path. If there are too many, the least recently used one is retired: it is
 * closed when its last read ends. A part that deletes a chunk also retires its file here, so that the file system can
 * free the bytes.
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

  get(path: string): DiskFile | undefined {
    return this.#files.get(path);
  }

  add(path: string, file: DiskFile): void {
    this.retire(path);
    this.#files.set(path, file);
  }

  retire(path: string): void {
    this.#files.peek(path)?.retire();
    this.#files.delete(path);
  }

  close(): void {
    for (const file of this.#files.values()) file.retire();
    this.#files.clear();
  }
}
