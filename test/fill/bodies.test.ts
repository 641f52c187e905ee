import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { EngineBodies } from "../../src/fill/bodies.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import { settle } from "../support/fake-clock.ts";
import { drain, fillFixture } from "../support/fill-fixture.ts";

test("EngineBodies.holds: bytes are in memory once they are there, though their flight waits for the disk", async () => {
  const { path, version, readNumber, disk } = fillFixture({ disk: true });
  assert.ok(disk);
  const commit = Promise.withResolvers<void>();
  disk.commitGate = commit.promise;
  const bodies = new EngineBodies(path);
  const object = version("k", 2 * MiB);
  assert.equal(bodies.holds(object, 0), false, "before anybody reads");
  const read = drain(new ObjectReader(path, object, 0, 2 * MiB));
  assert.equal(bodies.holds(object, MiB), false, "while they arrive");
  await settle();
  readNumber(0).deliver().finish();
  await read;
  assert.equal(path.flights.find({ version: object, index: 0 }, 0)?.state.kind, "filled", "the commit runs");
  assert.equal(bodies.holds(object, MiB), true, "while they are committed");
  commit.resolve();
});
