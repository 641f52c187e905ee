import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KiB } from "../../src/base/units.ts";
import { escapeXmlExactly } from "../../src/edge/xml.ts";
import { MalformedXml, scanXml } from "../../src/origin/xml-scanner.ts";

/** `parent/name=text` of each element that ends, in order. */
async function scanned(xml: string | Buffer, root = "r"): Promise<string[]> {
  const found: string[] = [];
  await scanXml(Buffer.from(xml), root, (element) =>
    found.push(`${element.parent}/${element.name}=${element.text()}`),
  );
  return found;
}

test("scanXml: elements end in order, with their parent, and with their text if they have no child", async () => {
  const xml = `\uFEFF<?xml version="1.0"?>\n<!-- <r> -->\n<r xmlns="x>y"><a>1</a> <b  k='>' >2<c/>3</b ><a></a></r>\n`;
  assert.deepEqual(await scanned(xml), ["r/a=1", "b/c=", "r/b=", "r/a=", "/r="]);
});

test("scanXml: references, CDATA, comments and line ends in a text", async () => {
  const text = "&lt;&gt;&amp;&quot;&apos;&#233;&#x1F600;&#x1;<![CDATA[<&amp;>]]><!-- -->\r\n\r&amp;lt;";
  assert.deepEqual((await scanned(`<r>${text}</r>`))[0], `/r=<>&"'é😀\u0001<&amp;>\n\n&lt;`);
});

test("scanXml: attributes are those of the element that ends", async () => {
  const found: string[] = [];
  await scanXml(Buffer.from(`<r x="1"><n Encoded="true">%01</n><n>b</n></r>`), "r", (element) =>
    found.push(element.attributes()),
  );
  assert.deepEqual(found, [' Encoded="true">', ">", ""]);
});

test("scanXml: what is malformed, cut, deep or of another root is MalformedXml", async () => {
  const whole = "<r><a b='c'>1&amp;</a><!-- x --><c/></r>";
  assert.equal((await scanned(whole)).length, 3);
  const cut = Array.from({ length: whole.length }, (_, length) => whole.slice(0, length));
  const malformed = [
    "x<r/>",
    "<r/>x",
    "<r/><r/>",
    "<s/>",
    "<r><a></b></r>",
    "</r>",
    "<r><></r>",
    "<r>&nbsp;</r>",
    "<r>&#x110000;</r>",
    "<r>&valueOf;</r>",
    "<r>&__proto__;</r>",
    '<!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>',
    `${"<r>".repeat(17)}${"</r>".repeat(17)}`,
    `<${"r".repeat(1000)}/>`,
    "\0\0\0",
  ];
  for (const xml of [...cut, ...malformed]) await assert.rejects(scanned(xml), MalformedXml, xml);
});

test("scanXml: any text survives escaping and scanning, and any bytes end in a value or in MalformedXml", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "binary" }), async (text) => {
      // The first character of a document may be a byte order mark, and a text's may be, too.
      assert.deepEqual(await scanned(`<r>${escapeXmlExactly(text)}</r>`), [`/r=${text}`]);
    }),
  );
  const pieces = [
    "<r>",
    "</r>",
    "<",
    ">",
    "/",
    "&",
    ";",
    "#x",
    "'",
    '"',
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?",
    "é",
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...pieces)), async (parts) => {
      await scanned(parts.join("")).catch((thrown: unknown) => assert.ok(thrown instanceof MalformedXml));
    }),
  );
});

test("scanXml: a text that is longer than any of a listing is MalformedXml, before it is unescaped", async () => {
  const reference = "&amp;";
  const longest = Math.floor((64 * KiB) / reference.length);
  assert.equal((await scanned(`<r>${reference.repeat(longest)}</r>`))[0]?.length, "/r=".length + longest);
  await assert.rejects(scanned(`<r>${reference.repeat(longest + 1)}</r>`), MalformedXml);
  // Not if nobody wants it.
  await scanXml(Buffer.from(`<r>${reference.repeat(longest + 1)}</r>`), "r", () => undefined);
});

test("scanXml: a long document is scanned in slices, between which the event loop runs", async () => {
  let turns = 0;
  const count = (): void => {
    turns += 1;
    pending = setImmediate(count);
  };
  let pending = setImmediate(count);
  const element = `<a>${"x".repeat(1000)}</a>`;
  const found = await scanned(`<r>${element.repeat(1024)}</r>`);
  clearImmediate(pending);
  assert.equal(found.length, 1025);
  // 1 MiB in slices of 128 KiB.
  assert.ok(turns >= 7, `${turns} turns`);
});
