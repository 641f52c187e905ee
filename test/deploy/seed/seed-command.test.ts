/** `npm run seed` on Azurite, and what it says of a wrong command line. test/system/seed-rgw.test.ts runs it on S3. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import { type Azurite, startAzurite } from "../../support/azurite.ts";
import { assertPattern } from "../../support/pattern.ts";
import { runSeed } from "./seed-run.ts";

let azurite: Azurite;
before(async () => {
  azurite = await startAzurite();
});
after(() => azurite?.stop());

function seed(container: string, ...args: readonly string[]) {
  const to = `azblob://${azurite.account}/${container}/try/`;
  return runSeed(["--to", to, "--endpoint", azurite.endpoint, "--create", ...args], {
    ORCA_AZUREBLOB_ACCOUNT_KEY: azurite.accountKey,
  });
}

async function contentsOf(container: string): Promise<Map<string, Buffer>> {
  const client = azurite.client.getContainerClient(container);
  const contents = new Map<string, Buffer>();
  for await (const { name } of client.listBlobsFlat()) {
    contents.set(name, await client.getBlobClient(name).downloadToBuffer());
  }
  return contents;
}

test("seed: the same seed writes the same bytes, each object with a seed of its own", async () => {
  const sizeBytes = 100_003;
  for (const container of ["first", "second"]) {
    const { exitCode, stdout } = await seed(
      container,
      "--count",
      "6",
      "--size",
      `${sizeBytes}`,
      "--seed",
      "41",
      "--json",
    );
    assert.equal(exitCode, 0);
    const { seconds, ...result } = JSON.parse(stdout) as { readonly seconds: number };
    assert.ok(seconds > 0);
    assert.deepEqual(result, {
      to: `azblob://${azurite.account}/${container}/try/`,
      objects: 6,
      size_bytes: sizeBytes,
      bytes: 6 * sizeBytes,
      seed: 41,
    });
  }
  const [first, second] = [await contentsOf("first"), await contentsOf("second")];
  assert.deepEqual(first, second);
  assert.deepEqual(
    [...first.keys()],
    ["try/000000", "try/000001", "try/000002", "try/000003", "try/000004", "try/000005"],
  );
  for (const [index, content] of [...first.values()].entries()) {
    assert.equal(content.length, sizeBytes);
    assertPattern(content, 41 + index, 0);
  }
});

test("seed: an object of many parts is the same pattern, and progress is on stderr", async () => {
  const { exitCode, stdout, stderr } = await seed("large", "--count", "1", "--size", "33MiB");
  assert.equal(exitCode, 0);
  assert.equal(stdout, `Wrote 1 object of 33 MiB to azblob://${azurite.account}/large/try/ with seed 1\n`);
  assert.match(stderr, /^seed {2}100% {2}33 MiB of 33 MiB {2}\S+ MB\/s\n$/);
  const [content] = (await contentsOf("large")).values();
  assert.equal(content?.length, 33 * MiB);
  assertPattern(content ?? Buffer.alloc(0), 1, 0);
});

test("seed: empty objects, and none at all", async () => {
  assert.equal((await seed("empty", "--count", "2", "--size", "0")).exitCode, 0);
  assert.deepEqual(
    [...(await contentsOf("empty"))],
    [
      ["try/000000", Buffer.alloc(0)],
      ["try/000001", Buffer.alloc(0)],
    ],
  );
  const none = await seed("none", "--count", "0");
  assert.deepEqual([none.exitCode, (await contentsOf("none")).size], [0, 0]);
});

test("seed: a wrong command line is exit code 2, and says what is expected", async () => {
  for (const [args, message] of [
    [[], /missing option "--to URL"/],
    [["--to", "http://b/p"], /Cannot write to "http:\/\/b\/p": expected s3:\/\/BUCKET\/PREFIX or azblob:/],
    [
      ["--to", "s3://b/p?endpoint=http://127.0.0.1:1"],
      /Cannot write to ".*": expected no query; name the store with --endpoint URL/,
    ],
    [["--to", "s3://b", "--count", "1000001"], /expected a whole number from 0 to 1000000/],
    [["--to", "s3://b", "--size", "129GiB"], /expected a size such as 64MiB, at most 128 GiB/],
    [
      ["--to", "s3://b", "--endpoint", "localhost:1"],
      /Cannot use the endpoint "localhost:1": expected one such as http/,
    ],
  ] as const) {
    const { exitCode, stderr } = await runSeed(args);
    assert.match(stderr, message);
    assert.match(stderr, /^npm run seed --: .* See: npm run seed -- --help\n$/);
    assert.equal(exitCode, 2);
  }
});

test("seed: an error of the store is exit code 1, and says how many objects are written", async () => {
  const to = `azblob://${azurite.account}/absent`;
  const env = { ORCA_AZUREBLOB_ACCOUNT_KEY: azurite.accountKey };
  const { exitCode, stderr } = await runSeed(["--to", to, "--endpoint", azurite.endpoint], env);
  assert.equal(exitCode, 1);
  assert.match(stderr, /Cannot write objects to "azblob:\/\/orcatest\/absent": 0 of 10 are written: /);
});
