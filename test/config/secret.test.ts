import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import type { Fault } from "../../src/config/fault.ts";
import { type Environment, readSecrets, Secret, type Secrets } from "../../src/config/secret.ts";

interface Outcome {
  readonly secrets: Secrets;
  readonly faults: string[];
}

function read(env: Environment, files: Readonly<Record<string, string>> = {}): Outcome {
  const faults: Fault[] = [];
  const readText = (path: string): string => {
    const text = files[path];
    if (text === undefined) throw new Error("ENOENT");
    return text;
  };
  const secrets = readSecrets(env, readText, faults);
  return { secrets, faults: faults.map(({ path, message }) => `${path}: ${message}`) };
}

test("Secret: shows itself to nobody but reveal", () => {
  const secret = new Secret("hush");
  for (const shown of [String(secret), JSON.stringify({ secret }), inspect({ secret })]) {
    assert.doesNotMatch(shown, /hush/);
    assert.match(shown, /\*\*\*/);
  }
  assert.equal(secret.reveal(), "hush");
  assert.deepEqual(Object.keys(secret), []);
});

test("readSecrets: reads values, and files without the line end", () => {
  const { secrets, faults } = read(
    {
      ORCA_AWSS3_ACCESS_KEY: "id",
      ORCA_AWSS3_SECRET_KEY_FILE: "/run/key",
      ORCA_AWSS3_SESSION_TOKEN: "",
      ORCA_AZUREBLOB_ACCOUNT_KEY_FILE: "/run/azure",
    },
    { "/run/key": "hush\n", "/run/azure": "a2V5" },
  );
  assert.deepEqual(faults, []);
  assert.equal(secrets.awss3AccessKey?.reveal(), "id");
  assert.equal(secrets.awss3SecretKey?.reveal(), "hush");
  assert.equal(secrets.awss3SessionToken, undefined);
  assert.equal(secrets.azureblobAccountKey?.reveal(), "a2V5");
  assert.equal(secrets.cachestoreS3AccessKey, undefined);
});

test("readSecrets: reports a file that cannot be read, is empty, or comes beside a value", () => {
  const { faults } = read(
    {
      ORCA_AZUREBLOB_ACCOUNT_KEY: "hush",
      ORCA_AZUREBLOB_ACCOUNT_KEY_FILE: "/gone",
      ORCA_CACHESTORE_S3_ACCESS_KEY_FILE: "/gone",
      ORCA_CACHESTORE_S3_SECRET_KEY_FILE: "/empty",
    },
    { "/empty": "\n" },
  );
  assert.deepEqual(faults, [
    "ORCA_AZUREBLOB_ACCOUNT_KEY: set together with ORCA_AZUREBLOB_ACCOUNT_KEY_FILE: unset this one",
    'ORCA_CACHESTORE_S3_ACCESS_KEY_FILE: cannot read "/gone": ENOENT',
    'ORCA_CACHESTORE_S3_SECRET_KEY_FILE: expected a file that holds the secret, but "/empty" is empty',
  ]);
});

test("readSecrets: half a pair of keys is a fault", () => {
  assert.deepEqual(read({ ORCA_AWSS3_SECRET_KEY: "hush" }).faults, [
    "ORCA_AWSS3_SECRET_KEY: set without ORCA_AWSS3_ACCESS_KEY: set both, or neither",
  ]);
  assert.deepEqual(read({ ORCA_AWSS3_ACCESS_KEY: "id" }).faults, [
    "ORCA_AWSS3_ACCESS_KEY: set without ORCA_AWSS3_SECRET_KEY: set both, or neither",
  ]);
});
