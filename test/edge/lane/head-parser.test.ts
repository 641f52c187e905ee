import assert from "node:assert/strict";
import { Socket } from "node:net";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MiB } from "../../../src/base/units.ts";
import {
  HeadParser,
  headBytesMax,
  LaneRequest,
  type ParsedHead,
} from "../../../src/edge/lane/head-parser.ts";

const socket = new Socket();
const parser = new HeadParser();

function parse(text: string, start = 0): ParsedHead {
  return parser.parse(Buffer.from(text, "latin1"), start, socket);
}

function request(text: string): LaneRequest {
  const head = parse(text);
  assert.ok(head instanceof LaneRequest);
  return head;
}

function withHeader(line: string): string {
  return `GET / HTTP/1.1\r\nHost: h\r\n${line}\r\n\r\n`;
}

function wantsClose(connection: string): boolean {
  return request(withHeader(`Connection: ${connection}`)).closes;
}

const strict = "GET /b/k?x-id=GetObject HTTP/1.1\r\nHost: h:1\r\nX-Padded: \t a b \t\r\nX-Empty:\r\n\r\n";

test("HeadParser: a head of the strict form is read as node:http reads it", () => {
  const { method, url, headers, rawHeaders, closes } = request(strict);
  assert.deepEqual([method, url, closes], ["GET", "/b/k?x-id=GetObject", false]);
  assert.deepEqual(headers, { host: "h:1", "x-padded": "a b", "x-empty": "" });
  assert.deepEqual(rawHeaders, ["Host", "h:1", "X-Padded", "a b", "X-Empty", ""]);
  assert.equal(parser.end, strict.length);
});

test("HeadParser: each beginning of a head is incomplete, and what comes after it is not read", () => {
  for (const head of [strict, strict.replace("GET", "HEAD")]) {
    for (let length = 0; length < head.length; length += 1)
      assert.equal(parse(head.slice(0, length)), "incomplete", JSON.stringify(head.slice(0, length)));
    assert.ok(parse(`${head}\0`) instanceof LaneRequest);
    assert.ok(parse(`${head}${head}`, head.length) instanceof LaneRequest);
    assert.equal(parser.end, 2 * head.length);
  }
});

test("HeadParser: Connection may be keep-alive or close, in any case, and nothing else", () => {
  assert.deepEqual(["close", "Close", "keep-alive", "Keep-Alive"].map(wantsClose), [
    true,
    true,
    false,
    false,
  ]);
});

test("HeadParser: everything else is node:http's, as soon as that is known", () => {
  const others = [
    "P",
    "get / HTTP/1.1\r\n",
    "\r\n",
    "GET b",
    "GET http://h/ HTTP/1.1\r\n",
    "GET  /",
    "GET /\t",
    "GET /#",
    'GET /"',
    "GET /\xe9",
    "GET / HTTP/1.0",
    "GET / HTTP/1.1\n",
    "GET / HTTP/1.1 ",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n\n",
    "GET / HTTP/1.1\r\nHost: h\r\n\rX",
    withHeader("Host: h"),
    withHeader("X: a\r\nx: b"),
    withHeader("X: \xe9"),
    withHeader("X: \0"),
    withHeader("X: \x7f"),
    withHeader("X: a\nY: b"),
    withHeader("X: a\rY: b"),
    withHeader("X : a"),
    withHeader(" X: a"),
    withHeader(": a"),
    withHeader("X: a\r\n b"),
    withHeader("no colon"),
    withHeader("Connection: close, x"),
    withHeader("Connection: upgrade"),
    withHeader("Connection:"),
    withHeader("Content-Length: 0"),
    withHeader("Transfer-Encoding: chunked"),
    withHeader("Expect: 100-continue"),
    withHeader("Upgrade: h2c"),
    withHeader("TE: trailers"),
    withHeader("Proxy-Connection: close"),
    withHeader("Set-Cookie: a"),
    withHeader("__proto__: a"),
    withHeader("constructor: a"),
    withHeader(Array.from({ length: 64 }, (_, index) => `X-${index}: a`).join("\r\n")),
    withHeader(`X: ${"a".repeat(headBytesMax)}`),
    `GET /${"k".repeat(headBytesMax)}`,
  ];
  for (const text of others) assert.equal(parse(text), "other", JSON.stringify(text.slice(0, 100)));
  assert.ok(
    parse(withHeader(Array.from({ length: 63 }, (_, index) => `X-${index}: a`).join("\r\n"))) instanceof
      LaneRequest,
  );
});

test("HeadParser: what was read before changes nothing in what is read", () => {
  const hosts = ["h", "h", "h:1", "h:1", "h:10", "H:1", " h:1", "h:1 ", "h:1\t", "", "h:1"];
  const agents = ["a", "ab", "a b", "a", "a ", "a\tb", "b"];
  const used = new HeadParser();
  for (let round = 0; round < 300; round += 1) {
    // Each value for so long that it is kept.
    const host = hosts[Math.floor(round / 9) % hosts.length];
    const agent = agents[round % agents.length];
    const name = round % 2 === 0 ? "User-Agent" : "user-agent";
    const head = Buffer.from(`GET / HTTP/1.1\r\nHost:${host}\r\n${name}: ${agent}\r\nX-${round}: x\r\n\r\n`);
    const again = used.parse(head, 0, socket);
    assert.deepEqual(again, new HeadParser().parse(head, 0, socket));
    assert.ok(again instanceof LaneRequest);
    assert.deepEqual(again.rawHeaders, ["Host", host?.trim(), name, agent?.trim(), `X-${round}`, "x"]);
    for (let length = 0; length < head.length; length += 1)
      assert.equal(used.parse(head.subarray(0, length), 0, socket), "incomplete");
  }
});

test("HeadParser: more names than are kept, and names whose hashes are equal, are read all the same", () => {
  const names = Array.from({ length: 3000 }, (_, index) => `x-${index}`);
  // Of `Aa` and `BB` the hashes are equal, and so are those of all words of them.
  for (let word = 0; word < 64; word += 1)
    names.push(word.toString(2).padStart(6, "0").replaceAll("0", "Aa").replaceAll("1", "BB"));
  for (const name of [...names, ...names]) {
    const { headers, rawHeaders } = request(withHeader(`${name}: v`));
    assert.deepEqual(headers, { host: "h", [name.toLowerCase()]: "v" });
    assert.deepEqual(rawHeaders, ["Host", "h", name, "v"]);
  }
});

test("HeadParser: of the names that clients make up it keeps short ones only", () => {
  const before = heapBytes();
  const long = "n".repeat(15_000);
  for (let index = 0; index < 1000; index += 1) request(withHeader(`${long}${index}: a`));
  assert.ok(heapBytes() - before < MiB);
});

/** Bytes in use after garbage was collected. */
function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}
