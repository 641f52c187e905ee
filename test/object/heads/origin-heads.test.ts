import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import { defaultChunkTiers } from "../../../src/chunk/chunk-layout.ts";
import type { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { headsAfterWaste } from "../../../src/object/heads/opening-gate.ts";
import { OriginHeads } from "../../../src/object/heads/origin-heads.ts";
import { versionOf } from "../../../src/object/object-record.ts";
import type { BodyReceiver, OpenAnswer } from "../../../src/origin/opening/openings.ts";
import type { FirstBytes, ObjectHead, OpenRequest } from "../../../src/origin/origin.ts";
import { MemorySink } from "../../support/memory-sink.ts";

const location = { bucket: "models", key: "weights" };
const firstBytes: FirstBytes = { offset: 0, lengthBytes: 8 * MiB, withChecksums: false };
const head: ObjectHead = { etag: "e1", sizeBytes: 10, lastModifiedMs: 0, metadata: {} };
const version = versionOf("origin-a", location, head, defaultChunkTiers);

const canOpen: (bytes: FirstBytes) => boolean = () => true;

function fixture(wereEmpty = true) {
  const asked: string[] = [];
  const received: { version: ObjectVersion; offset: number; lengthBytes: number }[] = [];
  const world = {
    isHeld: false,
    hasRoom: true,
    wereEmpty,
    outcome: "opened" as OpenAnswer["outcome"],
    head: async (): Promise<ObjectHead | null> => head,
    opens: canOpen,
    opened: head,
  };
  const heads = new OriginHeads(
    {
      id: "origin-a",
      opens: (bytes) => world.opens(bytes),
      head: () => {
        asked.push("head");
        return world.head();
      },
      open: async (request: OpenRequest, receive: BodyReceiver): Promise<OpenAnswer> => {
        const from = request.lastBytes === undefined ? request.offset : "end";
        asked.push(`open ${from}+${request.lengthBytes}`);
        if (world.outcome === "absent") return { outcome: "absent", marker: null };
        if (world.outcome === "unsatisfiable") return { outcome: "unsatisfiable" };
        const { opened } = world;
        const offset = request.lastBytes === undefined ? 0 : opened.sizeBytes - request.lengthBytes;
        receive({ head: opened, offset, lengthBytes: opened.sizeBytes - offset });
        return { outcome: "opened", head: opened };
      },
    },
    {
      chunkTiers: defaultChunkTiers,
      places: {
        wereEmpty: world.wereEmpty,
        get hasRoom() {
          return world.hasRoom;
        },
        holds: ({ sizeBytes }, offset) => {
          assert.ok(offset < sizeBytes, "a byte of the version is looked for");
          return world.isHeld;
        },
        receive: (of, offset, lengthBytes) => {
          received.push({ version: of, offset, lengthBytes });
          return { sink: new MemorySink(lengthBytes), ended: () => {} };
        },
      },
    },
  );
  return { asked, received, world, heads };
}

test("OriginHeads: a question that wants bytes is one opening, and its bytes get a place", async () => {
  const { asked, received, heads } = fixture();
  assert.deepEqual(await heads.head(location, { firstBytes }), { head, remainingMs: undefined });
  assert.deepEqual(asked, [`open 0+${8 * MiB}`]);
  assert.deepEqual(
    received.map((each) => [each.version.hash, each.offset, each.lengthBytes]),
    [[version.hash, 0, 10]],
  );
});

test("OriginHeads: a question that wants no bytes is a HEAD", async () => {
  const { asked, heads } = fixture();
  await heads.head(location);
  await heads.head(location, { staleEtag: "x" });
  assert.deepEqual(asked, ["head", "head"]);
});

test("OriginHeads: an object whose last version is held is asked for by a HEAD", async () => {
  const { asked, world, heads } = fixture();
  await heads.head(location, { firstBytes, lastVersion: version });
  world.isHeld = true;
  await heads.head(location, { firstBytes, lastVersion: version });
  assert.deepEqual(asked, [`open 0+${8 * MiB}`, "head"]);
});

test("OriginHeads: an object whose last version ends before the bytes wanted is asked for by a HEAD", async () => {
  const { asked, heads } = fixture();
  const beyond = { ...firstBytes, offset: MiB };
  assert.equal((await heads.head(location, { firstBytes: beyond, lastVersion: version })).head, head);
  assert.deepEqual(asked, ["head"]);
});

test("OriginHeads: while memory is short, a HEAD asks, since the bytes of an opening would have no place", async () => {
  const { asked, world, heads } = fixture();
  world.hasRoom = false;
  await heads.head(location, { firstBytes });
  world.hasRoom = true;
  await heads.head(location, { firstBytes });
  assert.deepEqual(asked, ["head", `open 0+${8 * MiB}`]);
});

test("OriginHeads: an absent object costs one request, and one that ends before the bytes wanted two", async () => {
  const { asked, world, heads } = fixture();
  world.outcome = "absent";
  const { head: absent } = await heads.head(location, { firstBytes });
  assert.ok(absent instanceof OrcaError && absent.code === "no_such_key");
  world.outcome = "unsatisfiable";
  assert.equal((await heads.head(location, { firstBytes: { ...firstBytes, offset: MiB } })).head, head);
  assert.deepEqual(asked.slice(1), [`open ${MiB}+${8 * MiB}`, "head"]);
});

test("OriginHeads: a lasting error is an answer, a passing one is thrown", async () => {
  const { world, heads } = fixture();
  for (const [code, isLasting] of [
    ["origin_missing_etag", true],
    ["origin_unavailable", false],
  ] as const) {
    world.head = () => Promise.reject(new OrcaError(code, "origin", "x"));
    if (isLasting) assert.equal(((await heads.head(location)).head as OrcaError).code, code);
    else await assert.rejects(heads.head(location), { code });
  }
});

test("OriginHeads: an opening whose bytes are held is the last one until look-ups find nothing held", async () => {
  const { asked, received, world, heads } = fixture();
  world.isHeld = true;
  for (let look = 0; look < 3 * headsAfterWaste; look += 1) await heads.head(location, { firstBytes });
  assert.equal(asked.filter((each) => each !== "head").length, 1);
  assert.equal(received.length, 0, "bytes that are held have no place");
});

test("OriginHeads: where tiers hold what an earlier run has fetched, eight look-ups that find nothing held come first", async () => {
  const { asked, heads } = fixture(false);
  for (let look = 0; look < 9; look += 1) await heads.head(location, { firstBytes });
  const opening = `open 0+${8 * MiB}`;
  assert.deepEqual(asked, [...new Array<string>(8).fill("head"), opening]);
});

test("OriginHeads: eight look-ups in a row that find nothing held open the gate again", async () => {
  const { asked, world, heads } = fixture();
  world.isHeld = true;
  await heads.head(location, { firstBytes });
  world.isHeld = false;
  for (let look = 0; look < 9; look += 1) await heads.head(location, { firstBytes });
  const opening = `open 0+${8 * MiB}`;
  assert.deepEqual(asked, [opening, ...new Array<string>(8).fill("head"), opening]);
});

const lastBytes: FirstBytes = {
  offset: 0,
  lengthBytes: 64 * KiB + MiB - 1,
  withChecksums: false,
  lastBytes: 64 * KiB,
};

test("OriginHeads: the last bytes are one opening, and each chunk of theirs gets a place from the start of a block", async () => {
  const { asked, received, world, heads } = fixture();
  world.opened = { ...head, sizeBytes: 16 * MiB + 5 };
  assert.equal((await heads.head(location, { firstBytes: lastBytes })).head, world.opened);
  assert.deepEqual(asked, [`open end+${64 * KiB + MiB - 1}`]);
  assert.deepEqual(
    received.map(({ offset, lengthBytes }) => [offset, lengthBytes]),
    [
      [15 * MiB, MiB],
      [16 * MiB, 5],
    ],
  );
});

test("OriginHeads: the last bytes are a HEAD where they are held, and where the origin knows no such ranges", async () => {
  const { asked, world, heads } = fixture();
  world.opens = ({ lastBytes: last }) => last === undefined;
  await heads.head(location, { firstBytes: lastBytes });
  await heads.head(location, { firstBytes });
  world.opens = () => true;
  world.isHeld = true;
  await heads.head(location, { firstBytes: lastBytes, lastVersion: version });
  await heads.head(location, { firstBytes: lastBytes, lastVersion: version });
  assert.deepEqual(asked, ["head", `open 0+${8 * MiB}`, "head", "head"]);
});

test("OriginHeads: the last bytes of an empty object are a GET and a HEAD, with a closed gate as well", async () => {
  for (const wereEmpty of [true, false]) {
    const { asked, world, heads } = fixture(wereEmpty);
    world.outcome = "unsatisfiable";
    const empty = { ...head, sizeBytes: 0 };
    world.head = async () => empty;
    assert.equal((await heads.head(location, { firstBytes: lastBytes })).head, empty);
    assert.deepEqual(asked, wereEmpty ? [`open end+${64 * KiB + MiB - 1}`, "head"] : ["head"]);
    const lastVersion = versionOf("origin-a", location, empty, defaultChunkTiers);
    asked.length = 0;
    await heads.head(location, { firstBytes: lastBytes, lastVersion });
    assert.deepEqual(asked, ["head"], "it was empty when it was last seen");
  }
});
