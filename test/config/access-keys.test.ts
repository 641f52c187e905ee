import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { type AccessKeys, accessKeysFault, readAccessKeys } from "../../src/config/access-keys.ts";
import type { Fault } from "../../src/config/fault.ts";
import { tokenKeysOf } from "../../src/config/token-keys.ts";
import { anyText } from "../support/any-text.ts";

const path = "/etc/orca/keys.yaml";

function read(
  text: string,
  files: Readonly<Record<string, string>> = {},
  bucketsRequired = true,
): { readonly found: AccessKeys; readonly faults: readonly string[] } {
  const faults: Fault[] = [];
  const readText = (file: string): string => {
    const content = file === path ? text : files[file];
    if (content === undefined) throw new Error("no such file");
    return content;
  };
  const found = readAccessKeys({ path, readText, bucketsRequired }, faults);
  return { found, faults: faults.map((fault) => accessKeysFault(path, [fault])) };
}

test("readAccessKeys: keys and certificates with their rights", () => {
  const { found, faults } = read(
    `keys:
  - { access_key: a, secret: hush, buckets: [models] }
  - access_key: b
    secret_file: b.key
    session_token: tok
    expires: 2027-01-01T12:00:00Z
    buckets: ["*"]
    prefixes: [llama/, qwen/]
    allow: [get]
certificates:
  - { subject: reader, buckets: [models] }
  - { san: "URI:spiffe://acme/reader", buckets: [models] }
`,
    { "/etc/orca/b.key": "from-a-file\n" },
  );
  assert.deepEqual(faults, []);
  const [a, b] = found.keys;
  assert.deepEqual(
    [a?.secret.reveal(), a?.buckets, a?.prefixes, a?.allow],
    ["hush", ["models"], [], ["get", "list"]],
  );
  assert.deepEqual([b?.secret.reveal(), b?.sessionToken?.reveal()], ["from-a-file", "tok"]);
  assert.deepEqual(
    [b?.expiresMs, b?.prefixes, b?.allow],
    [Date.UTC(2027, 0, 1, 12), ["llama/", "qwen/"], ["get"]],
  );
  assert.deepEqual(
    found.certificates.map(({ certificateName }) => certificateName),
    ["CN:reader", "URI:spiffe://acme/reader"],
  );
  assert.doesNotMatch(inspect(found, { depth: 9 }) + JSON.stringify(found), /hush|from-a-file|tok\b/);
});

const fingerprintOf = (content: string, secret: string): string =>
  read(content, { "/etc/orca/a.key": secret }).found.fingerprint;

test("readAccessKeys: the fingerprint changes with the file and with each secret file", () => {
  const text = "keys: [{ access_key: a, secret_file: a.key, buckets: [b] }]";
  assert.equal(fingerprintOf(text, "one"), fingerprintOf(text, "one"));
  assert.notEqual(fingerprintOf(text, "one"), fingerprintOf(text, "two"));
  assert.notEqual(fingerprintOf(text, "one"), fingerprintOf(`${text} `, "one"));
});

test("readAccessKeys: each fault is named with its place, and none shows a secret", () => {
  const cases: readonly [string, RegExp][] = [
    ["keys: [{ access_key: a, secret: hush }]", /keys\[0\]\.buckets: required/],
    ["keys: [{ access_key: a, buckets: [b] }]", /keys\[0\]: expected either secret or secret_file/],
    ["keys: [{ access_key: a, secret: hush, secret_file: f, buckets: [b] }]", /expected either secret or/],
    ["keys: [{ access_key: a, secret_file: f, buckets: [b] }]", /secret_file: cannot read "\/etc\/orca\/f"/],
    ['keys: [{ access_key: "a b", secret: hush, buckets: [b] }]', /access_key: expected 1 to 128 of/],
    [
      'keys: [{ access_key: a, secret: "hush hush", buckets: [b] }]',
      /secret: expected a secret of printable ASCII/,
    ],
    [
      "keys: [{ access_key: a, secret: hush, buckets: [b], expires: soon }]",
      /expires: expected a time such as/,
    ],
    [
      "keys: [{ access_key: a, secret: hush, buckets: [b], allow: [put] }]",
      /allow\[0\]: expected one of get, list/,
    ],
    ["keys: [{ access_key: a, secret: hush, bucket: b }]", /keys\[0\]\.bucket: unknown key/],
    [
      "keys: [{ access_key: a, secret: h, buckets: [b] }, { access_key: a, secret: h, buckets: [b] }]",
      /keys\[1\]\.access_key: "a" appears twice/,
    ],
    ["certificates: [{ buckets: [b] }]", /certificates\[0\]: expected either subject/],
    ["certificates: [{ san: reader, buckets: [b] }]", /san: expected a name such as/],
    ["keys: [{ access_key: a, secret: *hush, buckets: [b] }]", /expected YAML/],
    ["hush", /expected a map with keys and certificates/],
    ["- hush", /expected a map with keys and certificates/],
  ];
  for (const [text, expected] of cases) {
    const { faults } = read(text);
    assert.match(faults.join("\n"), expected, text);
    assert.doesNotMatch(faults.join("\n"), /hush/, text);
  }
});

test("readAccessKeys: a secret that is not valid is one fault, and not a missing secret as well", () => {
  const { faults } = read('keys: [{ access_key: a, secret: "two words", buckets: [b] }]');
  assert.deepEqual(faults, [
    'cannot use "/etc/orca/keys.yaml": keys[0].secret: expected a secret of printable ASCII without blanks, got another text',
  ]);
});

const wrongKey = (index: number): Fault => ({ path: `keys[${index}]`, message: "wrong" });

test("accessKeysFault: names every fault, up to a limit", () => {
  assert.equal(
    accessKeysFault(path, [wrongKey(0), wrongKey(1)]),
    `cannot use "${path}": keys[0]: wrong; keys[1]: wrong`,
  );
  const all = accessKeysFault(
    path,
    Array.from({ length: 12 }, (_, index) => wrongKey(index)),
  );
  assert.match(all, /keys\[9\]: wrong \(and 2 more\)$/);
});

test("readAccessKeys: with authorize: origin, an entry without buckets leaves all to the origin", () => {
  const { found, faults } = read("keys: [{ access_key: a, secret: s }]", {}, false);
  assert.deepEqual([faults, found.keys[0]?.buckets], [[], ["*"]]);
});

test("readAccessKeys: never throws", () => {
  fc.assert(fc.property(anyText(), (text) => void read(text)));
});

test("tokenKeysOf: one key a line, none of them short", () => {
  const good = "k".repeat(32);
  assert.deepEqual(tokenKeysOf(`${good}\n\n  ${good}1 \n`), [good, `${good}1`]);
  for (const bad of ["", "\n", "short", `${good}\nshort`, `${good}\n`.repeat(17)]) {
    assert.deepEqual(tokenKeysOf(bad), { expected: "1 to 16 lines, each a key of at least 32 bytes" });
  }
});
