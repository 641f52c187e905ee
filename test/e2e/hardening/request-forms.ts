/**
 * Requests that a proxy may frame in another way than Orca, and requests that are no HTTP/1.1, with the answer that RFC 9112
 * asks for. Each is followed by a second request on the same connection: the one that an attacker would smuggle.
 */

export interface RequestForm {
  readonly name: string;
  /** All lines after the request line and `Host`, and what follows the head. */
  readonly text: string;
  /** The codes of the answers, in order. The connection closes after the last one. */
  readonly answers: readonly string[];
}

const rejected = ["InvalidRequest"];
/** A valid body: its request is answered, and so is the next one. */
const framed = ["200", "200"];
/** The head is answered before the fault in the body is seen. Nothing after it is read. */
const answeredOnce = ["200"];

const empty = "0\r\n\r\n";
const hello = "5\r\nhello\r\n0\r\n\r\n";

/** `[name, headers, body, answers to a GET]`. To a POST the answer is 405, or the same fault. */
const bodies: readonly (readonly [string, string, string, readonly string[]])[] = [
  ["no body", "", "", framed],
  ["Content-Length", "Content-Length: 5\r\n", "hello", framed],
  ["Content-Length with zeros in front", "Content-Length: 0005\r\n", "hello", framed],
  ["two different Content-Lengths", "Content-Length: 0\r\nContent-Length: 5\r\n", "hello", rejected],
  ["two equal Content-Lengths", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello", rejected],
  ["a list as Content-Length", "Content-Length: 5, 5\r\n", "hello", rejected],
  ["Content-Length with a plus", "Content-Length: +5\r\n", "hello", rejected],
  ["a negative Content-Length", "Content-Length: -1\r\n", "", rejected],
  ["a hexadecimal Content-Length", "Content-Length: 0x5\r\n", "hello", rejected],
  ["an empty Content-Length", "Content-Length:\r\n", "", rejected],
  ["a Content-Length with a space", "Content-Length: 5 5\r\n", "hello", rejected],
  ["a Content-Length of 2^64", "Content-Length: 18446744073709551616\r\n", "", rejected],
  ["CL.TE", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", empty, rejected],
  ["TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", empty, rejected],
  ["CL.TE with identity", "Content-Length: 5\r\nTransfer-Encoding: identity\r\n", "hello", rejected],
  ["chunks", "Transfer-Encoding: chunked\r\n", hello, framed],
  ["chunks by a coding in other letters", "tRANSFER-eNCODING: chunKed\r\n", hello, framed],
  ["chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", empty, rejected],
  ["chunked, chunked", "Transfer-Encoding: chunked, chunked\r\n", empty, rejected],
  [
    "chunked, then identity",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    empty,
    rejected,
  ],
  ["chunked before gzip", "Transfer-Encoding: chunked, gzip\r\n", empty, rejected],
  ["chunked and an empty coding", "Transfer-Encoding: chunked,\r\n", empty, rejected],
  ["an empty coding and chunked", "Transfer-Encoding: ,chunked\r\n", empty, ["NotImplemented"]],
  ["identity and chunked", "Transfer-Encoding: identity, chunked\r\n", empty, ["NotImplemented"]],
  ["gzip and chunked", "Transfer-Encoding: gzip, chunked\r\n", empty, ["NotImplemented"]],
  [
    "gzip, chunked in two lines",
    "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    empty,
    rejected,
  ],
  ["identity", "Transfer-Encoding: identity\r\n", empty, rejected],
  ["gzip", "Transfer-Encoding: gzip\r\n", empty, rejected],
  ["xchunked", "Transfer-Encoding: xchunked\r\n", empty, rejected],
  ["chunked in quotes", 'Transfer-Encoding: "chunked"\r\n', empty, rejected],
  ["chunked with a parameter", "Transfer-Encoding: chunked;a=b\r\n", empty, rejected],
  ["an empty Transfer-Encoding", "Transfer-Encoding:\r\n", empty, rejected],
  ["chunked after a vertical tab", "Transfer-Encoding: \x0bchunked\r\n", empty, rejected],
  ["Transfer-Encoding, a space, a colon", "Transfer-Encoding : chunked\r\n", empty, rejected],
  ["Transfer-Encoding after a bare LF", "X: x\nTransfer-Encoding: chunked\r\n", empty, rejected],
  ["Transfer-Encoding after a bare CR", "X: x\rTransfer-Encoding: chunked\r\n", empty, rejected],
  ["a folded Transfer-Encoding", "Transfer-Encoding:\r\n chunked\r\n", empty, rejected],
  ["chunked and a tab", "Transfer-Encoding: chunked\t\r\n", empty, answeredOnce],
  [
    "a chunk size that is no number",
    "Transfer-Encoding: chunked\r\n",
    `zz\r\nhello\r\n${empty}`,
    answeredOnce,
  ],
  ["a chunk size with 0x", "Transfer-Encoding: chunked\r\n", `0x5\r\nhello\r\n${empty}`, answeredOnce],
  ["a negative chunk size", "Transfer-Encoding: chunked\r\n", `-1\r\nhello\r\n${empty}`, answeredOnce],
  ["a chunk size and a space", "Transfer-Encoding: chunked\r\n", `5 \r\nhello\r\n${empty}`, answeredOnce],
  [
    "a chunk size above 2^64",
    "Transfer-Encoding: chunked\r\n",
    `10000000000000005\r\nhello\r\n${empty}`,
    answeredOnce,
  ],
  ["no chunk size", "Transfer-Encoding: chunked\r\n", `\r\nhello\r\n${empty}`, answeredOnce],
  ["a bare LF after a chunk size", "Transfer-Encoding: chunked\r\n", `5\nhello\r\n${empty}`, answeredOnce],
  [
    "a bare LF in a chunk extension",
    "Transfer-Encoding: chunked\r\n",
    `5;a=\nb\r\nhello\r\n${empty}`,
    answeredOnce,
  ],
  ["a NUL in a chunk extension", "Transfer-Encoding: chunked\r\n", `5;\0\r\nhello\r\n${empty}`, answeredOnce],
  [
    "a chunk extension of 20 KB",
    "Transfer-Encoding: chunked\r\n",
    `5;${"a".repeat(20_000)}\r\nhello\r\n${empty}`,
    answeredOnce,
  ],
  [
    "a trailer that frames",
    "Transfer-Encoding: chunked\r\n",
    "0\r\nTransfer-Encoding: chunked\r\n\r\n",
    answeredOnce,
  ],
  [
    "trailers of 40 KB",
    "Transfer-Encoding: chunked\r\n",
    `0\r\nX: ${"y".repeat(40_000)}\r\n\r\n`,
    answeredOnce,
  ],
  ["a chunk extension", "Transfer-Encoding: chunked\r\n", `5;a=b\r\nhello\r\n${empty}`, framed],
  ["a trailer", "Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n\r\n", framed],
];

/** Faults of one header, the value of which no reader may interpret. */
const headers: readonly (readonly [string, string])[] = [
  ["a bare LF at a line's end", "X: y\n"],
  ["a folded header", "X: y\r\n z\r\n"],
  ["a header folded by a tab", "X: y\r\n\tz\r\n"],
  ["a NUL in a value", "X: a\0b\r\n"],
  ["a CR in a value", "X: a\rb\r\n"],
  ["two CRs at a line's end", "X: a\r\r\n"],
  ["a control character in a value", "X: a\x01b\r\n"],
  ["a DEL in a value", "X: a\x7fb\r\n"],
  ["a space before the colon", "X : y\r\n"],
  ["a tab before the colon", "X\t: y\r\n"],
  ["a line without a colon", "X\r\n"],
  ["an empty name", ": y\r\n"],
  ["a parenthesis in a name", "X(: y\r\n"],
  ["a space in a name", "X Y: y\r\n"],
  ["a NUL in a name", "X\0: y\r\n"],
  ["a letter of Latin-1 in a name", "X\xe9: y\r\n"],
  ["100 KB of headers", `X: ${"y".repeat(1000)}\r\n`.repeat(100)],
  ["10,000 tiny headers", "a:b\r\n".repeat(10_000)],
  ["a header of 64 KB", `X: ${"y".repeat(64 * 1024)}\r\n`],
];

/** `[name, request line and Host, answers]`. `$` is the path of an object. */
const heads: readonly (readonly [string, string, readonly string[]])[] = [
  ["a method in small letters", "get $ HTTP/1.1\r\nHost: h\r\n", rejected],
  ["an unknown method", "BREW $ HTTP/1.1\r\nHost: h\r\n", rejected],
  ["a method that is no token", "G@T $ HTTP/1.1\r\nHost: h\r\n", rejected],
  ["a method of 64 KB", `${"G".repeat(64 * 1024)} $ HTTP/1.1\r\nHost: h\r\n`, rejected],
  ["a space before the method", " GET $ HTTP/1.1\r\nHost: h\r\n", rejected],
  ["tabs in the request line", "GET\t$\tHTTP/1.1\r\nHost: h\r\n", rejected],
  ["a space in the target", "GET $ $ HTTP/1.1\r\nHost: h\r\n", rejected],
  ["a space after the version", "GET $ HTTP/1.1 \r\nHost: h\r\n", rejected],
  ["a NUL in the target", "GET $\0 HTTP/1.1\r\nHost: h\r\n", rejected],
  ["a letter of Latin-1 in the target", "GET $\xe9 HTTP/1.1\r\nHost: h\r\n", rejected],
  ["a target without a slash", "GET models/k HTTP/1.1\r\nHost: h\r\n", rejected],
  ["a target of 64 KB", `GET $${"k".repeat(64 * 1024)} HTTP/1.1\r\nHost: h\r\n`, rejected],
  ["HTTP/1.2", "GET $ HTTP/1.2\r\nHost: h\r\n", rejected],
  ["HTTP/1.10", "GET $ HTTP/1.10\r\nHost: h\r\n", rejected],
  ["HTTP/01.1", "GET $ HTTP/01.1\r\nHost: h\r\n", rejected],
  ["HTTP/2.0", "GET $ HTTP/2.0\r\nHost: h\r\n", rejected],
  ["HTTP/0.9", "GET $ HTTP/0.9\r\nHost: h\r\n", rejected],
  ["HTTP/3.0", "GET $ HTTP/3.0\r\nHost: h\r\n", rejected],
  ["http/1.1", "GET $ http/1.1\r\nHost: h\r\n", rejected],
  ["another protocol", "GET $ ICE/1.0\r\nHost: h\r\n", rejected],
  ["bare LFs alone", "GET $ HTTP/1.1\nHost: h\n", rejected],
  ["a bare LF after the request line", "GET $ HTTP/1.1\nHost: h\r\n", rejected],
  ["a folded request line", "GET $ HTTP/1.1\r\n Host: h\r\n", rejected],
  ["a folded Host", "GET $ HTTP/1.1\r\nHost: h\r\n i\r\n", rejected],
  ["no Host", "GET $ HTTP/1.1\r\n", rejected],
  [
    "two Hosts, the second far behind",
    `GET $ HTTP/1.1\r\nHost: h\r\n${"a:b\r\n".repeat(500)}HOST: i\r\n`,
    rejected,
  ],
  ["a Host with a path", "GET $ HTTP/1.1\r\nHost: h/models\r\n", rejected],
  ["a Host with a user", "GET $ HTTP/1.1\r\nHost: u@h\r\n", rejected],
  ["a list of Hosts", "GET $ HTTP/1.1\r\nHost: h, i\r\n", rejected],
  ["a Host with a port that is no number", "GET $ HTTP/1.1\r\nHost: h:80a\r\n", rejected],
  ["an empty Host", "GET $ HTTP/1.1\r\nHost:\r\n", framed],
  ["an IPv6 address as Host", "GET $ HTTP/1.1\r\nHost: [::1]:8080\r\n", framed],
  ["chunks in HTTP/1.0", "GET $ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", rejected],
  [
    "chunks in HTTP/1.0 that stays",
    "GET $ HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
    rejected,
  ],
  ["CONNECT", "CONNECT models:80 HTTP/1.1\r\nHost: h\r\n", ["MethodNotAllowed"]],
  ["PRI of HTTP/2", "PRI * HTTP/2.0\r\n", rejected],
  ["empty lines before the request", "\r\n\r\nGET $ HTTP/1.1\r\nHost: h\r\n", framed],
];

/** Every form, for an object at `path`. `next` is the request that follows. */
export function requestForms(path: string, next: string): readonly RequestForm[] {
  const begun = (method: string): string => `${method} ${path} HTTP/1.1\r\nHost: h\r\n`;
  return [
    ...bodies.flatMap(([name, lines, body, answers]) => [
      { name: `GET: ${name}`, text: `${begun("GET")}${lines}\r\n${body}${next}`, answers },
      {
        name: `POST: ${name}`,
        text: `${begun("POST")}${lines}\r\n${body}${next}`,
        answers: answers[0] === "200" ? ["MethodNotAllowed"] : answers,
      },
    ]),
    ...headers.map(([name, line]) => ({
      name,
      text: `${begun("GET")}${line}\r\n${next}`,
      answers: rejected,
    })),
    ...heads.map(([name, head, answers]) => ({
      name,
      text: `${head.replaceAll("$", path)}${name === "bare LFs alone" ? "\n" : "\r\n"}${next}`,
      answers,
    })),
  ];
}
