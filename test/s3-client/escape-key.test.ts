import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { escapeKey } from "../../src/s3-client/escape-key.ts";

test("escapeKey: unreserved bytes and slashes stay, dot segments and empty ones too", () => {
  assert.equal(escapeKey("a/../b//c.~_-/"), "a/../b//c.~_-/");
  assert.equal(escapeKey("a b+c%2F?#!'()*é😀"), "a%20b%2Bc%252F%3F%23%21%27%28%29%2A%C3%A9%F0%9F%98%80");
});

test("escapeKey: any key becomes a printable path that decodes to it", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (key) => {
      const path = escapeKey(key);
      assert.match(path, /^[A-Za-z0-9\-._~/%]*$/);
      assert.equal(decodeURIComponent(path), key);
    }),
  );
});
