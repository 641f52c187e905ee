import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { configPrint } from "../../src/cli/config-report.ts";
import { loadConfig } from "../../src/config/load.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-config-command-"));
after(() => rmSync(folder, { recursive: true }));

const good = join(folder, "good.yaml");
writeFileSync(
  good,
  "server: {listen: 127.0.0.1:8443}\norigin: {id: o, awss3: {bucket: data}}\ndisk: {root: /var/lib/orca}\n",
);

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Streams {
  readonly stdout: { write(text: string): void };
  readonly stderr: { write(text: string): void };
}

function run(command: (streams: Streams) => number): Outcome {
  const written = { stdout: "", stderr: "" };
  const exitCode = command({
    stdout: { write: (text) => void (written.stdout += text) },
    stderr: { write: (text) => void (written.stderr += text) },
  });
  return { exitCode, ...written };
}

test("configPrint: prints what loads as the same configuration, in YAML and in JSON", () => {
  const expected = loadConfig({ file: good, env: {} });
  for (const json of [false, true]) {
    const { exitCode, stdout } = run((streams) => configPrint({ file: good, env: {}, json, ...streams }));
    assert.equal(exitCode, 0);
    const printed = join(folder, `printed-${json}`);
    writeFileSync(printed, stdout);
    assert.deepEqual(loadConfig({ file: printed, env: {} }), expected);
    if (json) assert.equal(JSON.parse(stdout).memory.max_bytes, "1GiB");
  }
});

test("configPrint: says which secrets are given, and shows none", () => {
  const env = { ORCA_AWSS3_ACCESS_KEY: "hush", ORCA_AWSS3_SECRET_KEY: "hush", ORCA_LOG_LEVEL: "warn" };
  const { stdout } = run((streams) => configPrint({ file: good, env, json: false, ...streams }));
  assert.doesNotMatch(stdout, /hush/);
  assert.match(stdout, /^ {2}level: warn$/m);
  assert.match(
    stdout,
    /^# From the environment:\n# ORCA_AWSS3_ACCESS_KEY=\*\*\*\n# ORCA_AWSS3_SECRET_KEY=\*\*\*\n$/m,
  );
});

test("configPrint: without a file, the environment alone may be the configuration", () => {
  const env = { ORCA_ORIGIN_ID: "o", ORCA_ORIGIN_DRIVER: "file", ORCA_ORIGIN_FILE_ROOT: "/srv/data" };
  const { exitCode, stdout } = run((streams) => configPrint({ env, json: false, ...streams }));
  assert.equal(exitCode, 0);
  assert.match(stdout, /root: \/srv\/data/);
  assert.equal(run((streams) => configPrint({ env: {}, json: false, ...streams })).exitCode, 1);
});
