import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { percentDecode, percentEncode } from "../../src/base/percent-encoding.ts";
import { anyKey, anyString, anyText } from "../support/any-text.ts";

const key = anyKey();

test("percentDecode: escapes become UTF-8, and nothing else changes", () => {
  assert.equal(percentDecode("a/b+c"), "a/b+c");
  assert.equal(percentDecode("a%20b%2Fc%2fd"), "a b/c/d");
  assert.equal(percentDecode("%C3%A9%F0%9F%90%8B"), "é🐋");
  assert.equal(percentDecode("%EF%BB%BFbom"), "\uFEFFbom");
  assert.equal(percentDecode("%2520"), "%20");
  assert.equal(percentDecode("%01%7F"), "\u0001\u007F");
  assert.equal(percentDecode(""), "");
});

test("percentDecode: raw bytes above 0x7f are UTF-8 too", () => {
  assert.equal(percentDecode(Buffer.from("dir/é🐋").toString("latin1")), "dir/é🐋");
  assert.equal(percentDecode("\u00e9"), undefined);
});

test("percentDecode: broken escapes, bytes that are not UTF-8, NUL and raw controls are undefined", () => {
  for (const text of [
    "%",
    "a%2",
    "%zz",
    "%ff",
    "%C3",
    "%C0%AF",
    "%ED%A0%80",
    "%F5%80%80%80",
    "a%00b",
    "a b",
    "\t",
    "\u0100",
  ]) {
    assert.equal(percentDecode(text), undefined, text);
  }
});

test("percentDecode: reads back every key that percentEncode writes", () => {
  fc.assert(
    fc.property(key, (text) => {
      assert.equal(percentDecode(percentEncode(text)), text);
    }),
  );
});

test("percentDecode: reads back every key however a client escapes it", () => {
  fc.assert(
    fc.property(key, fc.infiniteStream(fc.boolean()), (text, choices) => {
      const bytes = Buffer.from(text, "utf8");
      const escaped = Array.from(bytes, (byte) => {
        const mayBeRaw = byte > 0x20 && byte !== 0x25 && byte !== 0x7f;
        const isRaw = mayBeRaw && choices.next().value === true;
        return isRaw ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0")}`;
      }).join("");
      assert.equal(percentDecode(escaped), text);
    }),
  );
});

test("percentDecode, percentEncode: never throw", () => {
  fc.assert(
    fc.property(anyString, (text) => {
      percentDecode(text);
      percentEncode(text);
    }),
  );
});

test("percentEncode: unreserved bytes and slashes stay, dot segments and empty ones too", () => {
  assert.equal(percentEncode("a/../b//c.~_-/"), "a/../b//c.~_-/");
  assert.equal(percentEncode("a b+c%2F?#!'()*é😀"), "a%20b%2Bc%252F%3F%23%21%27%28%29%2A%C3%A9%F0%9F%98%80");
});

test("percentEncode: any key becomes a printable path that decodes to it", () => {
  fc.assert(
    fc.property(anyText(), (text) => {
      const path = percentEncode(text);
      assert.match(path, /^[A-Za-z0-9\-._~/%]*$/);
      assert.equal(decodeURIComponent(path), text);
    }),
  );
});

test("percentEncode: keeps what S3 keeps", () => {
  assert.equal(percentEncode("test_file(3).png"), "test_file%283%29.png");
  assert.equal(percentEncode("a/b c+d~e*!'"), "a/b%20c%2Bd~e%2A%21%27");
});
