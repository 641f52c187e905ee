import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../src/base/random.ts";
import { RequestIds } from "../../src/trace/request-id.ts";

test("RequestIds: 16 upper-case hex characters, each once", () => {
  const ids = new RequestIds(new SeededRandom(1));
  const seen = new Set<string>();
  for (let count = 0; count < 10_000; count += 1) {
    const id = ids.next();
    assert.match(id, /^[0-9A-F]{16}$/);
    seen.add(id);
  }
  assert.equal(seen.size, 10_000);
});

test("RequestIds: two processes do not share names", () => {
  const first = new RequestIds(new SeededRandom(1));
  const second = new RequestIds(new SeededRandom(2));
  assert.notEqual(first.next().slice(0, 14), second.next().slice(0, 14));
});

test("RequestIds: counts on past the end of every digit", () => {
  const ids = new RequestIds({ next: () => 1 - 2 ** -53 });
  assert.equal(ids.next(), "FFFFFFFFFFFFFF00");
  for (let count = 1; count < 256; count += 1) ids.next();
  assert.equal(ids.next(), "0000000000000000");
});
