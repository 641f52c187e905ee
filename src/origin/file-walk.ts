/**
 * Walks the keys under a directory in listing order. A directory is read when the walk reaches it, and only its next
 * {@link entriesMax} names are held, because a directory may have millions. If the walk gets beyond them, it reads the
 * directory again. So memory is bounded, a page of a listing costs one reading, and no sort takes long.
 *
 * The order is by whole keys. A directory sorts in its parent as its name followed by `/`, because its keys begin so:
 * `a-` < `a/…` < `a0`.
 */
import { isUtf8 } from "node:buffer";
import type { Dir, Dirent } from "node:fs";
import { opendir } from "node:fs/promises";
import { join } from "node:path";
import { isMiss, liesUnder } from "./file-path.ts";
import { isAfter } from "./key-order.ts";

/** S3's limit on a key. The walk descends no deeper. */
const keySizeBytesMax = 1024;

/** Names of one directory that are held. Twice as many are sorted at once, which takes about 2 ms. */
const entriesMax = 2048;

/** Names that one call to the system reads. Between two calls the event loop runs. */
const readAtOnce = 256;

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
    for (let last: Entry | undefined; ; ) {
      const entries = await this.#entries(directoryKey, last);
      for (const entry of entries) {
        if (!this.#isWanted(entry)) continue;
        if (entry.isDirectory) yield* this.#keysUnder(entry.key);
        else yield entry.key;
      }
      if (entries.length < entriesMax) return;
      last = entries.at(-1);
    }
  }

  /** Evaluated when the walk reaches an entry: `pass` may have been called since its directory was read. */
  #isWanted({ key, isDirectory }: Entry): boolean {
    if (this.#passedPrefix !== undefined && key.startsWith(this.#passedPrefix)) return false;
    if (!isDirectory) return key.startsWith(this.#prefix) && isAfter(key, this.#after);
    if (!key.startsWith(this.#prefix) && !this.#prefix.startsWith(key)) return false;
    return this.#after.startsWith(key) || isAfter(key, this.#after);
  }

  /** The first {@link entriesMax} wanted entries after `last`, in order. */
  async #entries(directoryKey: string, last: Entry | undefined): Promise<Entry[]> {
    const entries: Entry[] = [];
    let ceiling: Entry | undefined;
    for await (const dirent of await this.#open(directoryKey)) {
      const entry = entryOf(directoryKey, dirent);
      if (!entry || !this.#isWanted(entry)) continue;
      if ((last && byKey(entry, last) <= 0) || (ceiling && byKey(entry, ceiling) > 0)) continue;
      if (!(await this.#isListed(entry, dirent))) continue;
      entries.push(entry);
      if (entries.length < 2 * entriesMax) continue;
      this.#signal.throwIfAborted();
      entries.sort(byKey).length = entriesMax;
      ceiling = entries.at(-1);
    }
    entries.sort(byKey);
    return entries.slice(0, entriesMax);
  }

  async #open(directoryKey: string): Promise<AsyncIterable<Dirent<Buffer>> | []> {
    const encoding = "buffer" as BufferEncoding;
    try {
      const directory: Dir = await opendir(join(this.#root, directoryKey), {
        encoding,
        bufferSize: readAtOnce,
      });
      return directory as unknown as AsyncIterable<Dirent<Buffer>>;
    } catch (thrown) {
      // It was deleted after it was listed. The root itself must exist.
      if (directoryKey !== "" && isMiss(thrown)) return [];
      throw thrown;
    }
  }

  /** A link to a file is listed if the file lies under the root. A link to a directory is not: it may form a loop. */
  async #isListed({ key, isDirectory }: Entry, dirent: Dirent<Buffer>): Promise<boolean> {
    if (isDirectory || dirent.isFile()) return true;
    return dirent.isSymbolicLink() && (await liesUnder(this.#root, join(this.#root, key)));
  }
}

function byKey(left: Entry, right: Entry): number {
  return Buffer.compare(left.bytes, right.bytes);
}

/** Undefined for a name that no key can hold. */
function entryOf(directoryKey: string, dirent: Dirent<Buffer>): Entry | undefined {
  if (!isUtf8(dirent.name)) return undefined;
  const isDirectory = dirent.isDirectory();
  const key = `${directoryKey}${dirent.name.toString("utf8")}${isDirectory ? "/" : ""}`;
  const bytes = Buffer.from(key, "utf8");
  return bytes.length > keySizeBytesMax ? undefined : { key, bytes, isDirectory };
}
