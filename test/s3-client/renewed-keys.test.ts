/** Keys that an S3 server denies before their end, as the server saw the requests. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { S3Origin } from "../../src/origin/s3-origin.ts";
import { S3Server } from "../support/s3-server.ts";
import type { S3User } from "../support/s3-signature.ts";

const options = {
  id: "test",
  region: "us-east-1",
  usePathStyle: true,
  connectTimeoutMs: 5000,
  attemptTimeoutMs: 5000,
  stallTimeoutMs: 5000,
  connectionsIdleMax: 32,
};
const signal = new AbortController().signal;
const location = { bucket: "models", key: "weights" };

function keysFile(name: string): string {
  return `[default]\naws_access_key_id = ${name}\naws_secret_access_key = secret-of-${name}\n`;
}

function user(name: string): S3User {
  return { secretKey: `secret-of-${name}`, mayRead: () => true };
}

test("SignedRequests.request: a key replaced in the shared credentials file fails no reader", async () => {
  const folder = mkdtempSync(join(tmpdir(), "orca-test-"));
  const environment = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
  const file = join(folder, "credentials");
  process.env["AWS_SHARED_CREDENTIALS_FILE"] = file;
  process.env["AWS_CONFIG_FILE"] = join(folder, "none");
  process.env["AWS_EC2_METADATA_DISABLED"] = "true";
  const users = new Map([["old", user("old")]]);
  const server = await S3Server.start({ buckets: ["models"], users });
  const origin = new S3Origin({ ...options, endpoint: server.endpoint, clock: new SystemClock() });
  try {
    server.put("models", "weights", { body: Buffer.from("bytes") });
    writeFileSync(file, keysFile("old"));
    await origin.head(location, signal);
    assert.equal(server.requests.length, 1);
    users.clear();
    users.set("new", user("new"));
    writeFileSync(file, keysFile("new"));
    const heads = await Promise.all(Array.from({ length: 20 }, () => origin.head(location, signal)));
    assert.equal(heads.filter((head) => head !== null).length, 20);
    assert.equal(server.requests.length, 41, "each of the 20 was denied once, and allowed once");
  } finally {
    origin.close();
    await server.stop();
    process.env = environment;
    rmSync(folder, { recursive: true });
  }
});
