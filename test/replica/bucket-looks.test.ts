import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import type { Finding } from "../../src/origin/bucket-finding.ts";
import { bucketLooksOf, runLooks } from "../../src/replica/bucket-looks.ts";
import { openOrigin } from "../../src/replica/origins.ts";
import { startAzurite } from "../support/azurite.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { freePort } from "../support/process.ts";
import { S3Server } from "../support/s3-server.ts";

const keys = { ORCA_AWSS3_ACCESS_KEY: "test", ORCA_AWSS3_SECRET_KEY: "test-secret" };

/** What one look at each bucket of these settings finds. */
async function find(
  settings: SettingsTree,
  env: Readonly<Record<string, string>> = keys,
): Promise<(Finding | undefined)[]> {
  const clock = new SystemClock();
  const config = loadConfig({ env, overrides: settings });
  const options = { config, clock, random: new SeededRandom(1) };
  const origins = config.origins.map((each) => openOrigin(each, options));
  try {
    return await runLooks(bucketLooksOf(config, origins, clock), new AbortController().signal);
  } finally {
    for (const origin of origins) origin.close();
  }
}

function s3(endpoint: string, more: SettingsTree = {}): SettingsTree {
  const awss3 = { bucket: "models", endpoint, use_path_style: true, ...more };
  return { origin: { id: "o", awss3, attempt_timeout: "5s" } };
}

async function findOne(settings: SettingsTree, env?: Readonly<Record<string, string>>): Promise<Finding> {
  const [finding] = await find(settings, env);
  assert.ok(finding, "the look found a fault");
  return finding;
}

async function server(context: TestContext): Promise<S3Server> {
  const credentials = { accessKey: "test", secretKey: "test-secret" };
  const started = await S3Server.start({ buckets: ["models"], credentials });
  context.after(() => started.stop());
  return started;
}

function everyBucket(endpoint: string, more: SettingsTree = {}): SettingsTree {
  const awss3 = { endpoint, use_path_style: true };
  return {
    origin: { id: "o", awss3, attempt_timeout: "5s", buckets: { "*": {}, a: { bucket: "models" } } },
    ...more,
  };
}

test('runLooks: for "*" the buckets are listed once, and a missing right says what to grant', async (context) => {
  const origin = await server(context);
  assert.deepEqual(await find(everyBucket(origin.endpoint)), [undefined, undefined]);
  assert.deepEqual([origin.count("LIST"), origin.count("LIST_BUCKETS")], [1, 1]);
  origin.faults.always("LIST_BUCKETS", "*", { status: 403 });
  const [named, every] = await find(everyBucket(origin.endpoint));
  assert.equal(named, undefined);
  assert.deepEqual(every, {
    code: "denied",
    reason: "the origin answered 403 AccessDenied",
    remedy:
      "Grant s3:ListAllMyBuckets to list the buckets. Without it ListBuckets is denied, and all other requests are served.",
  });
});

test('runLooks: for "*" with authorize origin, only clients need the right to list the buckets', async (context) => {
  const origin = await server(context);
  const folder = mkdtempSync(join(tmpdir(), "orca-looks-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "keys.yaml");
  writeFileSync(file, "keys: [{ access_key: alice, secret: secret-of-alice }]\n");
  const auth = { enabled: true, access_keys_file: file, authorize: "origin" };
  const settings = everyBucket(origin.endpoint, { server: { auth } });
  origin.faults.always("LIST_BUCKETS", "*", { status: 403 });
  assert.deepEqual(await find(settings), [undefined, undefined]);
  const wrong = { ...keys, ORCA_AWSS3_SECRET_KEY: "wrong" };
  origin.faults.always("LIST_BUCKETS", "*", {});
  assert.equal((await find(settings, wrong))[1]?.code, "denied");
});

test("runLooks: a bucket that can be read is no finding, and costs one listing", async (context) => {
  const { endpoint, requests } = await server(context);
  assert.deepEqual(await find(s3(endpoint)), [undefined]);
  assert.deepEqual(
    requests.map(({ operation, query }) => [operation, query.get("max-keys")]),
    [["LIST", "1"]],
  );
});

test("runLooks: every bucket is looked at, below its prefix, and a missing one is named by its own name", async (context) => {
  const { endpoint, requests } = await server(context);
  const [first, second] = await find({
    origin: {
      id: "o",
      awss3: { bucket: "models", endpoint, use_path_style: true },
      buckets: { logs: { prefix: "logs/" }, shown: { bucket: "modles" } },
    },
  });
  assert.equal(first, undefined);
  assert.deepEqual(second, {
    code: "no_such_bucket",
    reason: 'the origin has no bucket "modles"',
    remedy: "Create it, or correct origin.awss3.bucket or the entry of origin.buckets.",
  });
  assert.deepEqual(requests.map(({ bucket, key }) => `${bucket}/${key}`).toSorted(), [
    "models/logs/",
    "modles/",
  ]);
});

test("runLooks: denied has S3's own code, and the variable to check", async (context) => {
  const { endpoint, faults } = await server(context);
  const wrong = await findOne(s3(endpoint), { ...keys, ORCA_AWSS3_SECRET_KEY: "wrong" });
  assert.equal(wrong.code, "denied");
  assert.equal(wrong.reason, "the origin answered 403 SignatureDoesNotMatch");
  assert.match(wrong.remedy, /ORCA_AWSS3_SECRET_KEY/);
  faults.next("LIST", "*", { status: 403, code: "AccessDenied" });
  const noRight = await findOne(s3(endpoint));
  assert.equal(noRight.reason, "the origin answered 403 AccessDenied");
  assert.match(noRight.remedy, /s3:ListBucket/);
});

test("runLooks: a bucket of another region is wrong_region, which is named", async (context) => {
  const { endpoint, faults } = await server(context);
  const headers = { "x-amz-bucket-region": "eu-west-3" };
  faults.next("LIST", "*", { status: 301, code: "PermanentRedirect", headers });
  const finding = await findOne(s3(endpoint));
  assert.equal(finding.code, "wrong_region");
  assert.match(finding.remedy, /^Set origin\.awss3\.region to eu-west-3/);
});

test("runLooks: no credentials are named with the variables and the chain, without a stack", async (context) => {
  const { endpoint, requests } = await server(context);
  const before = { ...process.env };
  context.after(() => Object.assign(process.env, before));
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
  // The metadata service of an instance, and the files of a person, are not part of this test.
  process.env["AWS_EC2_METADATA_DISABLED"] = "true";
  process.env["AWS_SHARED_CREDENTIALS_FILE"] = "/none";
  process.env["AWS_CONFIG_FILE"] = "/none";
  const finding = await findOne(s3(endpoint), {});
  assert.equal(finding.code, "no_credentials");
  assert.match(
    finding.reason,
    /ORCA_AWSS3_ACCESS_KEY and ORCA_AWSS3_SECRET_KEY.*AWS_PROFILE.*metadata service/,
  );
  assert.doesNotMatch(finding.reason + finding.remedy, /\n| at /);
  assert.equal(requests.length, 0);
});

test("runLooks: the wrong scheme is wrong_scheme, in both directions", async (context) => {
  const plain = await server(context);
  const tls = createServer(selfSignedCertificate(), (_, response) => response.end());
  tls.listen(0, "127.0.0.1");
  await once(tls, "listening");
  context.after(() => tls.close());
  const { port } = tls.address() as AddressInfo;
  const toPlain = await findOne(s3(plain.endpoint.replace("http:", "https:")));
  assert.equal(toPlain.code, "wrong_scheme");
  assert.match(toPlain.reason, /speaks plain HTTP, and origin\.awss3\.endpoint says https/);
  const toTls = await findOne(s3(`http://127.0.0.1:${port}`));
  assert.equal(toTls.code, "wrong_scheme");
  assert.equal(toTls.remedy, `Write https://127.0.0.1:${port} there.`);
  const untrusted = await findOne(s3(`https://127.0.0.1:${port}`));
  assert.equal(untrusted.code, "bad_certificate");
});

test("runLooks: no listener, no such host and an origin in trouble are told apart", async (context) => {
  const { endpoint, faults } = await server(context);
  assert.equal((await findOne(s3(`http://127.0.0.1:${await freePort()}`))).code, "connection_refused");
  assert.equal((await findOne(s3("http://no-such-host.invalid"))).code, "unknown_host");
  faults.next("LIST", "*", { status: 503 }, { reset: true }, { status: 500 });
  assert.equal((await findOne(s3(endpoint))).code, "throttled");
  assert.equal((await findOne(s3(endpoint))).code, "unreachable");
  assert.equal((await findOne(s3(endpoint))).code, "unexpected_answer");
});

test("runLooks: a directory that does not exist is no_such_bucket", async (context) => {
  const root = mkdtempSync(join(tmpdir(), "orca-looks-"));
  context.after(() => rmSync(root, { recursive: true }));
  assert.deepEqual(await find({ origin: { id: "o", file: { root } } }), [undefined]);
  assert.deepEqual(await findOne({ origin: { id: "o", file: { root: "/nodir" } } }), {
    code: "no_such_bucket",
    reason: 'there is no directory "/nodir"',
    remedy: "Create or mount it, or correct origin.file.root.",
  });
});

test("runLooks: Azurite without its account in the path is no_such_bucket, with the address to write", async (context) => {
  const azurite = await startAzurite();
  context.after(() => azurite.stop());
  await azurite.client.getContainerClient("models").create();
  const { account, accountKey } = azurite;
  const at = (endpoint: string, container = "models"): SettingsTree => ({
    origin: { id: "o", azureblob: { account, container, endpoint } },
  });
  const env = { ORCA_AZUREBLOB_ACCOUNT_KEY: accountKey };
  assert.deepEqual(await find(at(azurite.endpoint), env), [undefined]);
  assert.equal((await findOne(at(azurite.endpoint, "nobucket"), env)).code, "no_such_bucket");
  const { origin } = new URL(azurite.endpoint);
  const unaddressed = await findOne(at(origin), env);
  assert.equal(unaddressed.code, "no_such_bucket");
  assert.ok(unaddressed.remedy.endsWith(`ends with the account: ${origin}/${account}.`), unaddressed.remedy);
  const wrongKey = { ORCA_AZUREBLOB_ACCOUNT_KEY: Buffer.from("another").toString("base64") };
  assert.equal((await findOne(at(azurite.endpoint), wrongKey)).code, "denied");
});
