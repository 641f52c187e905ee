import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Fault } from "../../src/config/fault.ts";
import { parseYaml } from "../../src/config/yaml-text.ts";

function faultsOf(text: string): string[] {
  const faults: Fault[] = [];
  parseYaml(text, faults);
  return faults.map(({ message }) => message);
}

test("parseYaml: scalars are the text that was written, and empty ones are null", () => {
  const tree = parseYaml("a: 010\nb: ~\nc:\nd: '5'\ne: true\nf: 1e3\n7: [0.5, x]\n", []);
  assert.deepEqual(tree, { a: "010", b: null, c: null, d: "5", e: "true", f: "1e3", 7: ["0.5", "x"] });
});

test("parseYaml: anchors, aliases and merge keys work", () => {
  const tree = parseYaml("a: &x {n: 1}\nb: *x\nc: {<<: *x, m: 2}\n", []);
  assert.deepEqual(tree, { a: { n: "1" }, b: { n: "1" }, c: { n: "1", m: "2" } });
});

test("parseYaml: a key given twice is a fault with its place", () => {
  assert.deepEqual(faultsOf("memory:\n  max_bytes: 1\n  max_bytes: 2\n"), [
    '3:3: the key "max_bytes" appears twice: remove one of them',
  ]);
});

test("parseYaml: a syntax error, an unknown tag and a second document are faults with their places", () => {
  assert.match(faultsOf("a: [1\nb: 2")[0] ?? "", /^2:1: /);
  assert.deepEqual(faultsOf("a: !size 3"), ["1:4: Unresolved tag: !size"]);
  assert.match(faultsOf("a: 1\n---\nb: 2")[0] ?? "", /^2:1: /);
});

test("parseYaml: an alias of nothing, and one that grows without measure, are faults", () => {
  assert.match(faultsOf("a: *nope")[0] ?? "", /nope/);
  const bomb = Array.from({ length: 12 }, (_, level) => {
    const items = level === 0 ? "x" : Array.from({ length: 9 }, () => `*l${level - 1}`).join(", ");
    return `l${level}: &l${level} [${items}]`;
  });
  assert.equal(faultsOf(bomb.join("\n")).length, 1);
});

test("parseYaml: an empty text has no tree and no fault", () => {
  const faults: Fault[] = [];
  assert.equal(parseYaml("# nothing\n", faults), undefined);
  assert.deepEqual(faults, []);
});

test("parseYaml: never throws", () => {
  const pieces = fc.constantFrom(
    "a",
    ":",
    " ",
    "\n",
    "-",
    "[",
    "]",
    "{",
    "}",
    "&x",
    "*x",
    "!",
    "<<",
    "'",
    '"',
    "|",
    "#",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces).map((parts) => parts.join("")),
      ),
      (text) => {
        const faults: Fault[] = [];
        const tree = parseYaml(text, faults);
        if (faults.some(({ message }) => /^\d+:\d+: (?!Unresolved tag)/.test(message)))
          assert.equal(tree, undefined);
      },
    ),
  );
});

test("parseYaml: a line at a wrong column is one fault, in words, and so is a tab", () => {
  for (const text of [
    "origin:\n  id: a\n    driver: x\n",
    "origin:\n  id: a\n awss3:\n    bucket: x\n",
    "a:\n    b: 1\n   c: 2\n  d: 3\n",
  ]) {
    const faults = faultsOf(text);
    assert.equal(faults.length, 1, faults.join("; "));
    assert.match(faults[0] ?? "", /^\d+:\d+: the indentation of this line or of the next one does not fit/);
  }
  assert.deepEqual(faultsOf("a:\n\tb: 1\n"), ["2:1: this line begins with a tab: indent it with spaces"]);
});
