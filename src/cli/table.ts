/**
 * Columns for people. Numbers stand under each other by their last digit, so that a larger one looks larger; words
 * stand by their first letter. A string in and a string out: where it is printed is the caller's business.
 */
import { printable, printedWidth } from "./printable.ts";

export type Cell = string | number;

const columnGap = "  ";

/** A number, with a unit behind it if need be: `12`, `1.5 GiB`, `0.93x`, `480 MB/s`, `99%`; `-` is one left out. */
const numeric = /^(?:-|[-+]?\d[\d.,]*\s?(?:%|[a-zµ]+(?:\/[a-z]+)?)?)$/i;

/** Lines without a trailing line end. Every row has as many cells as `headings`, or fewer: the rest is empty. */
export function formatTable(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const lines = [headings, ...rows].map((cells) => cells.map((cell) => printable(String(cell))));
  const widths = headings.map((_, column) =>
    Math.max(...lines.map((cells) => printedWidth(cells[column] ?? ""))),
  );
  const alignRight = headings.map((_, column) => isNumericColumn(lines.slice(1), column));
  return lines
    .map((cells) =>
      widths
        .map((width, column) => {
          const cell = cells[column] ?? "";
          const padding = " ".repeat(width - printedWidth(cell));
          return alignRight[column] ? padding + cell : cell + padding;
        })
        .join(columnGap)
        .trimEnd(),
    )
    .join("\n");
}

function isNumericColumn(rows: readonly (readonly string[])[], column: number): boolean {
  const filled = rows.map((cells) => cells[column] ?? "").filter((cell) => cell !== "");
  return filled.length > 0 && filled.every((cell) => numeric.test(cell));
}
