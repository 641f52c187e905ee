/**
 * The query of a request as names and values. Here, unlike in a path, `+` is a space: that is how S3 and every other
 * implementation of it read the forms that clients send.
 */
import { percentDecode } from "../base/percent-encoding.ts";

export type Query = ReadonlyMap<string, string>;

/** Of a name given twice the first value counts. Undefined where any part does not decode. */
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
