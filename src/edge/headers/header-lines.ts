/**
 * Headers laid out as they are sent: `Name: value` and CR LF, one line after the other, all of them checked. One text of
 * all lines is made once and sent as it is, where a flat list of names and values is checked and joined for each response.
 */

/** `flat` is `[name, value, …]` of names and values that a header can hold. */
export function linesOf(flat: readonly string[]): string {
  let lines = "";
  for (let index = 0; index < flat.length; index += 2) lines += `${flat[index]}: ${flat[index + 1]}\r\n`;
  return lines;
}

/** The inverse of {@link linesOf}: no name has a colon, and no value a line end. */
export function flatOf(lines: string): string[] {
  const flat: string[] = [];
  for (let start = 0; start < lines.length; ) {
    const colon = lines.indexOf(": ", start);
    const end = lines.indexOf("\r\n", colon);
    flat.push(lines.slice(start, colon), lines.slice(colon + 2, end));
    start = end + 2;
  }
  return flat;
}
