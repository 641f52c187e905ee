/**
 * Text from outside (object keys, hosts) as a terminal may show it. A key can hold any byte, and an escape sequence
 * in it would move the cursor, recolour the screen or retitle the window of whoever lists the bucket.
 */

/** `text` with every control and format character replaced by `?`. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

/** Characters that `text` takes on a line; wide ones count as one. */
export function printedWidth(text: string): number {
  return Array.from(text).length;
}
