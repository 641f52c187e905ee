/**
 * Lists the chunks below the directory of a disk tier, in the writing thread. It deletes staging files of a killed process,
 * files with foreign names, and files that are too small to have a footer. If there are more chunks than the tier may
 * hold, because the limit was larger in an earlier run, it keeps those that were used last, and deletes the others.
 *
 * The time of the last use is the modification time of a file: its commit, or a later use (use-marks.ts).
 */
import { basename, join } from "node:path";
import { chunkPathOfFileName, trailerLengthBytes } from "../chunk-file/chunk-file.ts";
import type { DiskJobResult, ScanBatch } from "./disk-job.ts";
import { type JobFileSystem, unlinkIfPresent, unlinkQuietly } from "./job-file-system.ts";
import { ScannedShares, type SharePlace } from "./shares/disk-share.ts";

const namesPerBatch = 512;
/** A larger file is no chunk's. */
const fileSizeMax = 2 ** 32 - 1;

export interface DiskScanOptions {
  readonly fileSystem: JobFileSystem;
  readonly directory: string;
  readonly chunksMax: number;
  readonly places?: readonly SharePlace[] | undefined;
  readonly onBatch: (batch: ScanBatch) => void;
}

interface ChunkFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly usedAtMs: number;
}

export class DiskScan {
  readonly #options: DiskScanOptions;
  #foreignFilesRemoved = 0;
  #excessFilesRemoved = 0;
  #paths: string[] = [];
  #sizesBytes: number[] = [];
  #usedAtMs: number[] = [];
  #shareNumbers: number[] = [];
  readonly #shares: ScannedShares | undefined;

  constructor(options: DiskScanOptions) {
    this.#options = options;
    const { fileSystem, places } = options;
    this.#shares = places && new ScannedShares(fileSystem, places);
  }

  /** @throws the system's error. */
  run(): DiskJobResult {
    const { directory } = this.#options;
    const stagedFilesRemoved = this.#sweepStaging(join(directory, "staging"));
    const excess = this.#excess();
    for (const fanOut of this.#fanOuts()) {
      for (const name of this.#names(fanOut)) {
        const filePath = join(directory, fanOut, name);
        const file = this.#inspect(filePath, fanOut);
        if (file === "foreign") {
          unlinkIfPresent(this.#options.fileSystem, filePath);
          this.#foreignFilesRemoved += 1;
        } else if (file !== undefined && excess?.includes(file.usedAtMs)) {
          unlinkIfPresent(this.#options.fileSystem, filePath);
          this.#excessFilesRemoved += 1;
        } else if (file !== undefined) {
          this.#add(file, filePath);
        }
      }
    }
    this.#send();
    return {
      outcome: "scanned",
      foreignFilesRemoved: this.#foreignFilesRemoved,
      stagedFilesRemoved,
      excessFilesRemoved: this.#excessFilesRemoved,
    };
  }

  #sweepStaging(staging: string): number {
    const { fileSystem } = this.#options;
    const names = fileSystem.readdirSync(staging);
    for (const name of names) unlinkQuietly(fileSystem, join(staging, name));
    return names.length;
  }

  #fanOuts(): string[] {
    const { fileSystem, directory } = this.#options;
    return fileSystem.readdirSync(directory).filter((name) => /^[0-9a-f]{2}$/.test(name));
  }

  #names(fanOut: string): string[] {
    return this.#options.fileSystem.readdirSync(join(this.#options.directory, fanOut));
  }

  /** Which files are too many; undefined if none are. Reading the names is quick, so it looks at the files only if it must. */
  #excess(): Excess | undefined {
    const { directory, chunksMax } = this.#options;
    let names = 0;
    for (const fanOut of this.#fanOuts()) names += this.#names(fanOut).length;
    if (names <= chunksMax) return undefined;
    const times = new Float64Array(names);
    let files = 0;
    for (const fanOut of this.#fanOuts()) {
      for (const name of this.#names(fanOut)) {
        const file = this.#inspect(join(directory, fanOut, name), fanOut);
        if (file === undefined || file === "foreign" || files === names) continue;
        times[files] = file.usedAtMs;
        files += 1;
      }
    }
    return files <= chunksMax ? undefined : new Excess(times.subarray(0, files), chunksMax);
  }

  #inspect(filePath: string, fanOut: string): ChunkFile | "foreign" | undefined {
    const stat = this.#options.fileSystem.statSync(filePath, { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile()) return undefined;
    const path = chunkPathOfFileName(basename(filePath));
    const isChunk =
      path?.split("/").at(-2)?.startsWith(fanOut) &&
      stat.size > trailerLengthBytes &&
      stat.size <= fileSizeMax;
    return isChunk ? { path: path as string, sizeBytes: stat.size, usedAtMs: stat.mtimeMs } : "foreign";
  }

  #add({ path, sizeBytes, usedAtMs }: ChunkFile, filePath: string): void {
    if (this.#shares) this.#shareNumbers.push(this.#shares.of(path, filePath, sizeBytes));
    this.#paths.push(path);
    this.#sizesBytes.push(sizeBytes);
    this.#usedAtMs.push(usedAtMs);
    if (this.#paths.length >= namesPerBatch) this.#send();
  }

  #send(): void {
    this.#options.onBatch({
      paths: this.#paths,
      sizesBytes: this.#sizesBytes,
      usedAtMs: this.#usedAtMs,
      shares: this.#shares && this.#shareNumbers,
    });
    this.#shareNumbers = [];
    this.#paths = [];
    this.#sizesBytes = [];
    this.#usedAtMs = [];
  }
}

/** The files of the oldest times. Of those with the newest time among them, only as many as are too many. */
class Excess {
  readonly #newestMs: number;
  #left: number;

  constructor(times: Float64Array, chunksMax: number) {
    times.sort();
    const count = times.length - chunksMax;
    this.#newestMs = times[count - 1] as number;
    this.#left = 1;
    while (this.#left < count && times[count - 1 - this.#left] === this.#newestMs) this.#left += 1;
  }

  /** To be asked once for each file. */
  includes(usedAtMs: number): boolean {
    if (usedAtMs !== this.#newestMs) return usedAtMs < this.#newestMs;
    this.#left -= 1;
    return this.#left >= 0;
  }
}
