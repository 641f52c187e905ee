/**
 * The directories of the buckets of a file origin: one root that is one bucket, or a parent with a bucket in each
 * directory. A name never leads out of the parent, and a link is followed only if it stays under it.
 */
import type { Dirent } from "node:fs";
import { opendir, stat } from "node:fs/promises";
import { join } from "node:path";
import { OrcaError } from "../../base/orca-error.ts";
import { errorOfFile, isMiss, liesUnder } from "../file-path.ts";
import { bucketsListedMax, type ListedBucket } from "../origin.ts";
import { tooManyBuckets } from "./s3-buckets.ts";

export type BucketRoots =
  /** The directory of each bucket. */
  | ReadonlyMap<string, string>
  /** Each directory in the parent is a bucket. */
  | { readonly parent: string };

export class BucketDirectories {
  readonly #roots: BucketRoots;

  constructor(roots: BucketRoots) {
    this.#roots = roots;
  }

  /** The directory of a bucket, which need not exist. Undefined where the origin can have no bucket of that name. */
  async rootOf(bucket: string): Promise<string | undefined> {
    if (!("parent" in this.#roots)) return this.#roots.get(bucket);
    const { parent } = this.#roots;
    if (!isDirectoryName(bucket)) return undefined;
    const root = join(parent, bucket);
    return (await liesUnder(parent, root)) ? root : undefined;
  }

  /** @see Origin.listBuckets */
  async list(signal: AbortSignal): Promise<readonly ListedBucket[]> {
    const action = "Cannot list the directories";
    try {
      const buckets: ListedBucket[] = [];
      for await (const bucket of this.#each(signal)) {
        buckets.push(bucket);
        if (buckets.length > bucketsListedMax) throw tooManyBuckets(action);
      }
      return buckets;
    } catch (thrown) {
      if (signal.aborted) throw signal.reason;
      if (isMiss(thrown))
        throw new OrcaError("no_such_bucket", "origin", `${action}: there is no such directory`);
      throw errorOfFile(thrown, action);
    }
  }

  async *#each(signal: AbortSignal): AsyncGenerator<ListedBucket> {
    if (!("parent" in this.#roots)) {
      for (const [name, root] of this.#roots) yield* asBucket(name, root);
      return;
    }
    const { parent } = this.#roots;
    for await (const entry of await opendir(parent)) {
      signal.throwIfAborted();
      const root = join(parent, entry.name);
      if (await isDirectoryIn(parent, root, entry)) yield* asBucket(entry.name, root);
    }
  }
}

function isDirectoryName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\\\0]/.test(name);
}

async function isDirectoryIn(parent: string, path: string, entry: Dirent): Promise<boolean> {
  if (entry.isDirectory()) return true;
  return entry.isSymbolicLink() && (await liesUnder(parent, path));
}

async function* asBucket(name: string, root: string): AsyncGenerator<ListedBucket> {
  try {
    const stats = await stat(root);
    if (stats.isDirectory()) yield { name, createdMs: Math.floor(stats.mtimeMs / 1000) * 1000 };
  } catch (thrown) {
    if (!isMiss(thrown)) throw thrown;
  }
}
