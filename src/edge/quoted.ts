/**
 * A client's text as it appears in an error message: quoted, and cut at 100 characters, so that neither an answer nor the
 * log repeats a long text in full.
 */
const shownCharactersMax = 100;

export function quoted(value: string): string {
  const shown = value.length > shownCharactersMax ? `${value.slice(0, shownCharactersMax)}…` : value;
  return `"${shown.toWellFormed()}"`;
}
