/**
 * Generated reads, sent to Ceph RGW and through Orca, which keeps no metadata, lists and verdicts longer than it must: what
 * matters to a client is the same, but for the differences that are known and have a reason.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { answerTo, differencesOf, pagesOf } from "./differential/answer.ts";
import { differencesPage } from "./differential/differences-page.ts";
import { knownDifferences } from "./differential/known-differences.ts";
import { allReads, pagedLists, textOf } from "./differential/reads.ts";
import { openStores, type Stores } from "./differential/stores.ts";
import { radosgw, suiteWith } from "./installed.ts";

const readsMin = 500;
const pagesMin = 50;
const pairsAtOnce = 6;

test("docs/s3-differences.md: the table of differences is the one of this suite", () => {
  const page = join(import.meta.dirname, "../../docs/s3-differences.md");
  assert.ok(readFileSync(page, "utf8").includes(differencesPage()), "npm run docs");
});

suiteWith(radosgw, "Orca and Ceph RGW", () => {
  test("generated reads: the answers differ only where the table says why", async (context) => {
    const stores = await openStores();
    try {
      await compare(stores, context);
      await comparePages(stores);
    } finally {
      await stores.stop();
    }
  });
});

/** Page by page, each by its own tokens, until one of them ends. */
async function comparePages({ rgw, orca }: Stores): Promise<void> {
  const unknown: string[] = [];
  let pageCount = 0;
  for (const read of pagedLists()) {
    const through = pagesOf(read, orca);
    let asked = read;
    for await (const page of pagesOf(read, rgw)) {
      pageCount += 1;
      const { value = {} } = await through.next();
      const differences = differencesOf(page, value).filter(
        (difference) =>
          difference.what === "status" || !knownDifferences.some(({ covers }) => covers(asked, difference)),
      );
      asked = { ...read, query: { ...read.query, "continuation-token": "its own" } };
      for (const { what, store, orca: told } of differences)
        unknown.push(`page of ${textOf(read)}: ${what} is ${told} and not ${store}`);
    }
    assert.equal((await through.next()).done, true, `${textOf(read)}: there are no more pages`);
  }
  assert.ok(pageCount >= pagesMin);
  assert.deepEqual(unknown, []);
}

async function compare({ rgw, orca, etagOf, versionsOf }: Stores, context: TestContext): Promise<void> {
  const counts = new Map(knownDifferences.map((known) => [known, 0]));
  const unknown: string[] = [];
  const reads = allReads(etagOf, versionsOf);
  let readCount = 0;
  const readSome = async (): Promise<void> => {
    for (const read of reads) {
      readCount += 1;
      for (const difference of differencesOf(await answerTo(read, rgw), await answerTo(read, orca))) {
        const known = knownDifferences.find(({ covers }) => covers(read, difference));
        const { what, store, orca: through } = difference;
        if (known) counts.set(known, (counts.get(known) ?? 0) + 1);
        else unknown.push(`${textOf(read)}: ${what} is ${through} and not ${store}`);
      }
    }
  };
  await Promise.all(Array.from({ length: pairsAtOnce }, readSome));
  const used = [...counts].map(([{ name }, count]) => `${name} ${count}`);
  context.diagnostic(`${readCount} reads; known differences: ${used.join(", ")}`);
  assert.ok(readCount >= readsMin);
  assert.deepEqual(unknown, []);
}
