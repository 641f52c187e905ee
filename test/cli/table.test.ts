import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatTable } from "../../src/cli/table.ts";

test("formatTable: words stand left, numbers right, and no line ends in a space", () => {
  const table = formatTable(
    ["object", "size", "cold", "GETs"],
    [
      ["empty", "0 B", "-", 0],
      ["large.bin", "256 MiB", "118.2 MB/s", 32],
    ],
  );
  assert.equal(
    table,
    [
      "object        size        cold  GETs",
      "empty          0 B           -     0",
      "large.bin  256 MiB  118.2 MB/s    32",
    ].join("\n"),
  );
});

test("formatTable: one word among numbers makes a column of words", () => {
  assert.equal(formatTable(["v"], [[1], ["none"]]), "v\n1\nnone");
});

test("formatTable: short rows and no rows", () => {
  assert.equal(formatTable(["a", "b"], []), "a  b");
  assert.equal(formatTable(["a", "b"], [["x"], []]), "a  b\nx\n");
});

test("formatTable: what a key could do to the terminal is not printed", () => {
  assert.equal(formatTable(["key"], [["a\u001b[2Jb\nc"]]), "key\na?[2Jb?c");
});

test("formatTable: every row is one line, whatever its cells hold", () => {
  const cell = fc.oneof(
    fc.string({ unit: fc.constantFrom("a", "é", "😀", "\n", "\r", "\u001b", "\u0085", "\u2028", "\u202e") }),
    fc.double(),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell)), (rows) => {
      assert.equal(formatTable(["left", "right"], rows).split("\n").length, rows.length + 1);
    }),
  );
});
