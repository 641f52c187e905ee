import assert from "node:assert/strict";
import { devNull } from "node:os";
import { afterEach, beforeEach, suite, test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { originFaults } from "../../src/origin/origin-faults.ts";
import { awsChainCredentials } from "../../src/s3-client/aws-credentials.ts";
import { FakeClock } from "../support/fake-clock.ts";

const chainOptions = { clock: new FakeClock(), timeoutMs: 1000, faults: originFaults, region: "eu-west-1" };

suite("awsChainCredentials", () => {
  const environment = { ...process.env };
  beforeEach(() => {
    for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
    process.env["AWS_CONFIG_FILE"] = devNull;
    process.env["AWS_SHARED_CREDENTIALS_FILE"] = devNull;
    process.env["AWS_EC2_METADATA_DISABLED"] = "true";
  });
  afterEach(() => {
    process.env = { ...environment };
  });

  test("awsChainCredentials: takes what the environment has, with its expiration", async () => {
    process.env["AWS_ACCESS_KEY_ID"] = "id";
    process.env["AWS_SECRET_ACCESS_KEY"] = "secret";
    process.env["AWS_SESSION_TOKEN"] = "session";
    process.env["AWS_CREDENTIAL_EXPIRATION"] = "2026-01-01T01:00:00Z";
    const { value, expiresAtMs } = await awsChainCredentials(chainOptions);
    assert.equal(value.accessKeyId, "id");
    assert.equal(value.sessionToken, "session");
    assert.equal(expiresAtMs, Date.UTC(2026, 0, 1, 1));
  });

  test("awsChainCredentials: none to be had is origin_no_credentials", async () => {
    await assert.rejects(
      awsChainCredentials(chainOptions),
      (thrown) => thrown instanceof OrcaError && thrown.code === "origin_no_credentials",
    );
  });
});
