import assert from "node:assert/strict";
import { test } from "node:test";
import { checkMember, incarnationMax, isLive, type Member } from "../../src/membership/member.ts";
import { memberOf } from "../support/member-of.ts";
import { throwsWith } from "../support/throws-with.ts";

test("checkMember: accepts valid members", () => {
  for (const fields of [
    {},
    { address: "10.0.0.1:8444" },
    { address: "[fd00::1]:8444" },
    { incarnation: 0 },
    { incarnation: incarnationMax },
    { zone: "eu-1a", state: "left" as const },
  ]) {
    checkMember(memberOf("r1", fields));
  }
});

test("checkMember: rejects invalid members, and names the invalid field", () => {
  for (const [fields, named] of [
    [{ replicaId: "" }, /replica id has 0 characters/],
    [{ replicaId: "x".repeat(129) }, /replica id has 129 characters/],
    [{ address: "nowhere" }, /not host:port/],
    [{ address: "a b:1" }, /not host:port/],
    [{ address: `${"x".repeat(300)}:1` }, /not host:port/],
    [{ incarnation: -1 }, /incarnation of "r1" is -1/],
    [{ incarnation: 1.5 }, /is 1.5/],
    [{ incarnation: Number.NaN }, /is NaN/],
    [{ incarnation: incarnationMax + 1 }, /expected a whole number/],
    [{ incarnation: Infinity }, /is Infinity/],
    [{ state: "zombie" as Member["state"] }, /no known state/],
    [{ zone: "z".repeat(257) }, /longer than 256/],
    [{ clusterName: "z".repeat(257) }, /longer than 256/],
  ] as const) {
    const error = throwsWith("invalid_argument", () => checkMember(memberOf("r1", fields)));
    assert.match(error.message, named);
  }
});

test("isLive: a suspect is live until it is found dead", () => {
  assert.deepEqual(
    (["alive", "suspect", "dead", "left"] as const).map((state) => isLive(memberOf("r1", { state }))),
    [true, true, false, false],
  );
});
