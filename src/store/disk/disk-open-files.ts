/**
 * The files of the disk tier that stay open, by chunk path, the least recently used retired when there are too many.
 * Whoever takes a file out of the index retires it here as well, so that its bytes go when its last read ends.
 */
import type { DiskFile } from "../chunk-file/disk-file.ts";

export class DiskOpenFiles {
  readonly #filesMax: number;
  /** In order of last use: a Map keeps the order in which keys were set. */
  readonly #files = new Map<string, DiskFile>();

  constructor(filesMax: number) {
    this.#filesMax = filesMax;
  }

  get count(): number {
    return this.#files.size;
  }

  get(key: string): DiskFile | undefined {
    const file = this.#files.get(key);
    if (file === undefined) return undefined;
    this.#files.delete(key);
    this.#files.set(key, file);
    return file;
  }

  add(key: string, file: DiskFile): void {
    this.retire(key);
    this.#files.set(key, file);
    if (this.#files.size <= this.#filesMax) return;
    for (const oldest of this.#files.keys()) {
      this.retire(oldest);
      return;
    }
  }

  retire(key: string): void {
    this.#files.get(key)?.retire();
    this.#files.delete(key);
  }

  close(): void {
    for (const file of this.#files.values()) file.retire();
    this.#files.clear();
  }
}
