/**
 * What clients may read through a whole replica: an object in memory is given to nobody without a right, and to deny it costs the
 * origin nothing.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createSecretKey } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { request as requestTls } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inspect } from "node:util";
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { KiB } from "../../src/base/units.ts";
import { CertificateAuthority } from "../../src/cli/certificate-authority.ts";
import { makeToken, type TokenClaims } from "../../src/edge/auth/bearer-token.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { runOrca } from "../support/command-line.ts";
import { bytesOf } from "../support/http-get.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { type ClientKey, presignedHead, type SignedHead, signedHead } from "../support/signed-get.ts";
import { until } from "../support/until.ts";

const domain = "s3.test";
const tokenKey = "0123456789abcdef0123456789abcdef";
const keysFile = (folder: string): string => join(folder, "keys.yaml");
const key = (name: string): ClientKey => ({ accessKeyId: name, secretAccessKey: `secret-of-${name}` });
const owner = key("owner");

const keys = `
keys:
  - { access_key: owner, secret: secret-of-owner, buckets: [${testBucket}] }
  - { access_key: stranger, secret: secret-of-stranger, buckets: [other] }
  - { access_key: public, secret: secret-of-public, buckets: [${testBucket}], prefixes: [public/] }
  - { access_key: lister, secret: secret-of-lister, buckets: [${testBucket}], allow: [list] }
  - { access_key: getter, secret: secret-of-getter, buckets: [${testBucket}], allow: [get] }
  - { access_key: former, secret: secret-of-former, buckets: ["*"], expires: 2020-01-01 }
`;

let folder: string;
let fixture: ReplicaFixture;
let host: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "orca-access-"));
  writeFileSync(keysFile(folder), keys);
  writeFileSync(join(folder, "token.key"), tokenKey);
  fixture = await startReplica({
    settings: {
      server: {
        domain,
        auth: {
          enabled: true,
          mode: ["sigv4", "bearer"],
          access_keys_file: keysFile(folder),
          bearer_secret_file: join(folder, "token.key"),
          anonymous: [`${testBucket}/open/`],
        },
      },
      origin: { buckets: { [testBucket]: {}, other: { bucket: testBucket, prefix: "other/" } } },
    },
  });
  host = fixture.endpoint.slice("http://".length);
  for (const name of ["secret/a", "public/a", "open/a", "other/a", "public/../secret/a", "public\\..\\a"]) {
    const [half, etag] = [2 * KiB, `${"a".repeat(32)}-2`];
    fixture.origin.put(testBucket, name, {
      seed: 1,
      sizeBytes: 2 * half,
      partSizesBytes: [half, half],
      etag,
    });
  }
});
after(async () => {
  await fixture.stop();
  rmSync(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly code: string;
}

/** Sends a head exactly as it is, to whatever host it names. */
async function send({ method, target, headers }: SignedHead): Promise<Answer> {
  const { port } = new URL(fixture.endpoint);
  const sent = request({ host: "127.0.0.1", port, method, path: target, headers, agent: false }).end();
  const [message] = await once(sent, "response");
  const body = await bytesOf(message);
  const code = /<Code>(\w+)<\/Code>/.exec(body.toString("latin1"))?.[1] ?? "";
  return { status: message.statusCode, body, code };
}

const path = `/${testBucket}/secret/a`;
const now = (): Date => new Date();
const signed = (who: ClientKey, more: object = {}): Promise<SignedHead> =>
  signedHead(who, { host, path, at: now(), ...more });
const presigned = (who: ClientKey, more: object = {}): Promise<SignedHead> =>
  presignedHead(who, { host, path, at: now(), expiresIn: 60, ...more });
const plain = (target: string, headers: Record<string, string> = {}, method = "GET"): SignedHead => ({
  method,
  target,
  headers: { host, ...headers },
});
const bearer = (claims: Partial<TokenClaims>, withKey = tokenKey): SignedHead => {
  const exp = Math.floor(Date.now() / 1000) + 60;
  const all = { sub: "ci", exp, buckets: [testBucket], ...claims };
  const token = makeToken(all, createSecretKey(Buffer.from(withKey)));
  return plain(path, { authorization: `Bearer ${token}` });
};

test("access: with a right, each way to authenticate reads", async () => {
  const virtual = `${testBucket}.${domain}`;
  const reads: Record<string, SignedHead> = {
    signed: await signed(owner),
    presigned: await presigned(owner),
    "a prefix": await signed(key("public"), { path: `/${testBucket}/public/a` }),
    "another region": await signed(owner, { region: "eu-central-1" }),
    "virtual host": await signed(owner, { host: virtual, path: "/secret/a" }),
    "virtual host, upper case, with a dot and a port": await signed(owner, {
      host: `${virtual.toUpperCase()}.:8443`.replace("MODELS", "models"),
      path: "/secret/a",
    }),
    anonymous: plain(`/${testBucket}/open/a`),
    "open to a stranger too": await signed(key("stranger"), { path: `/${testBucket}/open/a` }),
    "another bucket": await signed(key("stranger"), { path: "/other/a" }),
    token: bearer({}),
    "token with a prefix": bearer({ prefixes: ["secret/"], allow: ["get"] }),
  };
  for (const [name, head] of Object.entries(reads)) {
    const { status, body } = await send(head);
    assert.deepEqual(
      [name, status, body.length],
      [name, 200, 4 * KiB],
      body.toString("latin1").slice(0, 800),
    );
  }
});

test("access: 50 ways to read a cached object without a right are denied, at no price for the origin", async () => {
  const list = { path: `/${testBucket}`, query: { "list-type": "2", prefix: "secret/" } };
  assert.equal((await send(await signed(owner))).status, 200);
  assert.equal((await send(await signed(owner, list))).status, 200);
  assert.equal((await send(await signed(owner, { query: { partNumber: "2" } }))).status, 206);
  const stranger = key("stranger");
  const { target } = await presigned(owner);
  const other = await presigned(owner, { path: `/${testBucket}/public/a` });
  const versions = { path: `/${testBucket}`, query: { versions: "", prefix: "secret/" } };
  assert.equal((await send(await signed(owner, { query: { versionId: "null" } }))).status, 200);
  assert.equal((await send(await signed(owner, versions))).status, 200);
  const version = await presigned(owner, { query: { versionId: "v1" } });
  assert.match(version.target, /versionId=v1&/);
  const nobody = createSecretKey(Buffer.alloc(32));
  const [, payload = ""] = makeToken({ sub: "x", exp: 9e9, buckets: ["*"] }, nobody).split(".");
  const unsignedToken = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.`;
  const denied: Record<string, SignedHead> = {
    "no credentials": plain(path),
    "HEAD without credentials": plain(path, {}, "HEAD"),
    "an unknown key": await signed(key("nobody")),
    "a wrong secret": await signed({ ...owner, secretAccessKey: "wrong" }),
    "another user": await signed(stranger),
    "HEAD of another user": await signed(stranger, { method: "HEAD" }),
    "a range of another user": await signed(stranger, { headers: { range: "bytes=0-9" } }),
    "a condition of another user": await signed(stranger, { headers: { "if-none-match": "*" } }),
    "a part of another user": await signed(stranger, { query: { partNumber: "1" } }),
    "a second part of another user": await signed(stranger, { query: { partNumber: "2" } }),
    "HEAD of a part of another user": await signed(stranger, { method: "HEAD", query: { partNumber: "2" } }),
    "a part without credentials": plain(`${path}?partNumber=2`),
    "a part that was added to a URL after it was signed": plain(`${target}&partNumber=2`),
    "a part and a range of another user": await signed(stranger, {
      query: { partNumber: "1" },
      headers: { range: "bytes=0-9" },
    }),
    "a version of another user": await signed(stranger, { query: { versionId: "null" } }),
    "HEAD of a version of another user": await signed(stranger, {
      method: "HEAD",
      query: { versionId: "null" },
    }),
    "a range of a version of another user": await signed(stranger, {
      query: { versionId: "null" },
      headers: { range: "bytes=0-9" },
    }),
    "a version without credentials": plain(`${path}?versionId=null`),
    "a version outside the prefix": await signed(key("public"), { query: { versionId: "null" } }),
    "a version for a key that may only list": await signed(key("lister"), { query: { versionId: "null" } }),
    "a version, by dot segments": await signed(key("public"), {
      path: `/${testBucket}/public/%2e%2e/secret/a`,
      query: { versionId: "null" },
    }),
    "a version that was not signed": {
      ...(await signed(owner)),
      target: `${path}?versionId=null`,
    },
    "a URL for another version": {
      ...version,
      target: version.target.replace("versionId=v1", "versionId=null"),
    },
    "a URL from which the version was cut": {
      ...version,
      target: version.target.replace("versionId=v1&", ""),
    },
    "a version with a token for another prefix": {
      ...bearer({ prefixes: ["public/"] }),
      target: `${path}?versionId=null`,
    },
    "a delete marker's version of another user": await signed(stranger, { query: { versionId: "unknown" } }),
    "ListObjectVersions of another user": await signed(stranger, versions),
    "ListObjectVersions of another prefix": await signed(key("public"), versions),
    "ListObjectVersions of the whole bucket": await signed(key("public"), {
      path: `/${testBucket}`,
      query: { versions: "" },
    }),
    "ListObjectVersions of a key that may only get": await signed(key("getter"), versions),
    "ListObjectVersions without credentials": plain(`/${testBucket}?versions&prefix=secret/`),
    "a session token that is not the key's": await signed({ ...owner, sessionToken: "made-up" }),
    "another prefix": await signed(key("public")),
    "dot segments": await signed(key("public"), { path: `/${testBucket}/public/../secret/a` }),
    "encoded dot segments": await signed(key("public"), { path: `/${testBucket}/public/%2e%2e/secret/a` }),
    backslashes: await signed(key("public"), { path: `/${testBucket}/public%5C..%5Ca` }),
    "a key that may only list": await signed(key("lister")),
    "an expired key": await signed(key("former")),
    "a clock of yesterday": await signed(owner, { at: new Date(Date.now() - 86_400_000) }),
    "an expired URL": await presigned(owner, { at: new Date(Date.now() - 3_600_000) }),
    "a URL of a wrong secret": await presigned({ ...owner, secretAccessKey: "wrong" }),
    "a URL for another object": { ...other, target: other.target.replace("public/a", "secret/a") },
    "a URL for HEAD": { ...(await presigned(owner, { method: "HEAD" })), method: "GET" },
    "a URL that lives longer than it says": plain(target.replace("Expires=60", "Expires=6000")),
    "a URL and a header": plain(target, { authorization: "Bearer x" }),
    "virtual host without credentials": plain("/secret/a", { host: `${testBucket}.${domain}` }),
    "virtual host of another bucket": {
      ...(await signed(stranger, { host: `other.${domain}`, path: "/secret/a" })),
      headers: {
        ...(await signed(stranger, { host: `other.${domain}`, path: "/secret/a" })).headers,
        host: `${testBucket}.${domain}`,
      },
    },
    "a whole URL as target": plain(`http://${host}${path}`),
    "ListObjectsV2 of another user": await signed(stranger, list),
    "ListObjects of another prefix": await signed(key("public"), {
      ...list,
      query: { prefix: "secret/" },
    }),
    "ListObjectsV2 of the whole bucket": await signed(key("public"), {
      ...list,
      query: { "list-type": "2" },
    }),
    "ListObjectsV2 of a key that may only get": await signed(key("getter"), list),
    "HeadBucket of another user": await signed(key("public"), { method: "HEAD", path: "/other" }),
    "ListBuckets without credentials": plain("/"),
    "a token of another key": bearer({}, "f".repeat(32)),
    "an expired token": bearer({ exp: 1 }),
    "a token that is not valid yet": bearer({ nbf: 9e9 }),
    "a token for another bucket": bearer({ buckets: ["other"] }),
    "a token for another prefix": bearer({ prefixes: ["public/"] }),
    "a token without a signature": plain(path, { authorization: `Bearer ${unsignedToken}` }),
    "another scheme": plain(path, { authorization: "Basic b3duZXI6c2VjcmV0LW9mLW93bmVy" }),
  };
  fixture.origin.forgetRequests();
  for (const [name, head] of Object.entries(denied)) {
    const { status, body, code } = await send(head);
    assert.ok(status === 403 || status === 400 || status === 501, `${name}: ${status} ${body.toString()}`);
    if (head.method === "GET") assert.notEqual(code, "", name);
    assert.ok(!body.includes("ListBucketResult") && !body.includes("ListVersionsResult"), name);
  }
  assert.deepEqual(fixture.origin.requests, []);
  assert.ok((await fixture.metric('orca_requests_denied_total{code="access_denied"}')) > 10);
  assert.ok(Object.keys(denied).length >= 50);
});

test("access: a denial does not tell whether the object or the bucket exists", async () => {
  for (const target of [path, `/${testBucket}/absent`, "/absent/x", `/${testBucket}`]) {
    const { status, code } = await send(plain(target));
    assert.deepEqual([status, code], [403, "AccessDenied"], target);
  }
  assert.equal((await send(await signed(owner, { path: "/absent/x" }))).code, "AccessDenied");
});

test("access: ListBuckets shows the buckets that the key may read", async () => {
  const { body } = await send(await signed(key("stranger"), { path: "/" }));
  const names = [...body.toString().matchAll(/<Name>(\w+)<\/Name>/g)].map(([, name]) => name);
  // A part of the other one is open to everybody.
  assert.deepEqual(names, [testBucket, "other"]);
});

test("access: the AWS SDK reads, and meets the errors that it knows", async (context) => {
  const clientOf = ({ accessKeyId, secretAccessKey }: ClientKey): S3Client => {
    const credentials = { accessKeyId, secretAccessKey };
    const { endpoint } = fixture;
    const client = new S3Client({
      endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials,
      maxAttempts: 1,
    });
    context.after(() => client.destroy());
    return client;
  };
  const client = clientOf(owner);
  const where = { Bucket: testBucket, Key: "secret/a" };
  const { Body } = await client.send(new GetObjectCommand(where));
  assert.equal((await Body?.transformToByteArray())?.length, 4 * KiB);
  const ranged = await client.send(new GetObjectCommand({ ...where, Range: "bytes=0-9" }));
  assert.equal(ranged.ContentRange, `bytes 0-9/${4 * KiB}`);
  assert.equal((await client.send(new HeadObjectCommand(where))).ContentLength, 4 * KiB);
  const shown = await client.send(new GetObjectCommand({ ...where, ResponseContentType: "text/html" }));
  assert.equal(shown.ContentType, "text/html");
  await shown.Body?.transformToByteArray();
  const unsigned = await fetch(`${fixture.endpoint}/${testBucket}/public/a?response-content-type=text/html`);
  assert.equal(unsigned.status, 400);
  const odd = "public/a b+c*d;é(1)'//e";
  fixture.origin.put(testBucket, odd, { seed: 1, sizeBytes: 10 });
  assert.equal((await client.send(new HeadObjectCommand({ ...where, Key: odd }))).ContentLength, 10);
  const page = await client.send(new ListObjectsV2Command({ Bucket: testBucket, Prefix: "public/a b+" }));
  assert.deepEqual(
    page.Contents?.map(({ Key }) => Key),
    [odd],
  );
  await assert.rejects(client.send(new GetObjectCommand({ ...where, Key: "absent" })), { name: "NoSuchKey" });
  for (const [who, name] of [
    [key("stranger"), "AccessDenied"],
    [key("nobody"), "InvalidAccessKeyId"],
    [{ ...owner, secretAccessKey: "wrong" }, "SignatureDoesNotMatch"],
  ] as const) {
    await assert.rejects(clientOf(who).send(new GetObjectCommand(where)), { name });
  }
});

const curl = spawnSync("curl", ["--help", "all"]).stdout?.toString().includes("--aws-sigv4") ?? false;

test("access: curl signs and reads", {
  skip: !curl && "curl with --aws-sigv4 is not installed",
}, async () => {
  const read = async (user: string, target: string, ...more: string[]): Promise<string> => {
    const signing = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", user];
    const child = spawn("curl", [
      "-s",
      "-g",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code} %{size_download}",
      ...signing,
      ...more,
      fixture.endpoint + target,
    ]);
    const output: Buffer[] = [];
    child.stdout.on("data", (bytes: Buffer) => output.push(bytes));
    await once(child, "close");
    return Buffer.concat(output).toString();
  };
  const who = "owner:secret-of-owner";
  fixture.origin.put(testBucket, "public/a*b+c d", { seed: 1, sizeBytes: 10 });
  assert.equal(await read(who, path), `200 ${4 * KiB}`);
  assert.equal(await read(who, path, "-r", "0-9"), "206 10");
  assert.equal(await read(who, path, "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"), `200 ${4 * KiB}`);
  assert.equal(await read(who, `/${testBucket}/public/a*b+c%20d`), "200 10");
  assert.match(await read(who, `/${testBucket}?list-type=2&prefix=public/`), /^200 /);
  assert.match(await read("owner:wrong", path), /^403 /);
});

const statusOf = async (who: string): Promise<number> => (await send(await signed(key(who)))).status;

test("access: a changed keys file counts without a restart, and a broken one does not", async () => {
  const granted = `${keys}  - { access_key: late, secret: secret-of-late, buckets: ["*"] }\n`;
  assert.equal(await statusOf("late"), 403);
  writeFileSync(keysFile(folder), granted);
  await until(async () => (await statusOf("late")) === 200, 15_000);
  writeFileSync(keysFile(folder), `${granted}  - { access_key: late, secret: hush-hush }\n`);
  const lines = (): string[] => fixture.logger.events.map((event) => inspect(event, { depth: 9 }));
  await until(() => lines().some((line) => line.includes("Cannot use changed access keys")), 15_000);
  assert.equal(await statusOf("late"), 200);
  const readiness = (await (await fetch(`${fixture.opsEndpoint}/readyz`)).json()) as {
    notices: { auth: string };
  };
  assert.match(readiness.notices.auth, /^the access keys file cannot be used/);
  for (const secret of ["hush-hush", "secret-of", tokenKey])
    assert.ok(!lines().some((line) => line.includes(secret)), secret);
});

const withToken = (token: string): SignedHead => plain(path, { authorization: `Bearer ${token.trim()}` });

test("orca token: makes a token that a replica accepts", async () => {
  const args = ["token", "--key-file", join(folder, "token.key"), "--subject", "ci", "--bucket", testBucket];
  const clock = { now: () => Date.now() } as never;
  const good = await runOrca([...args, "--prefix", "secret/", "--expires-in", "1m"], { clock });
  assert.equal(good.exitCode, 0, good.stderr);
  assert.equal((await send(withToken(good.stdout))).status, 200);
  const other = await runOrca([...args, "--prefix", "public/"], { clock });
  assert.equal((await send(withToken(other.stdout))).code, "AccessDenied");
  const bad = await runOrca([...args, "--allow", "put"], { clock });
  assert.match(bad.stderr, /Cannot make a token: expected a subject of 1 to 256 characters, and get or list/);
});

test("access: a client certificate is an identity, and a client without one needs another", async (context) => {
  const validity = { notBeforeMs: Date.now() - 3_600_000, notAfterMs: Date.now() + 3_600_000 };
  const authority = await CertificateAuthority.create("clients", validity);
  const issue = (commonName: string, uris: readonly string[] = []) =>
    authority.issue({ commonName, hosts: ["client"], uris, ...validity });
  const stranger = await CertificateAuthority.create("others", validity);
  const server = selfSignedCertificate();
  const files = { cert: join(folder, "s.crt"), key: join(folder, "s.key"), ca: join(folder, "clients.crt") };
  writeFileSync(files.cert, server.cert);
  writeFileSync(files.key, server.key);
  writeFileSync(files.ca, authority.files.cert);
  const certificateKeys = join(folder, "certificates.yaml");
  writeFileSync(
    certificateKeys,
    `certificates:
  - { subject: reader, buckets: [${testBucket}] }
  - { san: "URI:spiffe://acme/public", buckets: [${testBucket}], prefixes: [public/] }
`,
  );
  const mtls = await startReplica({
    settings: {
      server: {
        tls: { cert_file: files.cert, key_file: files.key, client_ca_file: files.ca },
        auth: {
          enabled: true,
          mode: "mtls",
          access_keys_file: certificateKeys,
          anonymous: [`${testBucket}/open/`],
        },
      },
    },
    origin: fixture.origin,
  });
  context.after(() => mtls.stop());
  const { port } = new URL(mtls.endpoint);
  const get = async (target: string, pair: object = {}): Promise<number> => {
    const sent = requestTls({
      host: "127.0.0.1",
      port,
      path: target,
      ca: server.cert,
      agent: false,
      ...pair,
    }).end();
    const [message] = await once(sent, "response");
    message.resume();
    return message.statusCode;
  };
  const reader = await issue("reader");
  const spiffe = await issue("someone", ["spiffe://acme/public"]);
  assert.equal(await get(path, reader), 200);
  assert.equal(await get(path, spiffe), 403);
  assert.equal(await get(`/${testBucket}/public/a`, spiffe), 200);
  assert.equal(await get(path, await issue("unknown")), 403);
  assert.equal(await get(path), 403);
  assert.equal(await get(`/${testBucket}/open/a`), 200);
  const forged = await stranger.issue({ commonName: "reader", hosts: ["client"], uris: [], ...validity });
  assert.equal(await get(path, forged), 403);
});

test("access: without the right to list, an absent object is denied like one that is there, as in S3", async () => {
  const absent = { path: `/${testBucket}/secret/absent` };
  const head = { ...absent, method: "HEAD" };
  const outside = { path: `/${testBucket}/public/absent` };
  const token = { sub: "getter", buckets: [testBucket], allow: ["get" as const] };
  for (const [name, sent, expected] of [
    ["get alone", await signed(key("getter"), absent), "403 AccessDenied"],
    ["get alone, presigned", await presigned(key("getter"), absent), "403 AccessDenied"],
    ["get alone, HEAD", await signed(key("getter"), head), "403 "],
    [
      "get alone, a version",
      await signed(key("getter"), { ...absent, query: { versionId: "v" } }),
      "403 AccessDenied",
    ],
    [
      "get alone, tags",
      await signed(key("getter"), { ...absent, query: { tagging: "" } }),
      "403 AccessDenied",
    ],
    [
      "get alone, of a key that anybody may list",
      await signed(key("getter"), { path: `/${testBucket}/open/x` }),
      "404 NoSuchKey",
    ],
    ["a token for get alone", { ...bearer(token), target: absent.path }, "403 AccessDenied"],
    ["get and list", await signed(owner, absent), "404 NoSuchKey"],
    ["get and list, HEAD", await signed(owner, head), "404 "],
    ["get and list of the prefix", await signed(key("public"), outside), "404 NoSuchKey"],
    ["anybody", plain(`/${testBucket}/open/absent`), "404 NoSuchKey"],
  ] as const) {
    const { status, code } = await send(sent);
    assert.equal(`${status} ${code}`, expected, name);
  }
  // It is there, and may be read.
  assert.equal((await send(await signed(key("getter")))).status, 200);
});
