/** Scripts for a connection: requests in the strict form, odd ones and malformed ones, in a row, cut into pieces. */
import type { Chance } from "../../support/chance.ts";

export interface Script {
  readonly pieces: readonly Buffer[];
  readonly requests: number;
  /** Whether all of it is in the strict form. */
  readonly isStrict: boolean;
}

/** With which the connection ends, unless it ends before. */
const lastRequest = "GET /models/tiny HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

const targets = [
  "/models/tiny",
  "/models/small",
  "/models/small?x-id=GetObject",
  "/models/empty",
  "/models/block",
  "/models/big",
  "/models/described",
  "/models/absent",
  "/models/small?partNumber=1",
  "/models/small?versionId=odd",
  "/models/small?response-content-type=text%2Fplain",
  "/models?location",
  "/models",
  "/unknown/small",
  "/",
  "/models/sm%61ll",
  "/models/a%zz",
  "/models/small?acl",
  `/models/${"k".repeat(1100)}`,
] as const;

const ranges = [
  "bytes=0-9",
  "bytes=-5",
  "bytes=4090-",
  "bytes=9999999-",
  "bytes=5-2",
  "lines=1-2",
  "bytes=0-1,3-4",
] as const;

const strictHeaders = [
  "User-Agent: aws-sdk\r\n",
  "Accept: */*\r\n",
  "x-amz-checksum-mode: ENABLED\r\n",
  'If-None-Match: "none"\r\n',
  "If-None-Match: *\r\n",
  'If-Match: "none"\r\n',
  "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT\r\n",
  "Connection: keep-alive\r\n",
  "Connection:Keep-Alive\r\n",
  "X-Empty:\r\n",
  "X-Padded: \t a b \t\r\n",
  "Accept-Encoding: identity\r\n",
  "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
  "Authorization: Bearer nobody\r\n",
] as const;

const oddHeaders = [
  "Connection: close\r\n",
  "Connection: close, keep-alive\r\n",
  "Connection: Upgrade\r\nUpgrade: h2c\r\n",
  "Content-Length: 0\r\n",
  "Content-Length: 3\r\n\r\nabc",
  "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
  "Transfer-Encoding: gzip\r\n",
  "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
  "Content-Length: -1\r\n",
  "Expect: 100-continue\r\n",
  "Expect: other\r\n",
  "Host: other\r\n",
  "X-Folded: a\r\n b\r\n",
  "X-Latin: \xe9\r\n",
  "X-Control: a\x01b\r\n",
  "X-Nul: a\0b\r\n",
  "X-Bare: a\nX-Line: b\r\n",
  "X-Return: a\rb\r\n",
  "X Space: a\r\n",
  "X-Before : a\r\n",
  " X-Leading: a\r\n",
  ": no name\r\n",
  "no colon\r\n",
  "__proto__: x\r\n",
  "Accept: a\r\nAccept: b\r\n",
  "Set-Cookie: a\r\n",
  "TE: trailers\r\n",
  "Proxy-Connection: close\r\n",
  `X-Long: ${"v".repeat(17_000)}\r\n`,
  `X-TooLong: ${"v".repeat(40_000)}\r\n`,
  "Range: bytes=0-1\r\nRange: bytes=2-3\r\n",
  Array.from({ length: 70 }, (_, index) => `X-${index}: v\r\n`).join(""),
] as const;

const oddLines = [
  "GET /models/tiny HTTP/1.0",
  "GET /models/tiny HTTP/1.2",
  "GET /models/tiny HTTP/2.0",
  "GET  /models/tiny HTTP/1.1",
  "GET /models/tiny  HTTP/1.1",
  "GET /models/tiny HTTP/1.1 ",
  "GET /models/ti ny HTTP/1.1",
  "get /models/tiny HTTP/1.1",
  "POST /models/tiny HTTP/1.1",
  "PUT /models/tiny HTTP/1.1",
  "DELETE /models/tiny HTTP/1.1",
  "OPTIONS * HTTP/1.1",
  "OPTIONS /models/tiny HTTP/1.1",
  "GET http://h/models/tiny HTTP/1.1",
  "GET models/tiny HTTP/1.1",
  "GET /models/t\xefny HTTP/1.1",
  "GET /models/tiny#part HTTP/1.1",
  'GET /models/"tiny" HTTP/1.1',
  "GET /models/tiny HTTP/1.1\nX: y",
  "GET /models/tiny",
  "GET / models",
  "GE",
  "\r\nGET /models/tiny HTTP/1.1",
  "\x16\x03\x01\x02",
  "",
] as const;

const hosts = [
  "Host: h\r\n",
  "Host: h:8080\r\n",
  "host:h\r\n",
  "HOST:  h  \r\n",
  "Host: \r\n",
  "Host: [::1]:80\r\n",
] as const;
const oddHosts = ["", "Host: a b\r\n", "Host: h\r\nHost: h\r\n", "Host: h/x\r\n", "Host: h@x\r\n"] as const;

export function scriptOf(chance: Chance): Script {
  const requests = 1 + chance.below(4);
  let text = "";
  let isStrict = true;
  for (let index = 0; index < requests; index += 1) {
    const isOdd = chance.happens(0.2);
    text += requestOf(chance, isOdd);
    isStrict &&= !isOdd;
  }
  const bytes = Buffer.from(text + lastRequest, "latin1");
  if (chance.happens(0.1)) {
    bytes[chance.below(bytes.length - lastRequest.length)] = chance.below(256);
    isStrict = false;
  }
  return { pieces: piecesOf(chance, bytes), requests: requests + 1, isStrict };
}

function requestOf(chance: Chance, isOdd: boolean): string {
  const line =
    isOdd && chance.happens(0.3)
      ? chance.oneOf(oddLines)
      : `${chance.oneOf(["GET", "GET", "GET", "HEAD"])} ${chance.oneOf(targets)} HTTP/1.1`;
  const host = isOdd && chance.happens(0.2) ? chance.oneOf(oddHosts) : chance.oneOf(hosts);
  const headers: string[] = [host];
  if (chance.happens(0.4)) headers.push(`Range: ${chance.oneOf(ranges)}\r\n`);
  const names = new Set<string>();
  for (let count = chance.below(4); count > 0; count -= 1) {
    const header = chance.oneOf(strictHeaders);
    const name = header.slice(0, header.indexOf(":"));
    if (!names.has(name)) headers.push(header);
    names.add(name);
  }
  if (isOdd && chance.happens(0.7))
    headers.splice(chance.below(headers.length + 1), 0, chance.oneOf(oddHeaders));
  return `${line}\r\n${headers.join("")}\r\n`;
}

/** All at once, byte by byte in one place, or cut anywhere. */
function piecesOf(chance: Chance, bytes: Buffer): Buffer[] {
  const cuts = new Set<number>();
  if (chance.happens(0.5))
    for (let count = 1 + chance.below(4); count > 0; count -= 1) cuts.add(chance.below(bytes.length));
  if (chance.happens(0.1)) {
    const from = chance.below(bytes.length);
    for (let at = from; at < from + 12; at += 1) cuts.add(at);
  }
  const pieces: Buffer[] = [];
  let start = 0;
  for (const cut of [...cuts].toSorted((left, right) => left - right)) {
    if (cut <= start || cut >= bytes.length) continue;
    pieces.push(bytes.subarray(start, cut));
    start = cut;
  }
  pieces.push(bytes.subarray(start));
  return pieces;
}
