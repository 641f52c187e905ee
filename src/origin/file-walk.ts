/**
 * The keys under a directory in listing order, found one by one: a directory is read when the walk comes to it, so
 * memory holds the names of one directory per level and not those of the tree.
 *
 * Order is by whole keys. A directory takes part in its parent's order as its name with `/` behind it, because that
 * is how its keys begin: `a-` < `a/…` < `a0`.
 */
import { isUtf8 } from "node:buffer";
import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isMiss, liesUnder } from "./file-path.ts";
import { isAfter } from "./key-order.ts";

/** S3's limit on a key; a walk goes no deeper. */
const keySizeBytesMax = 1024;

interface Entry {
  /** Whole key; ends with `/` for a directory. */
  readonly key: string;
  /** The key's UTF-8, encoded once: a large directory compares each of them many times. */
  readonly bytes: Buffer;
  readonly isDirectory: boolean;
}

export class FileWalk {
  readonly #root: string;
  readonly #prefix: string;
  readonly #signal: AbortSignal;
  #after: string;
  #passedPrefix: string | undefined;

  /** Keys that begin with `prefix` and come after `after` (all, where it is empty). */
  constructor(root: string, prefix: string, after: string, signal: AbortSignal) {
    this.#root = root;
    this.#prefix = prefix;
    this.#after = after;
    this.#signal = signal;
  }

  /** From here on, leaves out every key that begins with `prefix`. */
  pass(prefix: string): void {
    this.#passedPrefix = prefix;
  }

  /** @throws what the file system throws; the reason of the signal. */
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

  /** Asked when the walk comes to an entry and not before: `pass` may have been called since its directory was read. */
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
      // It went away between being found and being read. The root itself has to be there.
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
   * Undefined for what is no part of a key or no file. A link to a file is listed where the file lies under the root;
   * a link to a directory is not, because it may lead back to where the walk came from.
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
