import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  dialAddress,
  ipAddress,
  isLoopback,
  isWildcard,
  replicaUrl,
} from "../../src/config/address-codec.ts";
import { InvalidValue } from "../../src/config/codec.ts";

const url = replicaUrl();
const dial = dialAddress();
const ip = ipAddress();
const reserved = ["0.0.0.0:1", "[::]:1", "[0:0:0:0:0:0:0:0]:1"];
const noAddress = [
  "",
  "host",
  "host:",
  "host:0",
  "host:65536",
  ":8444",
  "::1:8444",
  "a b:1",
  "host:1/x",
  "1.2.3.999:1",
];

test("replicaUrl: is a scheme, a host and a port; a slash at the end does not count", () => {
  for (const given of [
    "https://a:8444",
    "http://10.0.0.7:1",
    "https://[fd00::1]:65535",
    "https://orca-0.orca:443",
  ]) {
    assert.equal(url.parse(given), given);
    assert.equal(url.parse(`${given}/`), given);
    assert.equal(url.print(given), given);
  }
});

test("replicaUrl: what cannot be dialled is refused, and a password is not shown", () => {
  for (const address of [...noAddress, ...reserved])
    assert.ok(url.parse(`https://${address}`) instanceof InvalidValue, address);
  for (const given of [
    "a:8444",
    "ftp://a:8444",
    "https://a",
    "https://a:1?x",
    "https://a:1#x",
    " https://a:1",
  ])
    assert.ok(url.parse(given) instanceof InvalidValue, given);
  const refusal = url.parse("https://orca:hush@a:1");
  assert.ok(refusal instanceof InvalidValue && !refusal.message.includes("hush"));
});

test("dialAddress: is host and port, and no address of every machine", () => {
  for (const address of ["a:1", "10.0.0.7:8444", "[fd00::1]:8444", "orca_1.x:8444"])
    assert.equal(dial.parse(address), address);
  for (const address of [...noAddress, ...reserved, "https://a:1"])
    assert.ok(dial.parse(address) instanceof InvalidValue, address);
});

test("ipAddress: is IPv4 or IPv6 of one machine, without a zone", () => {
  for (const address of ["10.0.0.7", "fd00::1"]) assert.equal(ip.parse(address), address);
  for (const address of ["", "a", "10.0.0", "0.0.0.0", "::", "fe80::1%eth0", "[::1]"])
    assert.ok(ip.parse(address) instanceof InvalidValue, address);
});

test("isWildcard: whatever the spelling", () => {
  for (const host of ["0.0.0.0", "::", "0:0:0:0:0:0:0:0", "::0", "::0.0.0.0"])
    assert.ok(isWildcard(host), host);
  for (const host of ["127.0.0.1", "::1", "10.0.0.0", "zero", "a::"]) assert.ok(!isWildcard(host), host);
});

test("isLoopback: addresses that only this machine reaches", () => {
  for (const host of ["127.0.0.1", "127.8.8.8", "::1", "0:0:0:0:0:0:0:1", "::0001", "localhost", "LocalHost"])
    assert.ok(isLoopback(host), host);
  for (const host of [
    "0.0.0.0",
    "::",
    "10.0.0.1",
    "127.example",
    "fe80::1",
    "::2:1",
    "1::1",
    "::11",
    "orca",
    "",
  ])
    assert.ok(!isLoopback(host), host);
});

test("replicaUrl: what is taken reads back as itself, whatever is given", () => {
  const piece = fc.constantFrom(
    "https://",
    "http://",
    "[",
    "]",
    ":",
    "::1",
    "a",
    "0",
    "8444",
    "/",
    "@",
    "%",
    " ",
    "é",
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.array(piece, { maxLength: 8 })), (given) => {
      const parsed = url.parse(typeof given === "string" ? given : given.join(""));
      if (!(parsed instanceof InvalidValue)) assert.equal(url.parse(parsed), parsed);
    }),
    { numRuns: 2000 },
  );
});
