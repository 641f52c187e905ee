/**
 * Text for a terminal: columns, counts, and strings from outside. In a column, numbers align by their last digit, so that
 * a larger one looks larger, and words by their first letter.
 *
 * A string from outside (an object key, a host) can hold any character. An escape sequence in it would move the cursor,
 * recolour the screen or rename the window of the person who lists the bucket.
 */

export type Cell = string | number;

const columnGap = "  ";

/** A number, with a unit after it or not: `12`, `1.5 GiB`, `0.93x`, `480 MB/s`, `99%`; `-` stands for no value. */
const numeric = /^(?:-|[-+]?\d[\d.,]*\s?(?:%|[a-zµ]+(?:\/[a-z]+)?)?)$/i;

/** Lines without a trailing line end. A row with fewer cells than there are `headings` ends in empty cells. */
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

/** `1 chunk`, `2 chunks`: for nouns whose plural ends in an s. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `text` with every control and format character replaced by `?`. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

/** Columns that `text` takes on a terminal, if none of its characters is a wide one. */
export function printedWidth(text: string): number {
  return Array.from(text).length;
}
