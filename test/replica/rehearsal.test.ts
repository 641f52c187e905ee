/** The rehearsal before a start: that it reads, that it leaves nothing, and that no start waits for it for long. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { type Clock, SystemClock, type Timer } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import { rehearsalMsMax, rehearse } from "../../src/replica/rehearsal/rehearsal.ts";
import { Replica } from "../../src/replica/replica.ts";
import { heldResources, released } from "../support/held-resources.ts";
import { httpGet } from "../support/http-get.ts";
import { serveOrca } from "../support/orca-process.ts";
import { endProcesses } from "../support/process.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { S3Server } from "../support/s3-server.ts";

afterEach(endProcesses);

/** The time of a rehearsal is over when it begins, or never: a busy machine must not decide a test. */
class RehearsalClock extends SystemClock {
  readonly #isOver: boolean;

  constructor(isOver: boolean) {
    super();
    this.#isOver = isOver;
  }

  override timer(delayMs: number, callback: () => void): Timer {
    if (delayMs !== rehearsalMsMax) return super.timer(delayMs, callback);
    if (this.#isOver) callback();
    return { refresh: () => {}, cancel: () => {} };
  }
}

const s3 = { id: "s3", driver: "awss3", awss3: { bucket: "models", region: "eu-west-1" } };
const azure = { id: "azure", driver: "azureblob", azureblob: { account: "data", container: "blobs" } };
const directory = { id: "directory", driver: "file", file: { root: import.meta.dirname } };

function rehearsalOf(origins: readonly SettingsTree[], clock: Clock = new RehearsalClock(false)) {
  const logger = new RecordedLogger();
  const config = loadConfig({ env: {}, overrides: { origins } });
  return { logger, run: () => rehearse({ config, clock, random: new SeededRandom(1), logger }) };
}

for (const origin of [s3, azure]) {
  test(`rehearse: reads twenty objects by the driver ${origin.driver}, and leaves nothing`, async () => {
    const before = await heldResources();
    const { logger, run } = rehearsalOf([directory, origin]);
    assert.equal(await run(), 20);
    await released(before);
    assert.deepEqual(
      logger.events.map(({ level, message }) => `${level}: ${message}`),
      ["debug: Rehearsed reads before the start"],
    );
  });
}

test("rehearse: in front of directories alone there is none", async () => {
  const { logger, run } = rehearsalOf([directory]);
  assert.equal(await run(), 0);
  assert.deepEqual(logger.events, []);
});

test("rehearse: each thread that will serve reads twenty objects twice, and serves after that", async () => {
  const before = await heldResources();
  const origin = await S3Server.start({ buckets: ["models"] });
  origin.put("models", "cold", { body: Buffer.from("cold") });
  const logger = new RecordedLogger();
  const awss3 = { bucket: "models", endpoint: origin.endpoint, use_path_style: true };
  const server = { threads: 2, listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0" };
  const config = loadConfig({
    env: { ORCA_AWSS3_ACCESS_KEY: "test", ORCA_AWSS3_SECRET_KEY: "test-secret" },
    overrides: { server, origin: { ...s3, awss3 }, memory: { max_bytes: "256MiB" } },
  });
  const parts = { config, clock: new RehearsalClock(false), random: new SeededRandom(1), logger };
  const replica = await Replica.open(parts);
  assert.equal(await rehearse({ ...parts, rehearseThreads: replica.rehearseThreads }), 2 * 20 * 2);
  assert.deepEqual(
    logger.events.map(({ level, message }) => `${level}: ${message}`),
    ["debug: Rehearsed reads before the start"],
  );
  const withThreads = await heldResources();
  const { port } = (await replica.start()).s3;
  assert.equal(await (await httpGet(`http://127.0.0.1:${port}/models/cold`)).text(), "cold");
  await replica.stop();
  await origin.stop();
  assert.deepEqual(
    withThreads.filter((each) => each.startsWith("thread ")),
    ["thread orca-edge-1", "thread orca-edge-2"],
  );
  await released(before);
});

test("rehearse: ends when its time is over, and leaves nothing", async () => {
  const before = await heldResources();
  const { logger, run } = rehearsalOf([s3], new RehearsalClock(true));
  assert.equal(await run(), 0);
  await released(before);
  const [{ fields } = { fields: {} }] = logger.events;
  assert.equal(logger.events.length, 1);
  assert.match((fields as { fault: string }).fault, /abort/i);
});

/** In a process, too, the time of a rehearsal is never over. */
const endless = `const { setTimeout } = globalThis;
globalThis.setTimeout = (run, ms, ...rest) => setTimeout(run, ms === ${rehearsalMsMax} ? 2 ** 30 : ms, ...rest);`;
const rehearsesToTheEnd = ["--import", `data:text/javascript,${encodeURIComponent(endless)}`];

for (const threads of [1, 2])
  test(`orca serve: after the rehearsal of ${threads} threads nothing is counted, and the origin was asked for no object`, async (context) => {
    const origin = await S3Server.start({ buckets: ["models"] });
    const folder = mkdtempSync(join(tmpdir(), "orca-rehearsal-"));
    context.after(async () => {
      await origin.stop();
      rmSync(folder, { recursive: true });
    });
    origin.put("models", "cold", { body: Buffer.from("cold") });
    const { child, get, metric } = await serveOrca(
      folder,
      "rehearsed",
      `server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0", threads: ${threads} }
origin:
  id: test
  driver: awss3
  awss3: { bucket: models, endpoint: "${origin.endpoint}", use_path_style: true }
logging: { level: debug }
`,
      rehearsesToTheEnd,
    );
    const reads = threads === 1 ? 20 : 20 * 2 * threads;
    await child.line(new RegExp(`"reads":${reads},.*"Rehearsed reads before the start"`));
    const counted = [
      "orca_flights_total",
      'orca_requests_total{operation="get_object",status="200"}',
      "orca_memory_chunks",
      'orca_directory_entries{origin="test"}',
      'orca_directory_lookups_total{origin="test",result="miss"}',
      'orca_served_bytes_total{origin="test"}',
    ];
    const counts = async (): Promise<number[]> => Promise.all(counted.map((each) => metric(each)));
    assert.deepEqual(await counts(), [0, 0, 0, 0, 0, 0]);
    assert.equal(await (await get("cold")).text(), "cold");
    assert.deepEqual(await counts(), [1, 1, 1, 1, 1, 4]);
    // A LIST is the look at the bucket, which every start makes.
    const asked = origin.requests.filter(({ operation }) => operation !== "LIST");
    assert.deepEqual(
      asked.map(({ operation, key }) => `${operation} ${key}`),
      ["GET cold"],
    );
  });
