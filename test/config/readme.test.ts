import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { configTable } from "../../src/config/schema.ts";
import { secretVariables } from "../../src/config/secret.ts";

const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");

test("README: its table of settings is the schema's", () => {
  const [, table] = /<!-- settings: [^>]*-->\n\n([^]*)\n<!-- end of settings -->/.exec(readme) ?? [];
  assert.equal(table, configTable());
});

test("README: every variable that holds a secret is told of", () => {
  for (const variable of Object.values(secretVariables))
    assert.ok(readme.includes(`\`${variable}\``), variable);
});
