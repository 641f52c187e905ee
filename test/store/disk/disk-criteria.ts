/** Tests on a disk tier. Each has a root of its own, and at its end no memory may be held. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DiskFixture } from "./disk-fixture.ts";

/** Returns a function that defines tests of `subject`, which precedes every title. */
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
      assert.equal(fixture.budget.usedBytes, 0, "all memory was released");
    });
  };
}
