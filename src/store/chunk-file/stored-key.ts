/**
 * Reads the stored key of a chunk file, for callers that know only its name, which contains a hash. The footer is read
 * each time: to keep the names of ten thousand objects in memory would cost more than the rare rounds that need them.
 */
import { promisify } from "node:util";
import { MiB } from "../../base/units.ts";
import { decodeFooter, type StoredChunkKey, trailerLengthBytes } from "./chunk-file.ts";
import type { ReadFileSystem } from "./disk-file.ts";

/** A footer of 262,144 blocks, more than any chunk has. */
export const footerBytesMax = MiB;

/** Undefined if the file is missing, unreadable or damaged; a read of the chunk finds out which. Never rejects. */
export async function readStoredKey(
  fileSystem: ReadFileSystem,
  path: string,
): Promise<StoredChunkKey | undefined> {
  let fd: number | undefined;
  try {
    fd = await promisify(fileSystem.open)(path, "r");
    const { size } = await promisify(fileSystem.fstat)(fd);
    const trailer = await readTail(fileSystem, fd, size, trailerLengthBytes);
    const footerBytes = trailer.readUInt32LE(8);
    if (footerBytes > footerBytesMax || footerBytes > size) return undefined;
    const footer = decodeFooter(await readTail(fileSystem, fd, size, footerBytes));
    return typeof footer === "string" ? undefined : footer.storedKey;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) fileSystem.close(fd, () => {});
  }
}

/** The last `lengthBytes` of a file. Rejects if the file is shorter. */
function readTail(
  fileSystem: ReadFileSystem,
  fd: number,
  sizeBytes: number,
  lengthBytes: number,
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const tail = Buffer.alloc(lengthBytes);
  fileSystem.read(fd, tail, 0, lengthBytes, Math.max(0, sizeBytes - lengthBytes), (error, bytesRead) => {
    if (error) reject(error);
    else if (bytesRead !== lengthBytes) reject(new Error("the file is too short"));
    else resolve(tail);
  });
  return promise;
}
