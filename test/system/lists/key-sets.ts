/** Sets of keys that no sensible person has, and LISTs of them, drawn from a seed. */
import { Chance } from "../../support/chance.ts";
import type { ListQuery } from "./list-model.ts";

/** Whatever a path, a query, XML or a shell gives a meaning to, and letters of two, three and four bytes. */
const words = [
  "a",
  "b",
  "B",
  "a b",
  "a+b",
  "a%20b",
  "%",
  "100%",
  "%2F",
  "é",
  "日本",
  "😀",
  "x&y",
  "<z>",
  `'"`,
  "(1)~*!",
  "k=v",
  "#?",
  ";,:@$",
  "{[^|`]}",
  "-",
  "--",
  "_",
  " ",
  "...",
] as const;
const joints = ["/", "/", "/", "//", "--", "::", "", " ", "+"] as const;
const delimiters = [
  "",
  "",
  "/",
  "/",
  "/",
  "//",
  "--",
  "::",
  "a",
  " ",
  "+",
  "%",
  "é",
  "日",
  "b/",
  "%2F",
] as const;
const sizes = [0, 1, 1, 2, 2, 3, 5, 7, 10, 50, 999, 1000, 1001, 5000] as const;

export function keySet(seed: number, count: number): Set<string> {
  const chance = new Chance(seed);
  const keys = new Set<string>();
  while (keys.size < count) {
    const [first, ...rest] = Array.from({ length: 1 + chance.below(4) }, () => chance.oneOf(words));
    const middle = rest.map((word) => chance.oneOf(joints) + word).join("");
    const key = `${chance.happens(0.05) ? "/" : ""}${first}${middle}${chance.happens(0.15) ? "/" : ""}`;
    // Azure ends a name at a dot, and has no dot segments: docs/s3-compatibility.md.
    if (!/(?:^|\/)\.{1,2}(?:\/|$)/.test(key) && !key.endsWith(".")) keys.add(key);
  }
  return keys;
}

/** LISTs of these keys (in order), for ever. */
export function* listQueries(seed: number, keys: readonly string[]): Generator<ListQuery, never> {
  const chance = new Chance(seed);
  for (;;) {
    const delimiter = chance.oneOf(delimiters);
    const prefix = chance.happens(0.4) ? "" : beginningOf(chance, keys, delimiter);
    yield {
      version: chance.happens(0.5) ? 1 : 2,
      prefix,
      delimiter,
      after: chance.happens(0.5) ? "" : placeIn(chance, keys, prefix, delimiter),
      maxKeys: chance.oneOf(sizes),
      encodesKeys: chance.happens(0.5),
      fetchesOwner: chance.happens(0.3),
    };
  }
}

function cutAnywhere(chance: Chance, text: string): string {
  const characters = Array.from(text);
  return characters.slice(0, chance.below(characters.length + 1)).join("");
}

/** The beginning of a key: most often up to a delimiter, sometimes one that no key has. */
function beginningOf(chance: Chance, keys: readonly string[], delimiter: string): string {
  const key = chance.oneOf(keys) ?? "";
  const cut = cutAnywhere(chance, key);
  const end = delimiter === "" ? -1 : key.indexOf(delimiter);
  if (end >= 0 && chance.happens(0.6)) return key.slice(0, end + delimiter.length);
  return chance.happens(0.1) ? `${cut}\u{10ffff}` : cut;
}

/** A key, the beginning of one, a common prefix, something between two of them, or a place before or after the prefix. */
function placeIn(chance: Chance, keys: readonly string[], prefix: string, delimiter: string): string {
  const key = chance.oneOf(keys) ?? "";
  const below = keys.filter((each) => each.startsWith(prefix));
  const near = chance.oneOf(below) ?? key;
  const places = [
    near,
    near,
    key,
    prefix,
    cutAnywhere(chance, near),
    `${near}0`,
    near.slice(0, near.indexOf(delimiter, prefix.length) + delimiter.length),
    near.slice(0, near.indexOf(delimiter, prefix.length) + delimiter.length),
  ] as const;
  return chance.oneOf(places);
}
