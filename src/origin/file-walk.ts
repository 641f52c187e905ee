/**
 * Walks the keys under a directory in listing order. A directory is read when the walk reaches it, so memory holds the
 * names of one directory per level and not of the whole tree.
 *
 * The order is by whole keys. A directory sorts in its parent as its name followed by `/`, because its keys begin so:
 * `a-` < `a/…` < `a0`.
 */
import { isUtf8 } from "node:buffer";
import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isMiss, liesUnder } from "./file-path.ts";
import { isAfter } from "./key-order.ts";

/** S3's limit on a key. The walk descends no deeper. */
const keySizeBytesMax = 1024;

interface Entry {
  /** Whole key. It ends with `/` for a directory. */
  readonly key: string;
  /** The key in UTF-8, encoded once: sorting a large directory compares each key many times. */
  readonly bytes: Buffer;
  readonly isDirectory: boolean;
}

export class FileWalk {
  readonly #root: string;
  readonly #prefix: string;
  readonly #signal: AbortSignal;
  #after: string;
  #passedPrefix: string | undefined;

  /** Keys that begin with `prefix` and sort after `after` (all, if it is empty). */
  constructor(root: string, prefix: string, after: string, signal: AbortSignal) {
    this.#root = root;
    this.#prefix = prefix;
    this.#after = after;
    this.#signal = signal;
  }

  /** From now on, skips every key that begins with `prefix`. */
  pass(prefix: string): void {
    this.#passedPrefix = prefix;
  }

  /** @throws the error of the file system, or the reason of the signal. */
  keys(): AsyncGenerator<string, void, void> {
    return this.#keysUnder("");
  }

  async *#keysUnder(directoryKey: string): AsyncGenerator<string, void, void> {
    this.#signal.throwIfAborted();
    for (const entry of await this.#entries(directoryKey)) {
      if (!this.#isWanted(entry)) continue;
      if (entry.isDirectory) yield* this.#keysUnder(entry.key);
      else yield entry.key;
    }
  }

  /** Evaluated when the walk reaches an entry: `pass` may have been called since its directory was read. */
  #isWanted({ key, isDirectory }: Entry): boolean {
    if (this.#passedPrefix !== undefined && key.startsWith(this.#passedPrefix)) return false;
    if (!isDirectory) return key.startsWith(this.#prefix) && isAfter(key, this.#after);
    if (!key.startsWith(this.#prefix) && !this.#prefix.startsWith(key)) return false;
    return this.#after.startsWith(key) || isAfter(key, this.#after);
  }

  async #entries(directoryKey: string): Promise<Entry[]> {
    const path = join(this.#root, directoryKey);
    let found: Dirent<Buffer>[];
    try {
      found = await readdir(path, { withFileTypes: true, encoding: "buffer" });
    } catch (thrown) {
      // It was deleted after it was listed. The root itself must exist.
      if (directoryKey !== "" && isMiss(thrown)) return [];
      throw thrown;
    }
    const entries: Entry[] = [];
    for (const dirent of found) {
      const entry = await this.#entry(directoryKey, dirent);
      if (entry) entries.push(entry);
    }
    return entries.sort((left, right) => Buffer.compare(left.bytes, right.bytes));
  }

  /**
   * Undefined for a name that no key can hold and for anything that is not a file. A link to a file is listed if the file
   * lies under the root. A link to a directory is not, because it may form a loop.
   */
  async #entry(directoryKey: string, dirent: Dirent<Buffer>): Promise<Entry | undefined> {
    if (!isUtf8(dirent.name)) return undefined;
    const isDirectory = dirent.isDirectory();
    const key = `${directoryKey}${dirent.name.toString("utf8")}${isDirectory ? "/" : ""}`;
    const bytes = Buffer.from(key, "utf8");
    if (bytes.length > keySizeBytesMax) return undefined;
    const isListed =
      isDirectory ||
      dirent.isFile() ||
      (dirent.isSymbolicLink() && (await liesUnder(this.#root, join(this.#root, key))));
    return isListed ? { key, bytes, isDirectory } : undefined;
  }
}
