/**
 * Bytes that outlive a process: what a replica writes to its disk, to a posixfs cachestore and to an S3 cachestore for one
 * object, and a replica that finds such bytes. The chunk's own bytes are left out: they are those of a pattern.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { MiB } from "../../src/base/units.ts";
import type { SettingsTree } from "../../src/config/load.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";
import { startReplica, testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

/** Three chunks: two of two blocks each, and one of a short block. */
export const storedObject = {
  key: "dir a/é+b",
  etag: "9b2cf535f27731c974343645a3985328",
  seed: 7,
  sizeBytes: 4 * MiB + 17,
};
const chunkSizeBytes = 2 * MiB;
const chunks = 3;
const storeBucket = "chunks";
const chunking = { size: "2MiB", tiers: [] };

/** A file below a root, or an object in a bucket. What comes after the bytes of the chunk is in hex. */
export interface StoredChunk {
  readonly path: string;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly rest: string;
  /** Those that Orca gives an object in a bucket. */
  readonly headers?: Readonly<Record<string, string>>;
}

export const places = ["disk", "posixfs", "s3"] as const;
export type Place = (typeof places)[number];
export type StoredSamples = Readonly<Record<Place, readonly StoredChunk[]>>;

const written: Readonly<Record<Place, string>> = {
  disk: "orca_disk_chunks",
  posixfs: 'orca_cachestore_commits_total{result="stored"}',
  s3: 'orca_cachestore_commits_total{result="stored"}',
};

/** A replica with one place for chunks, and what is there. */
class PlaceFixture {
  readonly root = mkdtempSync(join(tmpdir(), "orca-stored-"));
  readonly #place: Place;
  readonly #store: S3Server;
  readonly #origin: S3Server;

  private constructor(place: Place, store: S3Server, origin: S3Server) {
    this.#place = place;
    this.#store = store;
    this.#origin = origin;
  }

  static async with<Result>(place: Place, run: (fixture: PlaceFixture) => Promise<Result>): Promise<Result> {
    const store = await S3Server.start({ buckets: [storeBucket] });
    const origin = await S3Server.start({ buckets: [testBucket] });
    const { key, ...object } = storedObject;
    origin.put(testBucket, key, object);
    const fixture = new PlaceFixture(place, store, origin);
    try {
      return await run(fixture);
    } finally {
      await store.stop();
      await origin.stop();
      rmSync(fixture.root, { recursive: true });
    }
  }

  /** Reads the object through a replica. @returns its `Cache-Status` and the GETs of the origin. */
  async read(): Promise<{ status: string | null; gets: number }> {
    const isDisk = this.#place === "disk";
    const orca = await startReplica({
      origin: this.#origin,
      settings: { chunking, ...(!isDisk && { cachestore: this.#cachestore() }) },
      ...(isDisk && { disk: true, diskRoot: this.root }),
    });
    try {
      const response = await orca.get(encodeURI(storedObject.key).replace("+", "%2B"));
      assert.equal(response.status, 200);
      const body = Buffer.from(await response.arrayBuffer());
      assert.equal(body.length, storedObject.sizeBytes);
      assertPattern(body, storedObject.seed, 0);
      const gets = this.#origin.count("GET");
      if (gets > 0) await until(async () => (await orca.metric(written[this.#place])) === chunks);
      return { status: response.headers.get("cache-status"), gets };
    } finally {
      await orca.stop();
    }
  }

  #cachestore(): SettingsTree {
    if (this.#place === "posixfs") return { driver: "posixfs", posixfs: { root: this.root } };
    return {
      driver: "s3",
      s3: { endpoint: this.#store.endpoint, bucket: storeBucket, use_path_style: "true" },
    };
  }

  found(): StoredChunk[] {
    const stored = this.#place === "s3" ? this.#objects() : this.#files();
    return stored.toSorted((left, right) => left.offset - right.offset);
  }

  #files(): StoredChunk[] {
    return readdirSync(this.root, { recursive: true, encoding: "utf8" })
      .filter((path) => /\.\d+$/.test(path) && statSync(join(this.root, path)).isFile())
      .map((path) => {
        // The directory of a replica without an id of its own has a random name.
        const name = path.replace(/^(orca-disk\.v1)\/[^/]+\//, "$1/REPLICA/");
        return chunkIn(name, readFileSync(join(this.root, path)));
      });
  }

  #objects(): StoredChunk[] {
    const puts = this.#store.requests.filter(
      ({ operation, key }) => operation === "PUT" && key.startsWith("test/"),
    );
    return puts.map(({ key }) => {
      const object = this.#store.get(storeBucket, key);
      assert.ok(object, key);
      const chunk = chunkIn(key, object.read(0, object.sizeBytes));
      return { ...chunk, headers: object.headers };
    });
  }

  /** Writes what an older version has written. */
  place(chunksOfOld: readonly StoredChunk[]): void {
    for (const { path, offset, lengthBytes, rest, headers } of chunksOfOld) {
      const bytes = patternBytes(storedObject.seed, offset, lengthBytes);
      const body = Buffer.concat([bytes, Buffer.from(rest, "hex")]);
      if (this.#place === "s3") {
        this.#store.put(storeBucket, path, { body, ...(headers && { headers }) });
        continue;
      }
      const file = join(this.root, path.replace("REPLICA", "old"));
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, body);
    }
    if (this.#place === "disk") writeFileSync(join(this.root, "orca-disk.v1/replica-id"), "old\n");
  }
}

function chunkIn(path: string, bytes: Buffer): StoredChunk {
  const offset = Number(/\d+$/.exec(path)?.[0]) * chunkSizeBytes;
  const lengthBytes = Math.min(chunkSizeBytes, storedObject.sizeBytes - offset);
  assertPattern(bytes.subarray(0, lengthBytes), storedObject.seed, offset);
  return { path, offset, lengthBytes, rest: bytes.subarray(lengthBytes).toString("hex") };
}

/** What today's code writes. */
export function writtenTo(place: Place): Promise<readonly StoredChunk[]> {
  return PlaceFixture.with(place, async (fixture) => {
    assert.equal((await fixture.read()).gets, chunks);
    return fixture.found();
  });
}

/** What today's code does with bytes that are there. */
export function readFrom(
  place: Place,
  old: readonly StoredChunk[],
): Promise<{ status: string | null; gets: number }> {
  return PlaceFixture.with(place, (fixture) => {
    fixture.place(old);
    return fixture.read();
  });
}
