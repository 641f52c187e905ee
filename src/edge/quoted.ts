/**
 * What a client sent, as it may stand in an error message: in quotes, and cut, so that a flood is not sent back or
 * written to a log at its full length.
 */
const shownCharactersMax = 100;

export function quoted(value: string): string {
  const shown = value.length > shownCharactersMax ? `${value.slice(0, shownCharactersMax)}…` : value;
  return `"${shown.toWellFormed()}"`;
}
