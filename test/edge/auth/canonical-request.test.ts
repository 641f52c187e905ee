/**
 * The published facts of AWS's Signature Version 4 test suite (requests of service `service` and their signatures). The
 * suite's cases of path normalisation are not S3's, which normalises nothing.
 */
import assert from "node:assert/strict";
import { createHmac, hash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalQuery, canonicalUri, queryPairs } from "../../../src/edge/auth/canonical-request.ts";
import { SignedHeaders } from "../../../src/edge/auth/signed-headers.ts";
import { deriveSigningKey, SigningKey } from "../../../src/edge/auth/signing-keys.ts";
import { anyText } from "../../support/any-text.ts";
import { Chance } from "../../support/chance.ts";

const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const scope = "20150830/us-east-1/service/aws4_request";
const date = "20150830T123600Z";
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const utf8 = Buffer.from("ሴ").toString("latin1");
const unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const token =
  "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

interface Vector {
  readonly name: string;
  readonly method?: string;
  /** As Node has it: bytes above ASCII are Latin-1 characters. */
  readonly target: string;
  readonly headers?: readonly string[];
  readonly signature: string;
}

const vectors: readonly Vector[] = [
  {
    name: "get-vanilla",
    target: "/",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
  },
  {
    name: "get-header-key-duplicate",
    target: "/",
    headers: ["My-Header1", "value2", "My-Header1", "value2", "My-Header1", "value1"],
    signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
  },
  {
    name: "get-header-value-order",
    target: "/",
    headers: ["My-Header1", "value4", "My-Header1", "value1", "My-Header1", "value3", "My-Header1", "value2"],
    signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
  },
  {
    name: "get-header-value-trim",
    target: "/",
    headers: ["My-Header1", " value1", "My-Header2", ' "a   b   c"'],
    signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
  },
  {
    name: "get-unreserved",
    target: `/${unreserved}`,
    signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
  },
  {
    name: "get-utf8",
    target: `/${utf8}`,
    signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
  },
  {
    name: "get-space",
    target: "/example%20space/",
    signature: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
  },
  {
    name: "get-vanilla-empty-query-key",
    target: "/?Param1=value1",
    signature: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
  },
  {
    name: "get-vanilla-query-order-value",
    target: "/?Param1=value2&Param1=value1",
    signature: "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
  },
  {
    name: "get-vanilla-query-order-key",
    target: "/?Param1=value2&Param1=Value1",
    signature: "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1",
  },
  {
    name: "get-vanilla-query-order-key-case",
    target: "/?Param2=value2&Param1=value1",
    signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
  },
  {
    name: "get-vanilla-query-unreserved",
    target: `/?${unreserved}=${unreserved}`,
    signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
  },
  {
    name: "get-vanilla-utf8-query",
    target: `/?${utf8}=bar`,
    signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
  },
  {
    name: "post-header-key-sort",
    method: "POST",
    target: "/",
    headers: ["My-Header1", "value1"],
    signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
  },
  {
    name: "post-vanilla-empty-query-value",
    method: "POST",
    target: "/?Param1=value1",
    signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
  },
  {
    name: "post-sts-header-before",
    method: "POST",
    target: "/",
    headers: ["X-Amz-Security-Token", token],
    signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
  },
];

test("canonical request: the signatures of AWS's test suite come out", () => {
  for (const { name, method = "GET", target, headers = [], signature } of vectors) {
    const rawHeaders = ["Host", "example.amazonaws.com", "X-Amz-Date", date, ...headers];
    const names = [
      ...new Set(rawHeaders.filter((_, index) => index % 2 === 0).map((each) => each.toLowerCase())),
    ].sort();
    const [path = "", query = ""] = target.split("?");
    const start = `${method}\n${canonicalUri(path)}\n${canonicalQuery(queryPairs(query) ?? [])}`;
    const signed = new SignedHeaders(names.join(";"));
    const key = deriveSigningKey(secret, scope);
    // Once more, with the places of the headers that are remembered now.
    for (let time = 0; time < 2; time += 1) {
      const canonical = signed.canonicalRequest(start, rawHeaders, emptyHash);
      assert.ok(typeof canonical === "string");
      const message = `${name}\n${canonical}`;
      assert.equal(key.isSignature(signature, date, hash("sha256", canonical)), true, message);
    }
  }
});

test("canonicalUri: a path is encoded in one way and not normalised", () => {
  const cases: readonly [string, string][] = [
    ["/b/a//c", "/b/a//c"],
    ["/b/../c/./d", "/b/../c/./d"],
    ["/b/a+c", "/b/a%2Bc"],
    ["/b/a%2bc", "/b/a%2Bc"],
    ["/b/100%25", "/b/100%25"],
    ["/b/a;b=c,d", "/b/a%3Bb%3Dc%2Cd"],
    ["/b/*(!)'", "/b/%2A%28%21%29%27"],
    ["/b/%41%7e", "/b/A~"],
    ["/b/%E1%88%B4", "/b/%E1%88%B4"],
    [`/b/${utf8}`, "/b/%E1%88%B4"],
    ["/b/a%2Fb", "/b/a/b"],
  ];
  for (const [path, expected] of cases) assert.equal(canonicalUri(path), expected);
  assert.equal(canonicalUri("/b/%zz"), undefined);
});

const of = (query: string): string => canonicalQuery(queryPairs(query) ?? []);

test("canonicalQuery: repeated, empty and valueless parameters", () => {
  assert.equal(of(""), "");
  assert.equal(of("acl"), "acl=");
  assert.equal(of("&&acl=&"), "acl=");
  assert.equal(of("=x&a"), "=x&a=");
  assert.equal(of("b=2&b=1&a"), "a=&b=1&b=2");
  assert.equal(of("prefix=a+b/c"), "prefix=a%20b%2Fc");
  assert.equal(of("a=b=c&a-b=1&a=1"), "a=1&a=b%3Dc&a-b=1");
  assert.equal(of("X-Amz-Signature=1&X-Amz-Date=2"), "X-Amz-Date=2");
});

test("SignedHeaders: host and every x-amz- header have to be signed, but for the hash of the payload", () => {
  const raw = ["HOST", "h", "X-Amz-Meta", "1", "x-amz-content-sha256", "2", "Range", "bytes=0-1"];
  assert.deepEqual(new SignedHeaders("host").canonicalRequest("", raw, ""), ["x-amz-meta"]);
  const withoutHost = new SignedHeaders("x-amz-meta;absent");
  assert.deepEqual(withoutHost.canonicalRequest("", raw, ""), ["host"]);
  const signed = new SignedHeaders("host;x-amz-meta;absent");
  const expected = "GET\n/\n\nhost:h\nx-amz-meta:1\nabsent:\n\nhost;x-amz-meta;absent\nhash";
  assert.equal(signed.canonicalRequest("GET\n/\n", raw, "hash"), expected);
  // A header more than the last request had is not in the signature either.
  assert.deepEqual(signed.canonicalRequest("", [...raw, "x-amz-acl", "1"], ""), ["x-amz-acl"]);
  assert.deepEqual(signed.canonicalRequest("", ["x-amz-acl", "1", ...raw.slice(2)], ""), ["x-amz-acl"]);
  assert.equal(signed.canonicalRequest("GET\n/\n", raw, "hash"), expected);
});

/** The rule of AWS, written down without any regard for time. */
function modelOf(start: string, rawHeaders: readonly string[], list: string, payloadHash: string): string {
  const lines = list.split(";").map((name, index, names) => {
    const values = rawHeaders.filter(
      (_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name && names.indexOf(name) === index,
    );
    const trimmed = values.map((value) =>
      value
        .split(/[ \t]/)
        .filter((word) => word !== "")
        .join(" "),
    );
    return `${name}:${trimmed.join(",")}\n`;
  });
  return `${start}\n${lines.join("")}\n${list}\n${payloadHash}`;
}

test("SignedHeaders: 10,000 requests of clients that change their headers, against a plain model", () => {
  const chance = new Chance(10);
  const names = [
    "host",
    "range",
    "x-amz-date",
    "x-amz-meta-a",
    "x-amz-meta-ab",
    "cookie",
    "etag",
    "b:c",
    "\u00fc",
  ];
  const words = [
    "",
    " ",
    "  ",
    "\t",
    "a",
    "bytes=0-1",
    "Ã\u00a0",
    "\u00a0",
    "\u00ff",
    "x".repeat(300),
    ",",
    "host:",
  ];
  const sentName = (name: string): string => (chance.below(4) === 0 ? name.toUpperCase() : name);
  const value = (): string => Array.from({ length: chance.below(5) }, () => chance.oneOf(words)).join("");
  let answered = 0;
  while (answered < 10_000) {
    const list = ["host", ...names.slice(1).filter(() => chance.below(2) === 0)];
    if (chance.below(10) === 0) list.push(chance.oneOf(list) as string);
    const text = list.join(";");
    const signed = new SignedHeaders(text);
    let sent: string[] = [];
    for (let request = 0; request < 20; request += 1) {
      if (chance.below(3) === 0) {
        sent = list.filter(() => chance.below(8) > 0).map(sentName);
        if (chance.below(4) === 0) sent.push(sentName(chance.oneOf(list) as string));
        if (chance.below(4) === 0) sent.push("Accept", "x-amz-content-sha256");
        if (chance.below(8) === 0) sent.reverse();
        if (chance.below(20) === 0) sent.push(...Array.from({ length: 40 }, () => "Accept"));
      }
      const rawHeaders = sent.flatMap((name) => [name, value()]);
      const payloadHash = chance.oneOf([emptyHash, "UNSIGNED-PAYLOAD"]);
      const expected = modelOf("GET\n/b/k\nq=", rawHeaders, text, payloadHash);
      assert.equal(signed.canonicalRequest("GET\n/b/k\nq=", rawHeaders, payloadHash), expected);
      answered += 1;
    }
  }
});

test("canonicalUri, canonicalQuery: what they make stays the same when it is made again", () => {
  fc.assert(
    fc.property(anyText(), (text) => {
      const uri = canonicalUri(`/${text}`);
      if (uri !== undefined) assert.equal(canonicalUri(uri), uri);
      const pairs = queryPairs(text);
      if (pairs === undefined) return;
      const query = canonicalQuery(pairs);
      assert.equal(canonicalQuery(queryPairs(query) ?? []), query);
    }),
  );
});

test("SigningKey: its signatures are the HMACs of node:crypto, for any keys, dates, and scopes of 0 to 300 characters", () => {
  const chance = new Chance(11);
  const hex = (): string => hash("sha256", String(chance.below(2 ** 32)));
  for (let length = 0; length <= 300; length += 1) {
    const key = Buffer.from(hex(), "hex");
    const scopeOfLength = "s".repeat(length);
    const signingKey = new SigningKey(key, scopeOfLength);
    const dates = ["20260102T030405Z", "20260102T030406Z"];
    for (const each of [dates[0], dates[0], dates[1], dates[0]] as string[]) {
      const canonicalHash = hex();
      const text = `AWS4-HMAC-SHA256\n${each}\n${scopeOfLength}\n${canonicalHash}`;
      const signature = createHmac("sha256", key).update(text).digest("hex");
      assert.equal(signingKey.isSignature(signature, each, canonicalHash), true, String(length));
      const at = chance.below(64);
      const wrong = signature.slice(0, at) + (signature[at] === "0" ? "1" : "0") + signature.slice(at + 1);
      assert.equal(signingKey.isSignature(wrong, each, canonicalHash), false, String(length));
      assert.equal(signingKey.isSignature(signature, each, hex()), false, String(length));
    }
  }
});

test("SigningKey: a signature of another form is wrong", () => {
  const key = Buffer.alloc(32, 1);
  const canonicalHash = "0".repeat(64);
  const text = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${canonicalHash}`;
  const signature = createHmac("sha256", key).update(text).digest("hex");
  const signingKey = new SigningKey(key, scope);
  for (const wrong of ["", signature.slice(1), `${signature}0`, signature.toUpperCase(), "é".repeat(64)]) {
    assert.equal(signingKey.isSignature(wrong, date, canonicalHash), false, wrong);
  }
  assert.equal(signingKey.isSignature(signature, date, canonicalHash), true);
});
