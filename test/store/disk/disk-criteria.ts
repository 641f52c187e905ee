/** The tests of what runs on a disk tier: each has a root of its own, and no memory may be held at its end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DiskFixture } from "./disk-fixture.ts";

/** What defines the tests of `subject`, which stands in front of every title. */
export function diskCriteria(
  subject: string,
): (title: string, body: (fixture: DiskFixture) => Promise<void>) => void {
  return (title, body) => {
    test(`${subject}: ${title}`, async () => {
      const fixture = new DiskFixture();
      try {
        await body(fixture);
      } finally {
        await fixture.close();
      }
      assert.equal(fixture.budget.usedBytes, 0, "every hold on memory was given back");
    });
  };
}
