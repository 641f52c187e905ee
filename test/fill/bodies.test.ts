import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { EngineBodies } from "../../src/fill/bodies.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import { settle } from "../support/fake-clock.ts";
import { drain, fillFixture } from "../support/fill-fixture.ts";

test("EngineBodies.arriving: bytes come from memory once they are there, though their flight waits for the disk", async () => {
  const { path, version, readNumber, disk } = fillFixture({ disk: true });
  assert.ok(disk);
  const commit = Promise.withResolvers<void>();
  disk.commitGate = commit.promise;
  const bodies = new EngineBodies(path);
  const object = version("k", 2 * MiB);
  assert.equal(bodies.arriving(object, 0), undefined, "before anybody reads");
  const read = drain(new ObjectReader(path, object, 0, 2 * MiB));
  assert.equal(bodies.arriving(object, MiB), "join", "while they arrive");
  assert.equal(bodies.arriving(object, 2 * MiB), undefined, "past the end");
  await settle();
  readNumber(0).deliver().finish();
  await read;
  assert.equal(path.flights.find({ version: object, index: 0 }, 0)?.state.kind, "filled", "the commit runs");
  assert.equal(bodies.arriving(object, MiB), undefined, "while they are committed");
  commit.resolve();
});
