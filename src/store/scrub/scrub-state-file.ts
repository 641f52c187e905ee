/**
 * How far a scrub has come, kept beside the chunks so that it goes on there after a restart. It is a convenience: a file
 * that cannot be read or written means that the next scrub begins at the beginning.
 */
import { readFileSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface ScrubState {
  /** The last place that was checked, `<fan-out>/<file name>`; empty before the first. */
  readonly cursor: string;
  readonly checkedChunks: number;
  readonly checkedBytes: number;
  readonly badChunks: number;
  readonly skippedChunks: number;
}

/** The scan of the disk tier looks at nothing here but directories of two characters, and staging. */
const fileName = "scrub.json";

export class ScrubStateFile {
  readonly #path: string;

  /** `directory` is the disk tier's. */
  constructor(directory: string) {
    this.#path = join(directory, fileName);
  }

  /** Undefined where no scrub was left in the middle. */
  load(): ScrubState | undefined {
    try {
      const state: unknown = JSON.parse(readFileSync(this.#path, "utf8"));
      return isState(state) ? state : undefined;
    } catch {
      return undefined;
    }
  }

  /** Replaces the state whole, so that whoever reads it finds one or the other. Rejects with the system's error. */
  async save(state: ScrubState): Promise<void> {
    await writeFile(`${this.#path}.new`, `${JSON.stringify(state)}\n`);
    await rename(`${this.#path}.new`, this.#path);
  }

  /** Rejects with the system's error. */
  remove(): Promise<void> {
    return rm(this.#path, { force: true });
  }
}

function isState(value: unknown): value is ScrubState {
  if (typeof value !== "object" || value === null) return false;
  const { cursor, checkedChunks, checkedBytes, badChunks, skippedChunks } = value as Record<string, unknown>;
  const counts = [checkedChunks, checkedBytes, badChunks, skippedChunks];
  return (
    typeof cursor === "string" && counts.every((count) => Number.isSafeInteger(count) && Number(count) >= 0)
  );
}
