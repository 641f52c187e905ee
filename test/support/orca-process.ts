/** `orca serve` as a process of its own, with what a test asks of it: the way a client and an operator see a replica. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { httpGet } from "./http-get.ts";
import { TestProcess } from "./process.ts";
import { testBucket } from "./replica-fixture.ts";

const main = join(import.meta.dirname, "../../src/main.ts");

export interface OrcaProcess {
  readonly child: TestProcess;
  /** `http://<host>:<port>`, as the next. */
  readonly endpoint: string;
  readonly opsEndpoint: string;
  /** A GET of an object of the test bucket through Orca. */
  readonly get: (key: string, headers?: Record<string, string>) => Promise<Response>;
  /** One number out of `/metrics`; 0 where the series does not exist. */
  readonly metric: (series: string) => Promise<number>;
}

/** Starts `orca` with the keys of the test origin. */
export function orca(name: string, ...args: readonly string[]): TestProcess {
  return new TestProcess(name, process.execPath, [main, ...args], { env: environment() });
}

/** Ours, with `ORCA_TEST_THREADS` as the setting: Orca takes every ORCA_ variable for one. */
export function inheritedEnvironment(): NodeJS.ProcessEnv {
  const { ORCA_TEST_THREADS, ...inherited } = process.env;
  return {
    ...inherited,
    ...(ORCA_TEST_THREADS !== undefined && { ORCA_SERVER_THREADS: ORCA_TEST_THREADS }),
  };
}

/** Of a child that runs Orca. It has one thread for clients, as replicas in the tests' own process have, unless a test asks for more. */
export function environment(): NodeJS.ProcessEnv {
  return { ORCA_SERVER_THREADS: "1", ...environmentOfThreads() };
}

/** As {@link environment}, for a child whose configuration may say how many threads it has. */
function environmentOfThreads(): NodeJS.ProcessEnv {
  return {
    ...inheritedEnvironment(),
    ORCA_AWSS3_ACCESS_KEY: "test",
    ORCA_AWSS3_SECRET_KEY: "test-secret",
  };
}

/** Serves by a configuration in YAML, written to `<folder>/<name>.yaml`. Resolves when it listens. */
export async function serveOrca(
  folder: string,
  name: string,
  configuration: string,
  nodeOptions: readonly string[] = [],
): Promise<OrcaProcess> {
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, configuration);
  const env = configuration.includes("threads:") ? environmentOfThreads() : environment();
  const child = new TestProcess(name, process.execPath, [...nodeOptions, main, "serve", "--config", file], {
    env,
  });
  const [, endpoint = "", opsEndpoint = ""] = await child.line(/"s3":"([^"]+)","ops":"([^"]+)"/);
  return {
    child,
    endpoint,
    opsEndpoint,
    get: (key, headers) => httpGet(`${endpoint}/${testBucket}/${key}`, headers),
    metric: async (series) => {
      const text = await (await httpGet(`${opsEndpoint}/metrics`)).text();
      const line = text.split("\n").find((each) => each.startsWith(`${series} `));
      return Number(line?.slice(series.length + 1) ?? 0);
    },
  };
}
