/**
 * Directories as an origin: for a first try without a cloud, for tests, and for slow mounted file systems. A file may
 * change while it is read, so the driver checks the file's version after each block, the last one included, before it
 * accepts the block. A version that was changed a moment ago is not told before it has stood still (file-version.ts).
 */

import type { BigIntStats } from "node:fs";
import { access, constants, type FileHandle, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ByteSink } from "../base/byte-sink.ts";
import { type Clock, sleep } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { nullVersionId } from "../chunk/version-id.ts";
import { BucketDirectories, type BucketRoots } from "./buckets/bucket-directories.ts";
import { contentTypeOf } from "./content-type.ts";
import { errorOfFile, isMiss, openFile } from "./file-path.ts";
import { fileClockGrainMs, fileEtag, isLongSettled, lastModifiedMs } from "./file-version.ts";
import { FileWalk } from "./file-walk.ts";
import type {
  BucketPart,
  ListedBucket,
  ListedObject,
  ListPage,
  ListRequest,
  ObjectHead,
  ObjectLocation,
  Origin,
  OriginKey,
  RangeRequest,
} from "./origin.ts";
import { asNullVersions } from "./versions/object-versions.ts";

export interface FileOriginOptions {
  readonly id: string;
  readonly roots: BucketRoots;
  readonly clock: Clock;
}

/** Looks at a file that keeps changing. After the last one the attempt fails, and the guard repeats it later. */
const looksMax = 4;

export class FileOrigin implements Origin {
  readonly id: string;
  readonly #directories: BucketDirectories;
  readonly #clock: Clock;

  constructor(options: FileOriginOptions) {
    this.id = options.id;
    this.#directories = new BucketDirectories(options.roots);
    this.#clock = options.clock;
  }

  async head({ bucket, key, versionId }: ObjectLocation, signal: AbortSignal): Promise<ObjectHead | null> {
    signal.throwIfAborted();
    const action = `Cannot get the metadata of "${bucket}/${key}"`;
    const stats = await this.#settledStats(bucket, key, action, signal);
    if (!stats) {
      await this.#checkRoot(bucket, action);
      return null;
    }
    // A directory is like a bucket that never had versions.
    if (versionId !== undefined && versionId !== nullVersionId) return null;
    return {
      sizeBytes: Number(stats.size),
      etag: fileEtag(stats),
      lastModifiedMs: lastModifiedMs(stats),
      contentType: contentTypeOf(key),
      metadata: {},
    };
  }

  async read(request: RangeRequest, sink: ByteSink, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { bucket, key } = request;
    const action = `Cannot read "${bucket}/${key}"`;
    const found = await this.#withFile(bucket, key, action, async (file) => {
      checkUnchanged(await file.stat({ bigint: true }), request, action);
      await copyRange(file, request, sink, signal, action);
      return true;
    });
    if (!found) throw new OrcaError("origin_etag_changed", "origin", `${action}: the file is gone`);
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    const action = `Cannot list "${request.bucket}"`;
    try {
      const root = await this.#directories.rootOf(request.bucket);
      if (root !== undefined) {
        const page = await listPage(root, request, signal, action);
        return request.versionIdMarker === undefined
          ? page
          : asNullVersions(page, (token) => decodeToken(token, action));
      }
    } catch (thrown) {
      if (signal.aborted) throw signal.reason;
      if (!isMiss(thrown)) throw errorOfFile(thrown, action);
    }
    throw new OrcaError("no_such_bucket", "origin", `${action}: there is no such directory`);
  }

  /** Reads no names: the directory may hold a million files. */
  async look({ bucket }: Pick<BucketPart, "bucket">): Promise<void> {
    const action = `Cannot look into "${bucket}"`;
    const root = await this.#checkRoot(bucket, action);
    await access(root, constants.R_OK | constants.X_OK).catch((thrown: unknown) => {
      throw errorOfFile(thrown, action);
    });
  }

  listBuckets(_as: OriginKey | undefined, signal: AbortSignal): Promise<readonly ListedBucket[]> {
    return this.#directories.list(signal);
  }

  close(): void {}

  /** Resolves with the directory of a bucket. @throws OrcaError no_such_bucket if there is none. */
  async #checkRoot(bucket: string, action: string): Promise<string> {
    const root = await this.#directories.rootOf(bucket);
    try {
      if (root !== undefined && (await stat(root)).isDirectory()) return root;
    } catch (thrown) {
      if (!isMiss(thrown)) throw errorOfFile(thrown, action);
    }
    const place = root === undefined ? "" : ` "${root}"`;
    throw new OrcaError("no_such_bucket", "origin", `${action}: there is no directory${place}`);
  }

  /**
   * The attributes of a file that has stood still for one grain of its clock. Each look opens the file again, because
   * NFS asks its server for fresh attributes only then. Null if there is no file.
   */
  async #settledStats(
    bucket: string,
    key: string,
    action: string,
    signal: AbortSignal,
  ): Promise<BigIntStats | null> {
    let earlier: string | undefined;
    for (let look = 1; look <= looksMax; look += 1) {
      const stats = await this.#withFile(bucket, key, action, (file) => file.stat({ bigint: true }));
      if (!stats || isLongSettled(stats, this.#clock.now())) return stats;
      const etag = fileEtag(stats);
      if (etag === earlier) return stats;
      earlier = etag;
      if (look < looksMax) await sleep(this.#clock, fileClockGrainMs(stats), signal);
    }
    const message = `${action}: the file has changed at each of ${looksMax} looks, so no ETag names its bytes`;
    throw new OrcaError("origin_unavailable", "origin", message);
  }

  /** Runs `use` on the open file of a key and closes it. Null if there is no file. */
  async #withFile<Answer>(
    bucket: string,
    key: string,
    action: string,
    use: (file: FileHandle) => Promise<Answer>,
  ): Promise<Answer | null> {
    const root = await this.#directories.rootOf(bucket);
    if (root === undefined) return null;
    const file = await openFile(root, key).catch((thrown: unknown) => {
      throw errorOfFile(thrown, action);
    });
    if (!file) return null;
    try {
      return await use(file);
    } finally {
      await file.close();
    }
  }
}

/**
 * An abort takes effect between two blocks, not during one: a running read writes into the sink's memory, so it must end
 * before the promise may settle.
 */
async function copyRange(
  file: FileHandle,
  request: RangeRequest,
  sink: ByteSink,
  signal: AbortSignal,
  action: string,
): Promise<void> {
  let copiedBytes = 0;
  while (copiedBytes < request.lengthBytes) {
    signal.throwIfAborted();
    const space = sink.space();
    const lengthBytes = Math.min(space.length, request.lengthBytes - copiedBytes);
    let bytesRead: number;
    let stats: BigIntStats;
    try {
      ({ bytesRead } = await file.read(space, 0, lengthBytes, request.offset + copiedBytes));
      stats = await file.stat({ bigint: true });
    } catch (thrown) {
      throw errorOfFile(thrown, action);
    }
    checkUnchanged(stats, request, action);
    if (bytesRead === 0)
      throw new OrcaError("origin_unavailable", "origin", `${action}: the file ended early`);
    signal.throwIfAborted();
    sink.advance(bytesRead);
    copiedBytes += bytesRead;
  }
}

function checkUnchanged(stats: BigIntStats, request: RangeRequest, action: string): void {
  if (fileEtag(stats) === request.etag && Number(stats.size) === request.objectSizeBytes) return;
  throw new OrcaError("origin_etag_changed", "origin", `${action}: the file is another version now`);
}

async function listPage(
  root: string,
  request: ListRequest,
  signal: AbortSignal,
  action: string,
): Promise<ListPage> {
  const { prefix, delimiter, maxKeys } = request;
  const after = request.continuationToken
    ? decodeToken(request.continuationToken, action)
    : request.startAfter;
  const walk = new FileWalk(root, prefix, after, signal);
  // A page that ended with a common prefix covers all keys below it.
  if (after !== "" && after === commonPrefixOf(after, prefix, delimiter)) walk.pass(after);
  const objects: ListedObject[] = [];
  const commonPrefixes: string[] = [];
  let name = "";
  for await (const key of walk.keys()) {
    const commonPrefix = commonPrefixOf(key, prefix, delimiter);
    const object = await listedObject(root, key);
    if (!object) continue;
    if (objects.length + commonPrefixes.length === maxKeys) {
      return { objects, commonPrefixes, nextContinuationToken: encodeToken(name) };
    }
    name = commonPrefix ?? key;
    if (commonPrefix === undefined) {
      objects.push(object);
    } else {
      commonPrefixes.push(commonPrefix);
      walk.pass(commonPrefix);
    }
  }
  return { objects, commonPrefixes, nextContinuationToken: "" };
}

/** The key up to and including the first delimiter after the prefix, if there is one. */
function commonPrefixOf(key: string, prefix: string, delimiter: string): string | undefined {
  const at = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
  return at === -1 ? undefined : key.slice(0, at + delimiter.length);
}

/** Undefined if the file was deleted, or is not a file. */
async function listedObject(root: string, key: string): Promise<ListedObject | undefined> {
  try {
    const stats = await stat(join(root, key), { bigint: true });
    if (!stats.isFile()) return undefined;
    return {
      key,
      sizeBytes: Number(stats.size),
      etag: fileEtag(stats),
      lastModifiedMs: lastModifiedMs(stats),
    };
  } catch (thrown) {
    if (isMiss(thrown)) return undefined;
    throw thrown;
  }
}

function encodeToken(name: string): string {
  return Buffer.from(name, "utf8").toString("base64url");
}

function decodeToken(token: string, action: string): string {
  const name = Buffer.from(token, "base64url").toString("utf8");
  if (encodeToken(name) === token && name !== "") return name;
  throw new OrcaError("invalid_argument", "client", `${action}: the continuation token is not valid`);
}
