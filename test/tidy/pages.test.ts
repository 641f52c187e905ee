import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pages } from "../../src/base/pages.ts";

const root = join(import.meta.dirname, "../..");

/** The anchors of a page, by GitHub's rule. */
function anchorsOf(page: string): string[] {
  const headings = readFileSync(join(root, page), "utf8").matchAll(/^#+ (.+)$/gm);
  return [...headings].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("pages: each place that a warning names is a heading of its page", () => {
  for (const place of Object.values(pages)) {
    const [page = "", anchor = ""] = place.split("#");
    assert.ok(anchorsOf(page).includes(anchor), place);
  }
});
