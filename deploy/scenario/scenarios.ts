/**
 * The scenarios of `npm run scenario`. Each stores objects of its own, so that they run in any order, and the origin
 * counts its requests by object. Numbers that chance decides have a bound; all others are exact.
 */
import { SeededRandom } from "../../src/base/random.ts";
import { MiB } from "../../src/base/units.ts";
import { patternBytes } from "../../test/support/pattern.ts";
import { type DemoReplica, demoChunkSizeBytes } from "../demo/demo-cluster.ts";
import { demoContainer, type OriginRequests } from "../demo/demo-origin.ts";
import { readByAll } from "../demo/demo-readers.ts";
import type { Checks, Scenario, ScenarioStage } from "./scenario.ts";
import { answerOf, forEachOf, sha256Of } from "./scenario-reads.ts";

/** Clients see these keys in a bucket of their own, whose metadata is trusted for a moment only. */
const changingBucket = "changing";
const changingPrefix = "changing/";
const changingTtlMs = 1000;

/** `origin.buckets` of the scenarios' cluster. */
export const scenarioBuckets = {
  [demoContainer]: {},
  [changingBucket]: { prefix: changingPrefix, metadata: { ttl: `${changingTtlMs}ms` } },
};

async function store({ origin }: ScenarioStage, key: string, content: Buffer): Promise<void> {
  await origin.upload(key, content, () => {});
}

/** Each of `clients` reads the whole object, spread over `replicas`. Resolves with how many got the right bytes. */
async function readWhole(
  { clock, signal }: ScenarioStage,
  key: string,
  content: Buffer,
  replicas: readonly DemoReplica[],
  clients: number,
  onBytes: (bytes: number) => void = () => {},
): Promise<number> {
  const urls = Array.from(
    { length: clients },
    (_, client) => `${replicas[client % replicas.length]?.endpoint}/${demoContainer}/${key}`,
  );
  const { correct } = await readByAll({ urls, sha256: sha256Of(content), clock, signal, onBytes });
  return correct;
}

function since(before: OriginRequests, after: OriginRequests): OriginRequests {
  return { heads: after.heads - before.heads, gets: after.gets - before.gets };
}

const coldWarm: Scenario = {
  name: "cold-warm",
  summary: "24 clients of all replicas read an object at once, twice: the origin sends each chunk once",
  run: async (stage, checks) => {
    const { origin, cluster } = stage;
    const [key, clients] = ["cold-warm", 24];
    const content = patternBytes(1, 0, 8 * MiB);
    await store(stage, key, content);
    for (const [temperature, gets] of [
      ["cold", content.length / demoChunkSizeBytes],
      ["warm", 0],
    ] as const) {
      const before = await origin.requests(key);
      const right = await readWhole(stage, key, content, cluster.replicas, clients);
      const asked = since(before, await origin.requests(key));
      checks.equal(`${temperature}: clients with the right SHA-256`, right, clients);
      checks.equal(`${temperature}: GETs at the origin`, asked.gets, gets);
      checks.equal(`${temperature}: HEADs at the origin`, asked.heads, 0);
    }
  },
};

const rangeStress: Scenario = {
  name: "range-stress",
  summary: "24 clients read 400 random ranges of an object: each is right, and no chunk is fetched twice",
  run: async (stage, checks) => {
    const { origin, cluster, signal } = stage;
    const { replicas } = cluster;
    const [key, count, clients] = ["range-stress", 400, 24];
    const content = patternBytes(2, 0, 16 * MiB + 4711);
    const random = new SeededRandom(2);
    await store(stage, key, content);
    const ranges = Array.from({ length: count }, () => {
      const lengthBytes = Math.ceil((2 * MiB) ** random.next());
      const start = Math.floor(random.next() * (content.length - lengthBytes));
      return { start, end: start + lengthBytes };
    });
    let right = 0;
    await forEachOf(ranges, clients, async ({ start, end }, index) => {
      const replica = replicas[index % replicas.length] as DemoReplica;
      const range = `bytes=${start}-${end - 1}`;
      const answer = await answerOf({ replica, bucket: demoContainer, key, range }, signal);
      if (answer?.status === 206 && answer.body.equals(content.subarray(start, end))) right += 1;
    });
    checks.equal("ranges with the right bytes", right, count);
    const { gets } = await origin.requests(key);
    checks.atMost("GETs at the origin", gets, Math.ceil(content.length / demoChunkSizeBytes));
  },
};

const emptyObject: Scenario = {
  name: "empty-object",
  summary: "Every replica serves an object of 0 bytes, whole, by HEAD and not in ranges",
  run: async (stage, checks) => {
    const { cluster, signal } = stage;
    const [bucket, key] = [demoContainer, "empty-object"];
    await store(stage, key, Buffer.alloc(0));
    for (const replica of cluster.replicas) {
      const whole = await answerOf({ replica, bucket, key }, signal);
      const head = await answerOf({ replica, bucket, key, method: "HEAD" }, signal);
      const ranged = await answerOf({ replica, bucket, key, range: "bytes=0-0" }, signal);
      const seen = [whole?.status, whole?.body.length, head?.status, ranged?.status].join(", ");
      checks.equal(
        `${replica.id}: status and length of a GET, status of a HEAD, of a range`,
        seen,
        "200, 0, 200, 416",
      );
    }
  },
};

const etagChange: Scenario = {
  name: "etag-change",
  summary: `An object is overwritten while clients read it: each gets all of one version, and the new one after metadata.ttl (${changingTtlMs} ms)`,
  run: async (stage, checks) => {
    const { cluster, clock, signal } = stage;
    const key = "etag-change";
    const contents = [patternBytes(3, 0, 4 * MiB), patternBytes(4, 0, 4 * MiB)] as const;
    const names = new Map(contents.map((content, version) => [sha256Of(content), version]));
    const etags = new Map<string, Set<number>>();
    const counts = { old: 0, new: 0, neither: 0, tooOld: 0 };
    let overwrittenMs = Number.POSITIVE_INFINITY;
    const readFrom = async (replica: DemoReplica): Promise<number | undefined> => {
      const startMs = clock.monotonic();
      const answer = await answerOf({ replica, bucket: changingBucket, key }, signal);
      const version = answer?.status === 200 ? names.get(sha256Of(answer.body)) : undefined;
      if (!answer || version === undefined) counts.neither += 1;
      else {
        etags.set(answer.etag, (etags.get(answer.etag) ?? new Set()).add(version));
        counts[version === 0 ? "old" : "new"] += 1;
        if (version === 0 && startMs > overwrittenMs + changingTtlMs) counts.tooOld += 1;
      }
      return version;
    };
    await store(stage, changingPrefix + key, contents[0]);
    await Promise.all(cluster.replicas.map(readFrom));
    const reading = cluster.replicas.map(async (replica) => {
      // Ends with the first new version that is read once every old one has expired.
      while ((await readFrom(replica)) !== 1 || clock.monotonic() < overwrittenMs + changingTtlMs);
    });
    await store(stage, changingPrefix + key, contents[1]);
    overwrittenMs = clock.monotonic();
    await Promise.all(reading);
    checks.equal("answers that are neither version", counts.neither, 0);
    checks.equal(
      "ETags with bytes of both versions",
      [...etags.values()].filter(({ size }) => size > 1).length,
      0,
    );
    checks.equal("ETags seen", etags.size, 2);
    checks.equal("old versions later than metadata.ttl", counts.tooOld, 0);
  },
};

const replicaLoss: Scenario = {
  name: "replica-loss",
  summary:
    "A replica is killed (kill -9) while clients of the others read cold: none sees an error, and it comes back",
  run: async (stage, checks: Checks) => {
    const { origin, cluster } = stage;
    const [key, clients] = ["replica-loss", 4];
    const content = patternBytes(5, 0, 48 * MiB);
    const chunks = content.length / demoChunkSizeBytes;
    await store(stage, key, content);
    const victim = cluster.replicas.at(-1) as DemoReplica;
    const survivors = cluster.replicas.slice(0, -1);
    let readBytes = 0;
    let killed: Promise<void> | undefined;
    const right = await readWhole(stage, key, content, survivors, clients, (bytes) => {
      readBytes += bytes;
      if (readBytes >= (clients * content.length) / 4) killed ??= cluster.killReplica(victim.id);
    });
    await killed;
    checks.equal(`${victim.id} was killed during the reads`, killed === undefined ? "no" : "yes", "yes");
    checks.equal("clients with the right SHA-256", right, clients);
    const { gets } = await origin.requests(key);
    checks.atMost(`GETs at the origin for ${chunks} chunks`, gets, chunks * 1.5);
    cluster.startReplica(victim.id);
    await cluster.ready();
    checks.equal(`${victim.id} serves again`, await readWhole(stage, key, content, [victim], 1), 1);
  },
};

export const scenarios: readonly Scenario[] = [coldWarm, rangeStress, emptyObject, etagChange, replicaLoss];
