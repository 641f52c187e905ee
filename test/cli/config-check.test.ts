import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { runOrca } from "../support/command-line.ts";
import { S3Server } from "../support/s3-server.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-config-check-"));
after(() => rmSync(folder, { recursive: true }));
const data = join(folder, "data");
mkdirSync(data);

function fileOf(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const good = fileOf(
  "good.yaml",
  "server: {listen: 127.0.0.1:8443}\norigin: {id: o, awss3: {bucket: data}}\ndisk: {root: /var/lib/orca}\n",
);
const bad = fileOf(
  "bad.yaml",
  "origin: {id: o, awss3: {bucket: data}}\nmemory: {max_bytes: lots}\nlogging: {level: loud}\n",
);
const badFaults = [
  'memory.max_bytes: expected a size such as 8MiB, got "lots"',
  'logging.level: expected one of debug, info, warn, error, got "loud"',
];

/** Without it, a warning says that strangers may read. */
const onLoopback = "server: {listen: 127.0.0.1:8443}\n";

const clock = new SystemClock();

test("orca config check: a good file is one line and exit code 0", async () => {
  assert.deepEqual(await runOrca(["config", "check", good]), {
    exitCode: 0,
    stdout: `${good} is valid: origin "o" (awss3: data); memory 1 GiB; disk 10 GiB in /var/lib/orca\n`,
    stderr: "",
  });
});

test("orca config check: a bad file is all its faults and exit code 1", async () => {
  const message = `Cannot use configuration "${bad}": 2 faults`;
  assert.deepEqual(await runOrca(["config", "check", bad]), {
    exitCode: 1,
    stdout: "",
    stderr: `${[message, ...badFaults.map((fault) => `  ${fault}`)].join("\n")}\n`,
  });
  const { exitCode, stdout } = await runOrca(["config", "check", "--json", bad]);
  assert.equal(exitCode, 1);
  assert.deepEqual(JSON.parse(stdout), { valid: false, message, faults: badFaults });
});

test("orca config check --connect: a table of the buckets, a sentence for each that cannot be read, exit code 1", async () => {
  const file = fileOf(
    "dirs.yaml",
    `${onLoopback}origins: [{id: here, file: {root: ${data}}}, {id: gone, file: {root: ${folder}/gone}}]\n`,
  );
  const { exitCode, stdout, stderr } = await runOrca(["config", "check", "--connect", file], { clock });
  assert.deepEqual([exitCode, stderr], [1, ""]);
  const pad = " ".repeat(folder.length - "at the origin".length);
  assert.equal(
    stdout.slice(stdout.indexOf("\n") + 1),
    `
origin  bucket  at the origin${pad}       result
here    data    ${folder}/data  ok
gone    gone    ${folder}/gone  no_such_bucket

1 of 2 buckets cannot be read

Cannot read bucket "gone" of origin "gone": there is no directory "${folder}/gone". Create or mount it, or correct origins[1].file.root.
`,
  );
});

test("orca config check --connect --json: a document with one entry for each bucket", async (context) => {
  const server = await S3Server.start({ buckets: ["models"] });
  context.after(() => server.stop());
  const s3 = `awss3: {bucket: models, endpoint: "${server.endpoint}", use_path_style: true}`;
  const file = fileOf(
    "s3.yaml",
    `${onLoopback}origin: {id: o, ${s3}, buckets: {a: {prefix: x/}, b: {bucket: none}}}\n`,
  );
  const env = { ORCA_AWSS3_ACCESS_KEY: "test", ORCA_AWSS3_SECRET_KEY: "test-secret" };
  const check = () => runOrca(["config", "check", "--connect", "--json", file], { clock, env });
  const before = await check();
  assert.equal(before.exitCode, 1);
  assert.deepEqual(JSON.parse(before.stdout), {
    valid: true,
    warnings: [],
    buckets: [
      { origin: "o", bucket: "a", place: "models", result: "ok", reason: "", remedy: "" },
      {
        origin: "o",
        bucket: "b",
        place: "none",
        result: "no_such_bucket",
        reason: 'the origin has no bucket "none"',
        remedy: "Create it, or correct origin.awss3.bucket or the entry of origin.buckets.",
      },
    ],
  });
  server.put("none", "key", { body: Buffer.from("x") });
  assert.equal((await check()).exitCode, 0);
});

test('orca config check --connect: "*" is looked at by its list of buckets', async (context) => {
  const server = await S3Server.start({ buckets: ["models"] });
  context.after(() => server.stop());
  const file = fileOf(
    "star.yaml",
    `${onLoopback}origin: {id: o, awss3: {endpoint: "${server.endpoint}", use_path_style: true}, buckets: {"*": {}, a: {bucket: models}}}\n`,
  );
  const env = { ORCA_AWSS3_ACCESS_KEY: "test", ORCA_AWSS3_SECRET_KEY: "test-secret" };
  const check = () => runOrca(["config", "check", "--connect", file], { clock, env });
  const readable = await check();
  assert.equal(readable.exitCode, 0);
  assert.match(readable.stdout, /origin "o" \(awss3: a, \*\)/);
  assert.match(
    readable.stdout,
    /\no +a +models +ok\no +\* +\* +ok\n\n1 bucket and the list of buckets can be read\n/,
  );
  server.faults.always("LIST_BUCKETS", "*", { status: 403 });
  const denied = await check();
  assert.equal(denied.exitCode, 1);
  assert.match(
    denied.stdout,
    /\n1 of 1 bucket and the list of buckets cannot be read\n\nCannot read the list of buckets of origin "o": the origin answered 403 AccessDenied\. Grant s3:ListAllMyBuckets /,
  );
});

test('orca config print: "*" is printed, and loads again', async () => {
  const text = `${onLoopback}origin: {id: o, awss3: {region: x}, buckets: {"*": {prefix: p/}, a: {bucket: b}}}\n`;
  const printed = await runOrca(["config", "print", fileOf("print.yaml", text)], { clock });
  assert.match(printed.stdout, /"\*":\n +prefix: p\//);
  const again = await runOrca(["config", "print", fileOf("again.yaml", printed.stdout)], { clock });
  assert.equal(again.stdout, printed.stdout);
});

test("orca config check --no-files: a file is checked without its certificates and secrets at hand", async () => {
  const tls = "tls: {cert_file: /none/a.crt, key_file: /none/a.key, client_ca_file: /none/ca.crt}";
  const file = fileOf("tls.yaml", `server: {${tls}}\norigin: {id: o, awss3: {bucket: data}}\n`);
  const env = { ORCA_AWSS3_ACCESS_KEY_FILE: "/none/key", ORCA_AWSS3_SECRET_KEY_FILE: "/none/secret" };
  assert.equal((await runOrca(["config", "check", file], { env })).exitCode, 1);
  const { exitCode, stderr } = await runOrca(["config", "check", "--no-files", file], { env });
  assert.deepEqual([exitCode, stderr], [0, ""]);
  const both = await runOrca(["config", "check", "--no-files", "--connect", file], { env });
  assert.equal(both.exitCode, 2);
  assert.match(both.stderr, /Cannot connect without files: leave out either --connect or --no-files/);
});
