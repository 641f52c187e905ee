/**
 * Keeps the house in order: where files lie, what they are called, how they begin, and how sentences are built. Line
 * counts, layers and cycles are the linter's (oxlint.config.ts). A finding names the file, the line and the remedy.
 */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "../..");
const pathsOf = (...patterns: string[]): readonly string[] =>
  globSync(patterns, { cwd: root, exclude: ["**/node_modules/**"] }).sort();
const textOf = (path: string): string => readFileSync(join(root, path), "utf8");

const sources = pathsOf("src/**/*.ts", "deploy/**/*.ts");
const pages = pathsOf("*.md", "docs/**/*.md");
const protos = pathsOf("proto/orca/**/*.proto");

/** Constructions that a reader has to read twice, each with the plain one. */
const constructions: readonly (readonly [RegExp, string])[] = [
  [/\b(?:let|lets|letting) go of\b/i, "evict, delete or release"],
  [/\b(?:come|comes|came|coming) by\b/i, "fetch or receive"],
  [/\bhad from\b/i, "fetched from"],
  [/\b(?:has|have|had) (?:it|them|its|the|a|what)\b[^.;:]{0,40}\b(?:pulled|fetched|brought)\b/i, "fetches"],
  [/\b(?:give|gives|given|giving|gave) back\b/i, "release"],
  [/\b(?:is|are|was|were|be|been|being) told\b/i, "learns, receives or is notified"],
  [/\bborne? with\b/i, "tolerated"],
  [/\bin vain\b/i, "without success"],
  [/\b(?:pass|passes|passed) over\b/i, "skip"],
  [/\b(?:stand|stands|stood) back\b/i, "yield or wait"],
  [/\bwhoever\b/i, "the part that acts, by its name"],
  [/\b(?:is|are) nobody\b|\bnobody knows\b/i, "unknown"],
  [/\bwhat is (?:put|left|asked|brought)\b/i, "the noun: bytes, chunks, a request"],
  [/(?:^|[.:;] |\* )Who(?:ever)? (?!is\b|are\b)[a-z]+/, "the part that acts, by its name"],
];

/** Lines of prose in a source file: comments and strings. Code reads differently. */
function proseOf(path: string): readonly (readonly [number, string])[] {
  const lines = textOf(path).split("\n");
  const numbered = lines.map((line, index) => [index + 1, line] as const);
  if (path.endsWith(".md")) return numbered;
  return numbered.filter(([, line]) => /^\s*(?:\*|\/\/|\/\*)|["`]/.test(line));
}

test("prose: no sentence is built so that it must be read twice", () => {
  const found: string[] = [];
  for (const path of [...sources, ...pages, ...protos]) {
    for (const [number, line] of proseOf(path)) {
      for (const [construction, remedy] of constructions) {
        const match = construction.exec(line);
        if (match) found.push(`${path}:${number}: "${match[0].trim()}"; write: ${remedy}`);
      }
    }
  }
  assert.deepEqual(found, []);
});

test("headers: a source file begins with one to eight lines on what it is and why", () => {
  const found: string[] = [];
  for (const path of sources) {
    const header = /^\/\*\*(?<content>[\s\S]*?)\*\//.exec(textOf(path))?.groups?.content;
    if (header === undefined) {
      found.push(`${path}: has no header`);
      continue;
    }
    const lines = header.split("\n").map((line) => line.replace(/^\s*\*?\s?/, ""));
    const begin = lines.findIndex((line) => line !== "");
    const blank = lines.indexOf("", begin);
    const lengthLines = (blank === -1 ? lines.length : blank) - begin;
    if (lengthLines > 8)
      found.push(`${path}: the header's first paragraph has ${lengthLines} lines, at most 8`);
  }
  assert.deepEqual(found, []);
});

/** Words of a name, in the singular and cut to their stems, so that `Logger` and `logging` are one. */
function stemsOf(name: string): Set<string> {
  const words = name
    .replace(/([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])/g, "$1$3-$2")
    .toLowerCase()
    .split(/[-_]/);
  const stems = words.map((word) =>
    word
      .replace(/^(?:en|de)code$/, "codec")
      .replace(/s$/, "")
      .slice(0, 4),
  );
  return new Set(stems.filter((stem) => stem !== ""));
}

/** The units themselves have no name in common. */
const unnamed = new Set(["src/base/units.ts"]);

test("names: a file is named for a class that it exports, or else shares a word with what it exports", () => {
  const found: string[] = [];
  const declaration = /^export (?:abstract |async )*(class|interface|function|const|type) (\w+)/gm;
  for (const path of sources) {
    const exported = [...textOf(path).matchAll(declaration)];
    if (exported.length === 0 || unnamed.has(path)) continue;
    const file = stemsOf(basename(path, ".ts"));
    const hasClass = exported.some(([, kind]) => kind === "class");
    const matches = exported.some(([, , name = ""]) => {
      const stems = stemsOf(name);
      if (hasClass) return file.isSubsetOf(stems) || stems.isSubsetOf(file);
      return !file.isDisjointFrom(stems);
    });
    if (!matches) found.push(`${path}: exports ${exported.map(([, , name]) => name).join(", ")}`);
  }
  assert.deepEqual(found, []);
});

test("places: only main.ts lies loose in src, and no folder of src holds more than 25 files", () => {
  const found: string[] = [];
  const counts = new Map<string, number>();
  for (const path of sources) {
    const folder = path.slice(0, path.lastIndexOf("/"));
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
    if (folder === "src" && path !== "src/main.ts") found.push(`${path}: lies loose in src/`);
    if (!/^[a-z0-9]+(?:-[a-z0-9]+)*\.ts$/.test(basename(path))) found.push(`${path}: is not in kebab-case`);
  }
  for (const [folder, count] of counts) if (count > 25) found.push(`${folder}: holds ${count} files`);
  assert.deepEqual(found, []);
});
