import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { entryName, locationOf } from "../../../src/object/versions/entry-name.ts";
import { anyKey } from "../../support/any-text.ts";

const anyLocation = fc.record(
  {
    bucket: fc.stringMatching(/^[\w.$-]{1,8}$/),
    // A NUL as well: the mesh lets it pass.
    key: fc.oneof(
      anyKey({ minLength: 1, maxLength: 16 }),
      fc.constantFrom("\0v\0b\0k", "v\0b", "k?versionId=v"),
    ),
    versionId: fc.stringMatching(/^[\x21-\x7e]{1,8}$/),
  },
  { requiredKeys: ["bucket", "key"], noNullPrototype: true },
);

test("entryName, locationOf: each location has its own name, whatever its key contains", () => {
  fc.assert(
    fc.property(anyLocation, (location) => assert.deepEqual(locationOf(entryName(location)), location)),
  );
});

test("entryName: the name of a current version is what it was without versions", () => {
  assert.equal(entryName({ bucket: "b", key: "k" }), "b\0k");
});
