/**
 * What docs/operations/compatibility.md promises: today's code reads what each released version has written, and writes what
 * that version reads. Where one of these fails, the change breaks an upgrade. Before 0.1.0 is released, fixtures that are meant
 * to change are written again (write-fixtures.ts).
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisedNames } from "./promised-names.ts";
import { places, readFrom, storedObject, writtenTo } from "./stored-samples.ts";
import { fixtures } from "./version-fixture.ts";
import { readAgain, wireCalls } from "./wire-samples.ts";

const hits = { disk: "disk", posixfs: "cachestore", s3: "cachestore" };

test("fixtures: there are some of the version in package.json", () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
    version: string;
  };
  assert.ok(fixtures().some((fixture) => fixture.version === version));
});

for (const { version, wire, stored, names } of fixtures()) {
  test(`${version}: each message on the wire has the same meaning, and the same bytes`, () => {
    assert.ok(wire.messages.length > 40, `${wire.messages.length} messages`);
    for (const sample of wire.messages) assert.deepEqual(readAgain(sample), sample);
  });

  test(`${version}: each call is still there`, () => {
    const calls = new Set(wireCalls());
    assert.deepEqual(
      wire.calls.filter((call) => !calls.has(call)),
      [],
    );
  });

  for (const place of places) {
    test(`${version}: what it wrote to ${place} is served without the origin`, async () => {
      assert.deepEqual(
        stored[place].map(({ offset, lengthBytes }) => [offset, lengthBytes]),
        [
          [0, 2_097_152],
          [2_097_152, 2_097_152],
          [4_194_304, storedObject.sizeBytes - 4_194_304],
        ],
      );
      assert.deepEqual(await readFrom(place, stored[place]), {
        status: `orca; hit; detail=${hits[place]}`,
        gets: 0,
      });
    });

    test(`${version}: what today's code writes to ${place} has the same names and bytes`, async () => {
      assert.deepEqual(await writtenTo(place), stored[place]);
    });
  }

  test(`${version}: its settings have the same defaults, and its metrics the same types and labels`, () => {
    const today = promisedNames();
    for (const part of ["settings", "metrics"] as const) {
      const kept = Object.keys(names[part]).map((name) => [name, today[part][name]]);
      assert.deepEqual(Object.fromEntries(kept), names[part]);
    }
    assert.deepEqual(
      names.errorCodes.filter((code) => !today.errorCodes.includes(code)),
      [],
    );
  });

  test(`${version}: a replica of it and one of today agree on their settings`, () => {
    assert.deepEqual(promisedNames().fingerprints, names.fingerprints);
  });
}
