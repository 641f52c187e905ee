import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { GiB } from "../../src/base/units.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import { type Room, roomOf, roomWarnings } from "../../src/config/room-warnings.ts";

function config(settings: SettingsTree) {
  const origin = { id: "o", driver: "file", file: { root: "/srv/data" } };
  return loadConfig({ env: {}, overrides: { origin, ...settings } });
}

const room: Room = { memoryBytes: 8 * GiB, diskBytes: 100 * GiB };

test("roomWarnings: sizes that the machine has", () => {
  const disk = { root: "/cache", max_bytes: "100GiB" };
  assert.deepEqual(roomWarnings(config({ memory: { max_bytes: "7GiB" }, disk }), room), []);
  assert.deepEqual(roomWarnings(config({ disk }), { ...room, diskBytes: undefined }), []);
});

test("roomWarnings: more memory than the machine has, and more disk than the file system", () => {
  const [memory, disk, ...more] = roomWarnings(
    config({
      server: { threads: 16 },
      memory: { max_bytes: "500GiB" },
      disk: { root: "/cache", max_bytes: "200GiB" },
    }),
    room,
  );
  assert.match(
    memory ?? "",
    /^memory\.max_bytes: 500 GiB and 576 MiB for the process are more than the 8 GiB of this machine\. .* leave 576 MiB for the process$/,
  );
  assert.match(disk ?? "", /^disk\.max_bytes: 200 GiB are more than the 100 GiB .*\/cache.* 95 GiB or less$/);
  assert.deepEqual(more, []);
});

test("roomWarnings: memory that leaves less than the process needs, 256 MiB and 20 MiB for each of several threads", () => {
  for (const [threads, max_bytes, warnings] of [
    [1, "7936MiB", 0],
    [1, "7937MiB", 1],
    [2, "7896MiB", 0],
    [16, "7616MiB", 0],
    [16, "7617MiB", 1],
  ] as const) {
    const found = roomWarnings(config({ server: { threads }, memory: { max_bytes } }), room);
    assert.equal(found.length, warnings, `${threads} threads, ${max_bytes}`);
  }
});

test("roomWarnings: a file system without a size is no place for a disk, and no smaller one is advised", () => {
  const disk = { root: "/proc/orca", max_bytes: "1GiB" };
  const [warning, ...more] = roomWarnings(config({ memory: { max_bytes: "1GiB" }, disk }), {
    ...room,
    diskBytes: 0,
  });
  assert.match(
    warning ?? "",
    /^disk\.root: .*\/proc\/orca.* 0 B\. .*Set disk\.root to a directory on a disk$/,
  );
  assert.deepEqual(more, []);
});

test("roomOf: the file system of a disk root that does not exist yet", () => {
  const { memoryBytes, diskBytes } = roomOf(config({ disk: { root: join(tmpdir(), "no-orca/none") } }));
  assert.ok(memoryBytes > 0);
  assert.equal(diskBytes, roomOf(config({ disk: { root: tmpdir() } })).diskBytes);
  assert.ok((diskBytes ?? 0) > 0);
  assert.equal(roomOf(config({})).diskBytes, undefined);
});
