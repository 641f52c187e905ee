/**
 * Each source of keys that the AWS SDK knows, on loopback, while keys are replaced, expire and are denied early. No read
 * fails, with a single attempt each, and the source is asked once for each new key.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { S3Origin } from "../../src/origin/s3-origin.ts";
import { FakeClock } from "../support/fake-clock.ts";
import {
  keyJson,
  keyXml,
  RotatingKeys,
  type ServiceAnswer,
  stsError,
  TokenService,
} from "../support/rotating-keys.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const environment = { ...process.env };
const signal = new AbortController().signal;
const location = { bucket: "models", key: "weights" };
const body = Buffer.from("bytes");
const minuteMs = 60_000;
const region = "eu-central-1";

let folder: string;
/** Begins now, because the SDK looks at the system's clock. */
let clock: FakeClock;
let keys: RotatingKeys;
let store: S3Server;

beforeEach(async () => {
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
  folder = mkdtempSync(join(tmpdir(), "orca-test-"));
  process.env["AWS_CONFIG_FILE"] = join(folder, "config");
  process.env["AWS_SHARED_CREDENTIALS_FILE"] = join(folder, "credentials");
  process.env["AWS_EC2_METADATA_DISABLED"] = "true";
  clock = new FakeClock(Date.now());
  keys = new RotatingKeys(clock);
  store = await S3Server.start({ buckets: ["models"], users: keys.users, clock });
  store.put("models", "weights", { body });
});
afterEach(async () => {
  await store.stop();
  process.env = { ...environment };
  rmSync(folder, { recursive: true });
});

async function readAll(origin: S3Origin, count: number): Promise<void> {
  const etag = store.get("models", "weights")?.etag ?? "";
  const range = { ...location, etag, objectSizeBytes: body.length, offset: 0, lengthBytes: body.length };
  await Promise.all(
    Array.from({ length: count }, async () => {
      const received = Buffer.alloc(body.length);
      let at = 0;
      const sink = { space: () => received.subarray(at), advance: (bytes: number) => void (at += bytes) };
      await origin.read(range, sink, signal);
      assert.ok(received.equals(body));
    }),
  );
}

function statuses(): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { status } of store.requests) counts.set(status, (counts.get(status) ?? 0) + 1);
  return counts;
}

/** `asked` counts the keys that the source gave. `beforeRotation` is what else changes at the source then. */
async function readsGoOn(asked: () => number, beforeRotation: () => void = () => {}): Promise<void> {
  const origin = new S3Origin({
    id: "test",
    region,
    endpoint: store.endpoint,
    usePathStyle: true,
    connectTimeoutMs: 5000,
    attemptTimeoutMs: 5000,
    stallTimeoutMs: 5000,
    connectionsIdleMax: 32,
    clock,
  });
  try {
    await readAll(origin, 20);
    assert.equal(asked(), 1, "all readers share the first key");

    await clock.advance(56 * minuteMs);
    beforeRotation();
    keys.rotate();
    await readAll(origin, 20);
    await until(() => asked() === 2);
    await clock.advance(5 * minuteMs);
    keys.expireOthers();
    await readAll(origin, 20);
    assert.deepEqual([...statuses()], [[206, 60]], "a key is replaced before it expires");

    beforeRotation();
    keys.rotate();
    keys.expireOthers();
    await readAll(origin, 20);
    assert.equal(asked(), 3, "all readers that were denied share one renewal");
    const counts = statuses();
    assert.equal(counts.get(206), 80);
    assert.ok((counts.get(403) ?? 0) <= 20, "each reader is denied once at most");
    for (const { headers } of store.requests) {
      const id = /Credential=([^/]+)/.exec(headers.authorization ?? "")?.[1];
      assert.equal(headers["x-amz-security-token"], `token-of-${id}`);
    }
  } finally {
    origin.close();
  }
}

async function withService(
  answer: (request: IncomingMessage, text: string) => ServiceAnswer,
  work: (service: TokenService) => Promise<void>,
): Promise<void> {
  const service = await TokenService.start(answer);
  try {
    await work(service);
  } finally {
    service.stop();
  }
}

test("instance role (IMDSv2): a key that is replaced, expires or is denied early fails no reader", async () => {
  delete process.env["AWS_EC2_METADATA_DISABLED"];
  const base = "/latest/meta-data/iam/security-credentials/";
  let given = 0;
  let sessions = 0;
  const answer = ({ method, url, headers }: IncomingMessage): ServiceAnswer => {
    if (method === "PUT" && url === "/latest/api/token") {
      assert.ok(Number(headers["x-aws-ec2-metadata-token-ttl-seconds"]) > 0);
      sessions += 1;
      return [200, `session-${sessions}`];
    }
    // IMDSv2 alone, and no session but the last.
    if (headers["x-aws-ec2-metadata-token"] !== `session-${sessions}`) return [401, ""];
    if (url === base) return [200, "the-role"];
    if (url !== `${base}the-role`) return [404, ""];
    given += 1;
    return [200, keyJson(keys.current)];
  };
  await withService(answer, async (service) => {
    process.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = service.url;
    await readsGoOn(() => given);
    assert.equal(service.denied, 0);
  });
});

test("container role (ECS, EKS Pod Identity): a key and the token for its endpoint are replaced", async () => {
  const tokenFile = join(folder, "token");
  let [given, tokens] = [0, 1];
  writeFileSync(tokenFile, "token-1");
  const replaceToken = (): void => {
    tokens += 1;
    writeFileSync(tokenFile, `token-${tokens}`);
  };
  const answer = ({ url, headers }: IncomingMessage): ServiceAnswer => {
    if (url !== "/v1/credentials" || headers.authorization !== `token-${tokens}`) return [401, "{}"];
    given += 1;
    return [200, keyJson(keys.current)];
  };
  await withService(answer, async (service) => {
    process.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = `${service.url}/v1/credentials`;
    process.env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = tokenFile;
    await readsGoOn(() => given, replaceToken);
    assert.equal(service.denied, 0);
  });
});

test("web identity (IRSA): the key and the token file are replaced", async () => {
  const tokenFile = join(folder, "web-identity");
  let [given, tokens] = [0, 1];
  writeFileSync(tokenFile, "jwt-1");
  const replaceToken = (): void => {
    tokens += 1;
    writeFileSync(tokenFile, `jwt-${tokens}`);
  };
  const answer = (_: IncomingMessage, text: string): ServiceAnswer => {
    const form = new URLSearchParams(text);
    const isRight =
      form.get("Action") === "AssumeRoleWithWebIdentity" &&
      form.get("RoleArn") === "arn:aws:iam::123456789012:role/orca" &&
      form.get("WebIdentityToken") === `jwt-${tokens}`;
    if (!isRight) return [400, stsError("InvalidIdentityToken")];
    given += 1;
    return [200, keyXml("AssumeRoleWithWebIdentity", keys.current)];
  };
  await withService(answer, async (service) => {
    process.env["AWS_ENDPOINT_URL_STS"] = service.url;
    process.env["AWS_ROLE_ARN"] = "arn:aws:iam::123456789012:role/orca";
    process.env["AWS_WEB_IDENTITY_TOKEN_FILE"] = tokenFile;
    await readsGoOn(() => given, replaceToken);
    assert.equal(service.denied, 0);
  });
});

test("AssumeRole by a profile: the key, and the one that assumes the role, are replaced", async () => {
  let [given, bases] = [0, 1];
  const writeBase = (): void =>
    writeFileSync(
      join(folder, "credentials"),
      `[base]\naws_access_key_id = BASE${bases}\naws_secret_access_key = secret\n`,
    );
  writeBase();
  const role = "role_arn = arn:aws:iam::123456789012:role/orca\nsource_profile = base";
  writeFileSync(join(folder, "config"), `[profile orca]\n${role}\n`);
  const replaceBase = (): void => {
    bases += 1;
    writeBase();
  };
  const answer = ({ headers }: IncomingMessage, text: string): ServiceAnswer => {
    const form = new URLSearchParams(text);
    // The region of the origin, and not the SDK's own default.
    const scope = new RegExp(`Credential=BASE${bases}/\\d{8}/${region}/sts/aws4_request`);
    const isSigned = scope.test(headers.authorization ?? "");
    if (form.get("Action") !== "AssumeRole" || !isSigned) return [403, stsError("AccessDenied")];
    given += 1;
    return [200, keyXml("AssumeRole", keys.current)];
  };
  await withService(answer, async (service) => {
    process.env["AWS_ENDPOINT_URL_STS"] = service.url;
    process.env["AWS_PROFILE"] = "orca";
    process.env["AWS_REGION"] = "us-west-2";
    await readsGoOn(() => given, replaceBase);
    assert.equal(service.denied, 0);
  });
});
