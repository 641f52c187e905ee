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

  /** A file of an object of another size is retired: the reader that opens it again finds that it is another chunk's. */
  get(path: string, objectSizeBytes: number): DiskFile | undefined {
    const file = this.#files.get(path);
    if (file === undefined || file.objectSizeBytes === objectSizeBytes) return file;
    this.retire(path);
    return undefined;
  }

  add(path: string, file: DiskFile): void {
    this.retire(path);
    this.#files.set(path, file);
  }

  /** With `only`, no other file than this one. */
  retire(path: string, only?: DiskFile): void {
    const file = this.#files.peek(path);
    if (only !== undefined && file !== only) return;
    file?.retire();
    this.#files.delete(path);
  }

  close(): void {
    for (const file of this.#files.values()) file.retire();
    this.#files.clear();
  }
}
