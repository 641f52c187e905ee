/**
 * Parses the query of a request into names and values. In a query, unlike in a path, `+` is a space: S3 and its clones
 * read it so.
 */
import { percentDecode } from "../base/percent-encoding.ts";

export type Query = ReadonlyMap<string, string>;

/** If a name occurs twice, the first value counts. Undefined if any part does not decode. */
export function parseQuery(text: string): Query | undefined {
  const query = new Map<string, string>();
  for (const pair of text.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = decodePart(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? "" : decodePart(pair.slice(equals + 1));
    if (name === undefined || value === undefined) return undefined;
    if (!query.has(name)) query.set(name, value);
  }
  return query;
}

function decodePart(text: string): string | undefined {
  return percentDecode(text.includes("+") ? text.replaceAll("+", "%20") : text);
}
