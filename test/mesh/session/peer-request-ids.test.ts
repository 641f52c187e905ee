import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../../src/base/random.ts";
import { PeerRequestIds, requestIdHeaders } from "../../../src/mesh/session/peer-request-ids.ts";
import { RequestIds } from "../../../src/trace/request-id.ts";

test("PeerRequestIds: an id of up to 64 printable characters is kept, and any other is replaced by a new one", () => {
  const ids = new PeerRequestIds(new RequestIds(new SeededRandom(1)));
  for (const id of ["1", "00AB", "~!\"#'()\\", "x".repeat(64)]) assert.equal(ids.of(id), id);
  assert.equal(ids.stats.replaced, 0);
  const bad = ["", "x".repeat(65), "a b", "a\tb", "a\nb", "a\u007fb", "caf\u00e9", "\u{1f40b}", ["a", "b"]];
  const replaced = bad.map((id) => ids.of(id));
  for (const id of replaced) assert.match(id, /^[0-9A-F]{16}$/);
  assert.equal(new Set(replaced).size, bad.length);
  assert.equal(ids.stats.replaced, bad.length);
});

test("PeerRequestIds: a call without an id gets one, and that is no fault of the peer", () => {
  const ids = new PeerRequestIds(new RequestIds(new SeededRandom(1)));
  for (const header of [undefined, null]) assert.match(ids.of(header), /^[0-9A-F]{16}$/);
  assert.equal(ids.stats.replaced, 0);
});

test("requestIdHeaders: no header without an id", () => {
  assert.deepEqual(requestIdHeaders(undefined), {});
  assert.deepEqual(requestIdHeaders("A"), { "orca-request-id": "A" });
});
