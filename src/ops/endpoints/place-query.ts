/** What the queries of several actions say in the same way: places, in the names that clients use, and flags. */
import { OrcaError } from "../../base/orca-error.ts";

/** `place` is `BUCKET` or `BUCKET/KEY`; the key may hold any character, and is empty for a whole bucket. */
export function splitPlace(place: string): { readonly bucket: string; readonly key: string } {
  const slashAt = place.indexOf("/");
  if (slashAt < 0) return { bucket: place, key: "" };
  return { bucket: place.slice(0, slashAt), key: place.slice(slashAt + 1) };
}

/** False where it is left out. @throws OrcaError `invalid_argument`, whose message begins with `action`. */
export function flagOf(query: URLSearchParams, name: string, action: string): boolean {
  const value = query.get(name) ?? "false";
  if (value === "true" || value === "false") return value === "true";
  const reason = `${name} is "${value}", expected true or false`;
  throw new OrcaError("invalid_argument", "client", `${action}: ${reason}`);
}
