import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { errorTable } from "../../src/base/error-table.ts";
import { errorsPage } from "../../src/ops/errors-page.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/operations/errors.md"), "utf8");

test("errorsPage: docs/operations/errors.md holds it; `npm run docs` writes it", () => {
  const [, part] = /<!-- begin errors[^>]*-->\n\n([^]*)\n<!-- end errors -->/.exec(page) ?? [];
  assert.equal(part, errorsPage());
});

test("errorsPage: has a row of four cells for every code", () => {
  const lines = errorsPage()
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  assert.equal(lines.length, Object.keys(errorTable).length);
  for (const line of lines) assert.equal(line.split(/(?<!\\)\|/).length, 6, line);
});
