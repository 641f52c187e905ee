/**
 * `orca serve` whose start fails when most parts are there already. The process says why in one line, and it ends: one timer,
 * thread or socket that stayed would keep it alive.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { SettingsTree } from "../../src/config/load.ts";
import { TestProcess } from "../support/process.ts";
import { keys, type Sections, s3Cachestore, type WholeReplica, wholeReplica } from "./whole-replica.ts";

const main = join(import.meta.dirname, "../../src/main.ts");

/** Part of a path. A thread that looks there hangs in the kernel, as in a mount whose server is gone. */
const hangs = "hangs-in-the-kernel";
const hangingThreads = `
  import fs from "node:fs";
  import { syncBuiltinESMExports } from "node:module";
  import { isMainThread } from "node:worker_threads";
  const { existsSync, open, openSync, statSync } = fs;
  const hang = (path) => {
    if (String(path).includes("${hangs}") && !existsSync(process.env.TEST_CALM)) openSync(process.env.TEST_FIFO, "r");
  };
  if (!isMainThread) {
    fs.statSync = (path, ...rest) => (hang(path), statSync(path, ...rest));
    fs.openSync = (path, ...rest) => (hang(path), openSync(path, ...rest));
    fs.open = (path, ...rest) => (hang(path), open(path, ...rest));
    syncBuiltinESMExports();
  }`;

/** From the line that says why to the end of the process. */
const endsWithinMs = 3000;

interface Failure {
  readonly what: string;
  /** What is wrong with a whole replica. */
  readonly spoil: (whole: WholeReplica) => Sections;
  readonly message: RegExp;
}

const failures: readonly Failure[] = [
  {
    what: "an origin whose driver rejects its settings",
    spoil: () => ({
      origin: {
        driver: "azureblob",
        awss3: undefined,
        azureblob: { account: "acct", container: "c-c", endpoint: "http://127.0.0.1:1" },
      },
    }),
    message: /^orca: Cannot use origin endpoint .*: without an account key it must be https/,
  },
  {
    what: "an S3 cachestore without its bucket",
    spoil: ({ s3 }) => ({ cachestore: s3Cachestore(s3, "chunks") }),
    message: /^orca: Cannot use bucket "chunks" .* answered 404/,
  },
  {
    what: "an S3 listener whose port is taken",
    spoil: ({ takenAddress }) => ({ server: { listen: takenAddress } }),
    message: /^orca: Cannot listen for S3 clients on .*EADDRINUSE/,
  },
  {
    what: "a mesh listener whose port is taken",
    spoil: ({ takenAddress }) => ({ cluster: { internal_listen: takenAddress } }),
    message: /^orca: Cannot listen for other replicas on .*EADDRINUSE/,
  },
  {
    what: "an ops listener whose port is taken",
    spoil: ({ takenAddress }) => ({ server: { ops_listen: takenAddress } }),
    message: /^orca: Cannot listen for ops on .*EADDRINUSE/,
  },
  {
    what: "a key of internal_tls that cannot be read",
    spoil: ({ meshFiles }) => {
      writeFileSync(meshFiles.keyFile, "");
      return {};
    },
    message: /^orca: Cannot use certificate .*r0\.crt/,
  },
  {
    what: "a cachestore on a mount that hangs",
    spoil: ({ cachestoreRoot }) => ({
      cachestore: { commit_timeout: "1s", posixfs: { root: join(cachestoreRoot, hangs) } },
    }),
    message: /^orca: Cannot use ".*" as a cachestore: no answer within 1000 ms/,
  },
];

interface Served {
  readonly child: TestProcess;
  /** While this file exists, nothing hangs. */
  readonly calmFile: string;
}

/** Serves with threads that may hang. */
function serve(context: TestContext, { configFile }: WholeReplica, settings: SettingsTree): Served {
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify(settings));
  const [fifo, calmFile] = [`${configFile}.fifo`, `${configFile}.calm`];
  execFileSync("mkfifo", [fifo]);
  const preload = `data:text/javascript,${encodeURIComponent(hangingThreads)}`;
  const args = ["--import", preload, main, "serve", "--config", configFile];
  const env = { ...process.env, ...keys, TEST_FIFO: fifo, TEST_CALM: calmFile };
  const child = new TestProcess("orca", process.execPath, args, { env });
  context.after(() => child.stop());
  return { child, calmFile };
}

async function endOf(child: TestProcess, withinMs: number): Promise<unknown> {
  return Promise.race([child.exited, sleep(withinMs, "still runs", { ref: false })]);
}

for (const { what, spoil, message } of failures) {
  test(`serve: exits 1 because of ${what}`, async (context) => {
    const whole = await wholeReplica(context);
    const { child } = serve(context, whole, whole.settings(spoil(whole)));
    await child.line(message);
    assert.equal(await endOf(child, endsWithinMs), 1, child.output.join("\n"));
  });
}

test("serve: a thread that hangs in the cachestore keeps neither a response nor the stop", async (context) => {
  const whole = await wholeReplica(context);
  const root = join(whole.cachestoreRoot, hangs);
  mkdirSync(root);
  writeFileSync(`${whole.configFile}.calm`, "");
  const { child, calmFile } = serve(
    context,
    whole,
    whole.settings({
      server: { tls: undefined },
      cachestore: { commit_timeout: "1s", attempt_timeout: "1s", posixfs: { root } },
    }),
  );
  const [, endpoint] = await child.line(/"s3":"([^"]+)"/);
  rmSync(calmFile);
  whole.s3.put("models", "k", { seed: 1, sizeBytes: 1000 });
  const response = await fetch(`${endpoint}/models/k`);
  assert.deepEqual([response.status, (await response.arrayBuffer()).byteLength], [200, 1000]);
  child.signal("SIGTERM");
  assert.equal(await endOf(child, 10_000), 0, child.output.join("\n"));
});
