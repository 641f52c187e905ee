import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { MiB } from "../../../src/base/units.ts";
import { BlockSummer } from "../../../src/store/chunk-file/block-sums.ts";
import { BlockTags } from "../../../src/store/chunk-file/block-tags.ts";
import { patternBytes } from "../../support/pattern.ts";

const bytes = patternBytes(1, 0, MiB);

function tagOf(summer: BlockSummer, block: Uint8Array): bigint {
  return summer.sums("tag", block).tag;
}

test("BlockSummer: the CRC-32 is zlib's, and a tag does not depend on the memory or the other sum", () => {
  const { summer } = new BlockTags();
  const shared = Buffer.from(new SharedArrayBuffer(MiB));
  bytes.copy(shared);
  const both = summer.sums("both", shared);
  assert.equal(both.crc, crc32(bytes));
  assert.equal(summer.sums("crc", bytes).crc, both.crc);
  assert.equal(tagOf(summer, bytes), both.tag);
  assert.notEqual(both.tag, 0n);
});

test("BlockSummer: summers of one key agree, and those of two keys do not", () => {
  const tags = new BlockTags();
  assert.equal(tagOf(new BlockSummer(tags.key), bytes), tagOf(tags.summer, bytes));
  assert.notEqual(tagOf(new BlockTags().summer, bytes), tagOf(tags.summer, bytes));
});

test("BlockSummer: each flipped bit, cut and swap of parts gives another tag", () => {
  const { summer } = new BlockTags();
  const right = tagOf(summer, bytes);
  const changed = Buffer.from(bytes);
  const bit = fc.nat({ max: 8 * MiB - 1 });
  fc.assert(
    fc.property(bit, (at) => {
      changed[at >> 3] = (changed[at >> 3] as number) ^ (1 << (at & 7));
      const tag = tagOf(summer, changed);
      changed[at >> 3] = bytes[at >> 3] as number;
      return tag !== right;
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.nat({ max: MiB - 1 }), (length) => tagOf(summer, bytes.subarray(0, length)) !== right),
    { numRuns: 200 },
  );
  const page = 4096;
  const pages = fc.nat({ max: MiB / page - 2 });
  fc.assert(
    fc.property(pages, (from) => {
      bytes.copy(changed, from * page, (from + 1) * page, (from + 2) * page);
      bytes.copy(changed, (from + 1) * page, from * page, (from + 1) * page);
      const tag = tagOf(summer, changed);
      bytes.copy(changed, from * page, from * page, (from + 2) * page);
      return tag !== right;
    }),
    { numRuns: 200 },
  );
});

test("ChunkTags: the first read is checked by the CRC-32, the second by both, each later one by its tag", () => {
  const tags = new BlockTags().of("a", 2, 2 * MiB);
  assert.ok(tags);
  assert.equal(tags.sumKind(1), "crc");
  tags.noteRight(1, "crc", 0n);
  assert.equal(tags.sumKind(1), "both");
  tags.noteRight(1, "both", 77n);
  assert.deepEqual([tags.sumKind(1), tags.tag(1), tags.sumKind(0)], ["tag", 77n, "crc"]);
  tags.noteRight(1, "crc", 0n);
  assert.deepEqual([tags.sumKind(1), tags.tag(1)], ["tag", 77n]);
  tags.forget(1);
  assert.equal(tags.sumKind(1), "crc");
});

test("BlockTags: a chunk has its tags again when its file is opened again", () => {
  const tags = new BlockTags();
  tags.of("a", 1, MiB)?.noteRight(0, "both", 77n);
  assert.equal(tags.of("a", 1, MiB)?.tag(0), 77n);
  assert.equal(tags.of("b", 1, MiB)?.sumKind(0), "crc");
});

test("BlockTags: a chunk of another length than that of its SHA-256 has tags of its own", () => {
  const tags = new BlockTags();
  tags.of("a", 1, MiB)?.noteRight(0, "both", 77n);
  assert.deepEqual([tags.of("a", 2, 2 * MiB)?.sumKind(0), tags.count], ["crc", 1]);
});

test("BlockTags: a chunk below 16 KiB has no tags", () => {
  const tags = new BlockTags();
  assert.equal(tags.of("a", 1, 16 * 1024 - 1), undefined);
  assert.ok(tags.of("a", 1, 16 * 1024));
});

test("BlockTags: at most 16,384 chunks and 524,288 blocks have tags, those of the last use", () => {
  const tags = new BlockTags();
  for (let chunk = 0; chunk <= 16_384; chunk += 1) tags.of(String(chunk), 8, 8 * MiB);
  assert.equal(tags.count, 16_384);
  for (let chunk = 0; chunk < 5000; chunk += 1) tags.of(`large ${chunk}`, 128, 128 * MiB);
  assert.equal(tags.count, 524_288 / 128);
});
