import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { element, escapeXml, escapeXmlExactly, s3Document } from "../../src/edge/xml.ts";
import { anyString, anyText } from "../support/any-text.ts";
import { isXmlText, unescapeXml } from "./xml-text.ts";

test("escapeXml: markup is escaped", () => {
  assert.equal(escapeXml(`a<b>&"c"'d'`), "a&lt;b&gt;&amp;&quot;c&quot;&apos;d&apos;");
  assert.equal(escapeXml("plain / text + é 🐋\n\t"), "plain / text + é 🐋\n\t");
  assert.equal(escapeXml("a\rb"), "a&#13;b");
});

test("escapeXml: what XML cannot carry becomes U+FFFD", () => {
  assert.equal(escapeXml("a\0b\u0001\u001f\uFFFE\uFFFF\uD800"), "a\uFFFDb\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD");
});

test("escapeXmlExactly: what XML cannot carry becomes a reference, as in S3", () => {
  assert.equal(escapeXmlExactly("a\u0004b\uFFFF"), "a&#x4;b&#xffff;");
  assert.equal(escapeXmlExactly("\uD800"), "\uFFFD");
});

test("escapeXml: any text becomes text that XML can carry", () => {
  fc.assert(
    fc.property(anyString, (text) => {
      assert.ok(isXmlText(escapeXml(text)));
    }),
  );
});

test("escapeXmlExactly: every key comes back, and no two are alike", () => {
  fc.assert(
    fc.property(anyText(), (text) => {
      assert.equal(unescapeXml(escapeXmlExactly(text)), text);
    }),
  );
});

test("element, s3Document: names around content", () => {
  assert.equal(element("A", "b"), "<A>b</A>");
  assert.equal(
    s3Document("A", "b"),
    '<?xml version="1.0" encoding="UTF-8"?>\n<A xmlns="http://s3.amazonaws.com/doc/2006-03-01/">b</A>',
  );
});
