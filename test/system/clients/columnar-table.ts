/**
 * The table of the columnar client: a file for each day, each of several chunks, with row groups of which a filter leaves
 * out most. Each value depends on its row, so that rows of another place are wrong rows.
 */
import { createHash, hash } from "node:crypto";

export const tablePrefix = "lake a/";
export const days = [1, 2];
export const rowsPerDay = 120_000;
export const rowsPerGroup = 10_000;
/** What the payload takes: hexadecimal digits, not compressed. */
export const fileBytesMin = rowsPerDay * 128;

export interface Columns {
  readonly id: number[];
  readonly label: string[];
  readonly payload: string[];
}

/** A key with a plus, a space and an equals sign. */
export function fileOf(day: number): string {
  return `${tablePrefix}day=${day}/part 0+1.parquet`;
}

export function columnsOf(day: number): Columns {
  const id = Array.from({ length: rowsPerDay }, (_, row) => row);
  const payload = id.map((row) => hash("sha512", `${day} ${row}`));
  return { id, label: id.map(labelOf), payload };
}

export function labelOf(id: number): string {
  return `label ${id % 97}`;
}

export function digestOf({ id, label, payload }: Columns): string {
  const digest = createHash("sha256");
  for (const column of [id, label, payload]) digest.update(column.join("\n"));
  return digest.digest("hex");
}
