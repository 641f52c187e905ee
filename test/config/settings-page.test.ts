import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { settingRows } from "../../src/config/schema.ts";
import { secretVariables } from "../../src/config/secret.ts";
import { settingsPage } from "../../src/config/settings-page.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/configuration.md"), "utf8");

test("settingsPage: docs/configuration.md holds it; `npm run docs` writes it", () => {
  const [, part] = /<!-- begin settings[^>]*-->\n\n([^]*)\n<!-- end settings -->/.exec(page) ?? [];
  assert.equal(part, settingsPage());
});

test("settingsPage: has a row of six cells for every setting", () => {
  const lines = settingsPage()
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  assert.equal(lines.length, settingRows().length);
  for (const line of lines) assert.equal(line.split(/(?<!\\)\|/).length, 8, line);
  const cells = "| `chunking.readahead` | whole number | `8` | 0 to 1024 | Most chunks ";
  assert.ok(lines.some((line) => line.startsWith(cells)));
});

test("docs/configuration.md: names every variable that holds a secret", () => {
  for (const variable of Object.values(secretVariables))
    assert.ok(page.includes(`\`${variable}\``), variable);
});
