/**
 * The faults of a configuration, as values. Readers and checks add faults and go on, so that one start shows everything
 * that has to be corrected.
 */
import { isAbsolute, resolve } from "node:path";

export interface Fault {
  /** Dotted path of the setting, such as `origin.retry.attempts`; empty for the configuration as a whole. */
  readonly path: string;
  /** Names what was expected and quotes what was given. It never holds a secret. */
  readonly message: string;
}

const quotedLengthMax = 80;

/** A value as a fault shows it: a text quoted and cut to a readable length, a list or a map only named. */
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

/** Says that a file cannot be read, and where a relative path leads. */
export function unreadable(file: string, thrown: unknown): string {
  const place = isAbsolute(file) ? "" : `, here ${quoted(resolve(file))}`;
  return `cannot read ${quoted(file)}${place}: ${reasonOf(thrown)}`;
}

/** The message of a caught error, for the end of another message. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
