/** What `orca warm` says of a warm-up that did not end well. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBytes } from "../../../src/base/units.ts";
import { type WarmRepeated, warmFault } from "../../../src/cli/warm/warm-report.ts";
import type { WarmDocument } from "../../../src/ops/warm/warm-document.ts";

function failed(repeated: WarmRepeated): string | undefined {
  const none = { chunks: 0, bytes: 0 };
  const document = {
    id: "w1.x",
    state: "failed",
    reason: "no",
    missing: none,
    unpinned: none,
  } as WarmDocument;
  return warmFault(document, repeated);
}

test("warm: the command that goes on keeps the limit on the origin, the manifest and the pins", () => {
  const repeated = { manifest: "epoch-1.txt", rateBytes: 100_000_000, pinMs: 86_400_000, dryRun: false };
  assert.equal(
    failed(repeated),
    "The warm-up failed: no\nWhat was fetched stays. To go on:\n" +
      "  orca warm --resume w1.x --manifest epoch-1.txt --rate 100000000B --pin 24h\n",
  );
  assert.equal(parseBytes("100000000B"), 100_000_000);
});

test("warm: the command that goes on with a dry run is one", () => {
  assert.equal(
    failed({ dryRun: true }),
    "The warm-up failed: no\nTo go on:\n  orca warm --resume w1.x --dry-run\n",
  );
});

/** The fault of a warm-up that misses one chunk, or a whole object. */
function missingFault(chunk: number | null): string {
  const missing = [{ url: "s3://b/x", chunk, reason: "why" }];
  const [one, none] = [
    { chunks: 1, bytes: 0 },
    { chunks: 0, bytes: 0 },
  ];
  const document = { state: "incomplete", objects: 2, missing: one, unpinned: none, missing_chunks: missing };
  return warmFault(document as unknown as WarmDocument, { dryRun: false }) ?? "";
}

test("warm: an object that the origin does not have is no reason to look at the disk", () => {
  assert.match(
    missingFault(3),
    /\nIs disk\.max_bytes large enough\? The same command fetches again what is missing/,
  );
  assert.match(missingFault(null), /why\nThe same command fetches again what is missing/);
});
