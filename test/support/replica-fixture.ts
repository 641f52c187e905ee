/**
 * A whole replica on loopback in front of the in-repo S3 server, in this process: real sockets, real disk, a scripted
 * origin. What an end-to-end test asserts is what a client saw and what the origin was asked.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { version } from "../../src/cli/orca-command.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import { Replica } from "../../src/replica/replica.ts";
import { httpGet } from "./http-get.ts";
import { RecordedLogger } from "./recorded-logger.ts";
import { S3Server } from "./s3-server.ts";

export const testBucket = "models";

/** `ORCA_TEST_THREADS`: runs the tests of whole replicas with several threads that serve clients. */
export const threadsOfTests = Number(process.env.ORCA_TEST_THREADS ?? 1);

export interface ReplicaFixtureOptions {
  /** Laid over the fixture's own configuration. */
  readonly settings?: SettingsTree;
  /** Whether there is a disk tier. */
  readonly disk?: boolean;
  /** The root of the disk tier; made and removed by the fixture where left out. */
  readonly diskRoot?: string;
  readonly clock?: Clock;
  readonly origin?: S3Server;
  /** @see S3ListenerOptions.hasLane */
  readonly hasLane?: boolean;
}

export interface ReplicaFixture {
  readonly origin: S3Server;
  readonly replica: Replica;
  readonly logger: RecordedLogger;
  readonly diskRoot: string;
  /** `http://127.0.0.1:<port>`. */
  readonly endpoint: string;
  readonly opsEndpoint: string;
  /** A GET of an object of the test bucket through Orca. */
  readonly get: (key: string, headers?: Record<string, string>) => Promise<Response>;
  /** One number out of `/metrics`; 0 where the series does not exist. */
  readonly metric: (series: string) => Promise<number>;
  readonly stop: () => Promise<void>;
}

export async function startReplica(options: ReplicaFixtureOptions = {}): Promise<ReplicaFixture> {
  const origin = options.origin ?? (await S3Server.start({ buckets: [testBucket] }));
  const diskRoot = options.diskRoot ?? mkdtempSync(join(tmpdir(), "orca-test-"));
  const config = loadConfig({
    env: {
      ORCA_AWSS3_ACCESS_KEY: "test",
      ORCA_AWSS3_SECRET_KEY: "test-secret",
      ORCA_CACHESTORE_S3_ACCESS_KEY: "test",
      ORCA_CACHESTORE_S3_SECRET_KEY: "test-secret",
    },
    overrides: {
      ...options.settings,
      server: {
        listen: "127.0.0.1:0",
        ops_listen: "127.0.0.1:0",
        // A clock of the test cannot be the clock of another thread.
        threads: options.clock === undefined ? threadsOfTests : 1,
        ...section(options.settings, "server"),
      },
      origin: {
        id: "test",
        driver: "awss3",
        awss3: { bucket: testBucket, endpoint: origin.endpoint, use_path_style: true },
        retry: { backoff_initial: "1ms", backoff_max: "5ms" },
        ...section(options.settings, "origin"),
      },
      memory: { max_bytes: "256MiB", ...section(options.settings, "memory") },
      ...(options.disk && {
        disk: { root: diskRoot, max_bytes: "1GiB", ...section(options.settings, "disk") },
      }),
    },
  });
  const logger = new RecordedLogger();
  const replica = await Replica.open({
    config,
    clock: options.clock ?? new SystemClock(),
    random: new SeededRandom(1),
    logger,
    version,
    hasLane: options.hasLane,
  });
  const { s3, ops } = await replica.start().catch(async (thrown: unknown) => {
    if (!options.origin) await origin.stop();
    if (options.diskRoot === undefined) rmSync(diskRoot, { recursive: true, force: true });
    throw thrown;
  });
  // Before, nobody knows what the disk holds, and each first question is a HEAD.
  await replica.scanned;
  const endpoint = `http://127.0.0.1:${s3.port}`;
  const opsEndpoint = `http://127.0.0.1:${ops.port}`;
  return {
    origin,
    replica,
    logger,
    diskRoot,
    endpoint,
    opsEndpoint,
    get: (key, headers) => httpGet(`${endpoint}/${testBucket}/${key}`, headers),
    metric: async (series) => {
      const text = await (await httpGet(`${opsEndpoint}/metrics`)).text();
      const line = text.split("\n").find((each) => each.startsWith(`${series} `));
      return Number(line?.slice(series.length + 1) ?? 0);
    },
    stop: async () => {
      await replica.stop();
      if (!options.origin) await origin.stop();
      if (options.diskRoot === undefined) rmSync(diskRoot, { recursive: true, force: true });
    },
  };
}

function section(settings: SettingsTree | undefined, name: string): object {
  return settings?.[name] ?? {};
}
