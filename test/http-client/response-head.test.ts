import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  headLength,
  isPersistent,
  looksLikeHead,
  MalformedHead,
  parseHead,
  type ResponseHead,
} from "../../src/http-client/response-head.ts";

const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");
const bytesOfHead = (text: string): Buffer => bytesOf(`${text}\r\n\r\n`);

function parse(text: string): ResponseHead {
  const head = parseHead(bytesOfHead(text));
  assert.ok(!(head instanceof MalformedHead));
  return head;
}

test("parseHead: status, headers in lower case, blanks around values removed", () => {
  const head = parse('HTTP/1.1 206 Partial Content\r\nETag: \t"x" \r\nContent-Length:17\r\nX-Empty:');
  assert.equal(head.status, 206);
  assert.equal(head.minorVersion, 1);
  assert.equal(head.contentLength, 17);
  assert.deepEqual(
    [...head.headers],
    [
      ["etag", '"x"'],
      ["content-length", "17"],
      ["x-empty", ""],
    ],
  );
});

test("parseHead: a repeated header is one value joined by a comma", () => {
  assert.equal(parse("HTTP/1.1 200 OK\r\nVia: a\r\nvia: b").headers.get("via"), "a, b");
});

test("parseHead: a value keeps every byte of UTF-8 text, a last 0xa0 too", () => {
  const value = Buffer.from("voilà", "utf8").toString("latin1");
  assert.equal(parse(`HTTP/1.1 200 OK\r\nx-amz-meta-a: ${value}`).headers.get("x-amz-meta-a"), value);
});

test("parseHead: a status line needs no reason", () => {
  assert.equal(parse("HTTP/1.0 503").status, 503);
  assert.equal(parse("HTTP/1.0 503 ").minorVersion, 0);
});

for (const [name, text] of Object.entries({
  "another protocol": "ICY 200 OK",
  "HTTP/2 in words": "HTTP/2.0 200 OK",
  "a status of two digits": "HTTP/1.1 20 OK",
  "a status below 100": "HTTP/1.1 099 OK",
  "a header without a colon": "HTTP/1.1 200 OK\r\nnonsense",
  "a header without a name": "HTTP/1.1 200 OK\r\n: x",
  "a space before the colon": "HTTP/1.1 200 OK\r\nContent-Length : 5",
  "a folded line": "HTTP/1.1 200 OK\r\nA: b\r\n c",
  "a bare line feed": "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 5",
  "a bare carriage return": "HTTP/1.1 200 OK\r\nA: b\rc",
  "a NUL": "HTTP/1.1 200 OK\r\nA: b\0c",
  "a negative length": "HTTP/1.1 200 OK\r\nContent-Length: -1",
  "a length with a sign": "HTTP/1.1 200 OK\r\nContent-Length: +1",
  "a length beyond safe integers": "HTTP/1.1 200 OK\r\nContent-Length: 9007199254740993",
  "two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
  "nothing at all": "",
})) {
  test(`parseHead: ${name} is malformed`, () => {
    assert.ok(parseHead(bytesOfHead(text)) instanceof MalformedHead);
  });
}

test("parseHead: 64 KiB of blanks in a value take no more than linear time", () => {
  const head = parse(`HTTP/1.1 200 OK\r\nA: ${" ".repeat(65_000)}x`);
  assert.equal(head.headers.get("a"), "x");
});

test("parseHead: gives back what a well-formed head was made of", () => {
  const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/).filter((name) => name !== "content-length");
  const value = fc.stringMatching(/^(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?$/);
  const headers = fc.uniqueArray(fc.tuple(token, value), { maxLength: 8, selector: ([name]) => name });
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 999 }), headers, fc.nat(), (status, pairs, length) => {
      const lines = pairs.map(([name, text]) => `${name}:  ${text}\t\r\n`).join("");
      const head = parse(`HTTP/1.1 ${status} Reason\r\n${lines}CONTENT-LENGTH: ${length}`);
      assert.equal(head.status, status);
      assert.equal(head.contentLength, length);
      for (const [name, text] of pairs) assert.equal(head.headers.get(name), text);
    }),
  );
});

test("parseHead: bytes of any kind are a head or a malformed one, and nothing is thrown", () => {
  const start = fc.constantFrom("", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n");
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 64 }), (text, bytes) => {
      parseHead(Buffer.concat([bytesOf(text), bytes, bytesOf("\r\n\r\n")]));
    }),
  );
});

test("headLength: finds the end wherever the bytes were split before it", () => {
  const bytes = bytesOf("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n");
  for (let searched = 0; searched < 25; searched += 1) {
    assert.equal(headLength(bytes.subarray(0, searched), 0), 0);
    assert.equal(headLength(bytes, searched), 25);
  }
});

test("looksLikeHead: true for every start of a head, false as soon as it cannot be one", () => {
  for (let length = 0; length < 12; length += 1)
    assert.ok(looksLikeHead(bytesOf("HTTP/1.1 200".slice(0, length))));
  for (const text of ["h", "HTTQ", "HTTP/2", "\x16\x03\x01", "SSH-2.0"])
    assert.ok(!looksLikeHead(bytesOf(text)));
});

test("isPersistent: HTTP/1.1 without Connection: close", () => {
  assert.ok(isPersistent(parse("HTTP/1.1 200 OK")));
  assert.ok(isPersistent(parse("HTTP/1.1 200 OK\r\nConnection: keep-alive")));
  assert.ok(!isPersistent(parse("HTTP/1.1 200 OK\r\nConnection: Close")));
  assert.ok(!isPersistent(parse("HTTP/1.1 200 OK\r\nConnection: foo, close ,bar")));
  assert.ok(!isPersistent(parse("HTTP/1.0 200 OK\r\nConnection: keep-alive")));
});
