import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { stepsPage } from "../../src/trace/steps-page.ts";
import { traceSteps } from "../../src/trace/trace-steps.ts";

const root = join(import.meta.dirname, "../..");

test("debugging-a-fill.md: its table has the steps of the code (`npm run docs` writes it)", () => {
  const page = readFileSync(join(root, "docs/operations/debugging-a-fill.md"), "utf8");
  const [, table] = /<!-- begin steps\b[^>]*-->\n\n([^]*?)\n<!-- end steps -->/.exec(page) ?? [];
  assert.equal(table, stepsPage());
});

test("stepsPage: a row for each step, with all its fields", () => {
  const rows = stepsPage().trim().split("\n").slice(2);
  const entries = Object.entries(traceSteps);
  assert.equal(rows.length, entries.length);
  for (const [index, [step, { message, fields }]] of entries.entries()) {
    const cells = rows[index]?.split(" | ") ?? [];
    assert.equal(cells[0], `| \`${step}\``);
    assert.equal(cells[1], message);
    for (const name of fields) assert.ok(cells[3]?.includes(`\`${name}\``), `${step} shows ${name}`);
  }
});
