/**
 * The progress of the scrub, kept beside the chunks: where an interrupted pass goes on after a restart, and when the last
 * pass finished, from which the interval counts. Losing the file costs one extra pass and nothing else.
 */
import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface ScrubCounts {
  readonly checkedChunks: number;
  readonly checkedBytes: number;
  /** Damaged, and deleted. */
  readonly badChunks: number;
  /** Not readable for a reason that is not the file's, such as no free file descriptor. */
  readonly skippedChunks: number;
}

/** A pass that has not finished. The counts cover the files up to the cursor. */
export interface UnfinishedPass extends ScrubCounts {
  /** The last file that was checked, as `<fan-out>/<file name>`; empty before the first. */
  readonly cursor: string;
}

export interface FinishedPass extends ScrubCounts {
  /** Wall-clock time, because it must outlive the process. */
  readonly finishedMs: number;
}

export interface ScrubState {
  readonly unfinished?: UnfinishedPass | undefined;
  readonly finished?: FinishedPass | undefined;
}

/** The scan of the disk tier ignores this name: it looks only at staging and at directories of two characters. */
const fileName = "scrub.json";

export class ScrubStateFile {
  readonly #path: string;

  /** `directory` is the disk tier's. */
  constructor(directory: string) {
    this.#path = join(directory, fileName);
  }

  /** Empty if there is no file, or none that can be read. */
  load(): ScrubState {
    try {
      const state: unknown = JSON.parse(readFileSync(this.#path, "utf8"));
      return isState(state) ? state : {};
    } catch {
      return {};
    }
  }

  /** Replaces the file as a whole: a reader finds the old state or the new one. Rejects with the system's error. */
  async save(state: ScrubState): Promise<void> {
    await writeFile(`${this.#path}.new`, `${JSON.stringify(state)}\n`);
    await rename(`${this.#path}.new`, this.#path);
  }
}

function isState(value: unknown): value is ScrubState {
  if (typeof value !== "object" || value === null) return false;
  const { unfinished, finished } = value as Record<string, unknown>;
  return (
    (unfinished === undefined || (hasCounts(unfinished) && typeof unfinished["cursor"] === "string")) &&
    (finished === undefined || (hasCounts(finished) && isCount(finished["finishedMs"])))
  );
}

function hasCounts(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const { checkedChunks, checkedBytes, badChunks, skippedChunks } = value as Record<string, unknown>;
  return [checkedChunks, checkedBytes, badChunks, skippedChunks].every(isCount);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
