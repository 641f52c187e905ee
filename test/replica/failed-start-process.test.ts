/**
 * `orca serve` whose start fails when most parts are there already. The process says why in one line, and it ends: one timer,
 * thread or socket that stayed would keep it alive.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TestProcess } from "../support/process.ts";
import { keys, type Sections, s3Cachestore, type WholeReplica, wholeReplica } from "./whole-replica.ts";

const main = join(import.meta.dirname, "../../src/main.ts");

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
];

for (const { what, spoil, message } of failures) {
  test(`serve: exits 1 because of ${what}`, async (context) => {
    const whole = await wholeReplica(context);
    const settings = whole.settings(spoil(whole));
    // JSON is YAML.
    writeFileSync(whole.configFile, JSON.stringify(settings));
    const child = new TestProcess("orca", process.execPath, [main, "serve", "--config", whole.configFile], {
      env: { ...process.env, ...keys },
    });
    context.after(() => child.stop());
    await child.line(message);
    const late = sleep(endsWithinMs, "still runs", { ref: false });
    assert.equal(await Promise.race([child.exited, late]), 1, child.output.join("\n"));
  });
}
