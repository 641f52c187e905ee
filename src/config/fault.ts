/**
 * What is wrong with a configuration, as values: readers and checks add faults and go on, so that one start shows
 * everything that has to be mended.
 */

export interface Fault {
  /** Dotted path of the setting, such as `origin.retry.attempts`; empty for the configuration as a whole. */
  readonly path: string;
  /** Says what was expected and quotes what was given. Never holds a secret. */
  readonly message: string;
}

const quotedLengthMax = 80;

/** A value as a fault shows it: text quoted and cut to a readable length, anything bigger only named. */
export function quoted(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a map";
  const text = String(value);
  return JSON.stringify(text.length > quotedLengthMax ? `${text.slice(0, quotedLengthMax)}…` : text);
}

/** The path of `key` below `path`. A key that would make the path ambiguous is quoted. */
export function pathTo(path: string, key: string): string {
  if (!/^[\w$<>-]+$/.test(key)) return `${path}[${quoted(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

/** What a caught error says, for the end of a message. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
