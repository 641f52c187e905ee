/**
 * The file of the pins, beside the chunks. It is written aside and renamed, so a process that is killed leaves the old one
 * or the new one. The first line is the SHA-256 of the rest, because a file that a power loss has cut would pin less than
 * it says: such a file is damaged, and pins nothing.
 */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";

/** What the file holds of a pin. */
export interface PinRecord {
  /** The chunk path. */
  readonly path: string;
  readonly originId: string;
  /** The origin's own name. */
  readonly bucket: string;
  readonly objectKey: string;
  /** Wall-clock time. */
  readonly untilMs: number;
}

/** The bound on the bytes of all lines. A line has about 200. */
export const pinLinesBytesMax = 16 * 1024 * 1024;
const headBytesMax = 128;
const title = "orca-pins.v1";

export function pinLine({ path, originId, bucket, objectKey, untilMs }: PinRecord): string {
  return `${JSON.stringify([path, originId, bucket, objectKey, untilMs])}\n`;
}

/** The pins of the last run; none if there is no file. Undefined if it cannot be read or is damaged. */
export function readPinFile(file: string): PinRecord[] | undefined {
  try {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return [];
    if (!stat.isFile() || stat.size > pinLinesBytesMax + headBytesMax) return undefined;
    const text = readFileSync(file, "utf8");
    const headEnd = text.indexOf("\n") + 1;
    const lines = text.slice(headEnd);
    if (text.slice(0, headEnd) !== headOf(lines)) return undefined;
    const records = lines
      .split("\n")
      .slice(0, -1)
      .map((line) => recordOf(JSON.parse(line)));
    return records.every((record) => record !== undefined) ? records : undefined;
  } catch {
    return undefined;
  }
}

/** @throws the system's error. */
export async function writePinFile(file: string, records: Iterable<PinRecord>): Promise<void> {
  const lines = Array.from(records, pinLine).join("");
  await writeFile(`${file}.new`, headOf(lines) + lines, { flush: true });
  await rename(`${file}.new`, file);
}

function headOf(lines: string): string {
  return `${title} ${createHash("sha256").update(lines).digest("hex")}\n`;
}

function recordOf(value: unknown): PinRecord | undefined {
  if (!Array.isArray(value) || value.length !== 5) return undefined;
  const [path, originId, bucket, objectKey, untilMs] = value as unknown[];
  const isRecord =
    typeof path === "string" &&
    typeof originId === "string" &&
    typeof bucket === "string" &&
    typeof objectKey === "string" &&
    typeof untilMs === "number";
  return isRecord ? { path, originId, bucket, objectKey, untilMs } : undefined;
}
