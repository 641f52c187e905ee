import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import fc from "fast-check";
import {
  bytes,
  type Codec,
  decimal,
  duration,
  endpoint,
  flag,
  InvalidValue,
  integer,
  listenAddress,
  oneOf,
  ratio,
  text,
  threadCount,
} from "../../src/config/codec.ts";

function messageOf<Value>(codec: Codec<Value, string>, given: string): string {
  const refusal = codec.parse(given);
  assert.ok(refusal instanceof InvalidValue, `"${given}" is refused`);
  return refusal.message;
}

test("bytes: reads sizes within its bounds, and says what it expected of others", () => {
  const codec = bytes({ min: "1MiB", max: "1GiB", multipleOf: "1MiB" });
  assert.equal(codec.parse("8MiB"), 8 * 1024 * 1024);
  assert.equal(messageOf(codec, "lots"), 'expected a size such as 8MiB, got "lots"');
  assert.equal(messageOf(codec, "2GiB"), 'expected a size 1MiB to 1GiB, got "2GiB"');
  assert.equal(messageOf(codec, "1500KiB"), 'expected a multiple of 1MiB, got "1500KiB"');
});

test("duration: refuses what is negative, malformed or out of bounds", () => {
  const codec = duration({ min: "1ms", max: "24h" });
  assert.equal(codec.parse("1h30m"), 5_400_000);
  assert.equal(messageOf(codec, "-5s"), 'expected a duration that is not negative, got "-5s"');
  assert.equal(messageOf(codec, "5"), 'expected a duration such as 500ms or 5m, got "5"');
  assert.equal(messageOf(codec, "0"), 'expected a duration 1ms to 24h, got "0"');
  assert.equal(messageOf(codec, "25h"), 'expected a duration 1ms to 24h, got "25h"');
});

test("duration: rounds parts of a millisecond up, and errors of arithmetic away", () => {
  assert.equal(duration().parse("1ns"), 1);
  assert.equal(duration().parse("100us"), 1);
  assert.equal(duration().parse("1.001s"), 1001);
  assert.equal(duration().parse("0s"), 0);
});

test("integer: takes whole numbers within its bounds only", () => {
  const codec = integer({ min: 1, max: 100 });
  assert.equal(codec.parse("010"), 10);
  for (const given of ["0", "101", "1.5", "1e1", "-1", "NaN", ""]) {
    assert.equal(messageOf(codec, given), `expected a whole number 1 to 100, got ${JSON.stringify(given)}`);
  }
});

test("threadCount: takes a whole number, or as many as there are cores", () => {
  const codec = threadCount({ max: 16 });
  assert.equal(codec.parse("cores"), Math.min(16, availableParallelism()));
  assert.equal(threadCount({ max: 1 }).parse("cores"), 1);
  assert.equal(codec.parse("3"), 3);
  for (const given of ["0", "17", "core", "Cores", ""]) {
    assert.equal(
      messageOf(codec, given),
      `expected a whole number 1 to 16, or cores, got ${JSON.stringify(given)}`,
    );
  }
});

test("decimal: a number with a fraction, 0 to the maximum", () => {
  const price = decimal({ max: 1000 });
  for (const [given, value] of [
    ["0", 0],
    ["0.09", 0.09],
    [".5", 0.5],
    ["1000", 1000],
  ] as const)
    assert.equal(price.parse(given), value);
  for (const given of ["", "-1", "1000.1", "1e3", "9ct", "NaN", "."])
    assert.ok(price.parse(given) instanceof InvalidValue, given);
});

test("ratio: is above 0 and at most 1", () => {
  assert.equal(ratio().parse("0.95"), 0.95);
  assert.equal(ratio().parse(".5"), 0.5);
  assert.equal(ratio().parse("1"), 1);
  for (const given of ["0", "1.01", "-0.5", "95%"]) assert.ok(ratio().parse(given) instanceof InvalidValue);
});

test("flag: is true or false, and not yes or 1", () => {
  assert.equal(flag().parse("True"), true);
  assert.equal(flag().parse("false"), false);
  for (const given of ["yes", "1", "on"]) assert.ok(flag().parse(given) instanceof InvalidValue);
});

test("oneOf: suggests the choice that was meant", () => {
  const codec = oneOf("awss3", "azureblob", "file");
  assert.equal(codec.parse("file"), "file");
  assert.equal(
    messageOf(codec, "azure_blob"),
    'expected one of awss3, azureblob, file, got "azure_blob"; did you mean `azureblob`?',
  );
});

test("text: is one line of the form asked for", () => {
  assert.equal(text().parse("a b"), "a b");
  assert.equal(messageOf(text(), "a\0b"), 'expected text without control characters, got "a\\u0000b"');
  assert.equal(messageOf(text(/^x$/, "an x"), "y"), 'expected an x, got "y"');
});

test("endpoint: refuses what may hold a secret without showing it", () => {
  assert.equal(endpoint().parse("http://127.0.0.1:9000/account"), "http://127.0.0.1:9000/account");
  for (const given of ["http://user:hush@host", "https://host/?sig=hush", "https://host/#hush"]) {
    assert.doesNotMatch(messageOf(endpoint(), given), /hush/);
  }
  for (const given of ["host:9000", "ftp://host", "https://", "https://a b"]) {
    assert.match(messageOf(endpoint(), given), /an address such as https:\/\/host:9000/);
  }
});

test("listenAddress: reads names, IPv4, IPv6 in brackets, and :port as every IPv4 address", () => {
  const codec = listenAddress();
  assert.deepEqual(codec.parse("127.0.0.1:0"), { host: "127.0.0.1", port: 0 });
  assert.deepEqual(codec.parse("[::1]:8443"), { host: "::1", port: 8443 });
  assert.deepEqual(codec.parse("localhost:80"), { host: "localhost", port: 80 });
  assert.deepEqual(codec.parse(":8443"), { host: "0.0.0.0", port: 8443 });
  for (const given of [
    "8443",
    "host",
    "host:",
    "host:65536",
    "::1:8443",
    "[::1]",
    "http://host:1",
    "a b:1",
  ]) {
    assert.ok(codec.parse(given) instanceof InvalidValue, given);
  }
});

function same<Value>(codec: Codec<Value, string>, value: Value): void {
  assert.deepEqual(codec.parse(String(codec.print(value))), value);
}

test("Codec.print: is read back as the same value", () => {
  fc.assert(
    fc.property(
      fc.nat({ max: Number.MAX_SAFE_INTEGER }),
      fc.nat({ max: 86_400_000 }),
      fc.integer({ min: 1, max: 1000 }),
      (size, milliseconds, share) => {
        same(bytes(), size);
        same(bytes(), size - (size % 1024 ** 2));
        same(duration(), milliseconds);
        same(integer({}), size);
        same(ratio(), share / 1000);
        same(listenAddress(), { host: size % 2 === 0 ? "::1" : "host", port: milliseconds % 65_536 });
      },
    ),
  );
});
