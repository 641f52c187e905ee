/**
 * Each malformed request on a connection of its own: it is answered once, as S3 answers and as RFC 9112 asks, its
 * connection closes, and the request behind it is never served.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { SettingsTree } from "../../../src/config/load.ts";
import { selfSignedCertificate } from "../../support/certificate.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../../support/replica-fixture.ts";
import { until } from "../../support/until.ts";
import { type RawAnswer, type RawServer, rawExchange } from "./raw-exchange.ts";
import { type RequestForm, requestForms } from "./request-forms.ts";

const objects = { first: "what the first request asks for", next: "smuggled" };
const behind = `GET /${testBucket}/next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`;
const forms = requestForms(`/${testBucket}/first`, behind);
const withinMs = 5000;

/** Over TLS, an answer is still on its way when the parser reaches the fault behind it. */
const formsOverTls = forms.filter(({ name }) =>
  /^GET: (?:no body|chunks|CL\.TE|two equal|gzip|identity|xchunked)|^POST: gzip|^no Host|LF|CONNECT|HTTP\/1\.0|64 KB/.test(
    name,
  ),
);

let folder: string;
let plain: ReplicaFixture;
let overTls: ReplicaFixture;
let ca: string;

async function start(server: SettingsTree): Promise<ReplicaFixture> {
  const fixture = await startReplica({ settings: { server } });
  for (const [key, body] of Object.entries(objects)) fixture.origin.put(testBucket, key, { body });
  return fixture;
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "orca-tls-"));
  const certificate = selfSignedCertificate();
  ca = certificate.cert;
  const tls = { cert_file: join(folder, "tls.crt"), key_file: join(folder, "tls.key") };
  writeFileSync(tls.cert_file, certificate.cert);
  writeFileSync(tls.key_file, certificate.key);
  [plain, overTls] = await Promise.all([start({}), start({ tls })]);
});

after(async () => {
  await Promise.all([plain.stop(), overTls.stop()]);
  rmSync(folder, { recursive: true });
});

function portOf({ endpoint }: ReplicaFixture): number {
  return Number(new URL(endpoint).port);
}

function codeOf({ status, body }: RawAnswer): string {
  return /<Code>(\w+)<\/Code>/.exec(body)?.[1] ?? String(status);
}

/** S3's form: an XML error that names the request as the header does, and the end of the connection. */
function assertRejected({ status, headers, body }: RawAnswer): void {
  const statuses: Record<string, number> = {
    InvalidRequest: 400,
    NotImplemented: 501,
    MethodNotAllowed: 405,
  };
  const code = /^<\?xml [^]*<Error><Code>(\w+)<\/Code>/.exec(body)?.[1] ?? "";
  assert.equal(status, statuses[code], body);
  assert.equal(headers.get("content-type"), "application/xml");
  assert.equal(headers.get("connection"), "close");
  assert.match(headers.get("x-amz-request-id") ?? "", /^\w{16,}$/);
  assert.equal(/<RequestId>(\w+)<\/RequestId>/.exec(body)?.[1], headers.get("x-amz-request-id"));
  assert.equal(/<HostId>(.+)<\/HostId>/.exec(body)?.[1], headers.get("x-amz-id-2"));
}

async function assertAnswered(fixture: ReplicaFixture, server: RawServer, form: RequestForm): Promise<void> {
  const { origin } = fixture;
  const asked = (): number => origin.count("HEAD", "next") + origin.count("GET", "next");
  const malformed = await fixture.metric("orca_requests_malformed_total");
  const askedBefore = asked();
  const answers = await rawExchange(server, form.text);
  assert.deepEqual(answers.map(codeOf), form.answers);
  const [first, second] = answers;
  if (first?.status === 200) assert.equal(first.body, objects.first);
  else assertRejected(first as RawAnswer);
  if (second) assert.equal(second.body, objects.next);
  else assert.equal(asked(), askedBefore);
  // Every form but these breaks HTTP, and is counted once.
  const isHttp = form.answers.length === 2 || form.answers[0] === "MethodNotAllowed";
  const counted = (await fixture.metric("orca_requests_malformed_total")) - malformed;
  if (!isHttp) assert.equal(counted, 1);
  if (form.answers.length === 2) assert.equal(counted, 0);
}

async function assertNothingLeft(fixture: ReplicaFixture): Promise<void> {
  for (const series of ["orca_requests_in_flight", "orca_requests_pipelined", "orca_client_connections"]) {
    await until(async () => (await fixture.metric(series)) === 0);
  }
  assert.equal(await fixture.metric('orca_requests_total{operation="rejected",status="500"}'), 0);
}

test("S3Listener: a malformed request is answered once, and nothing behind it is read", async (context) => {
  await (await plain.get("first")).text();
  for (const form of forms) {
    await context.test(form.name, { timeout: withinMs }, () =>
      assertAnswered(plain, { port: portOf(plain) }, form),
    );
  }
  await assertNothingLeft(plain);
});

test("S3Listener: over TLS as well", async (context) => {
  const server = { port: portOf(overTls), ca };
  await rawExchange(server, `GET /${testBucket}/first HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
  for (const form of formsOverTls) {
    await context.test(form.name, { timeout: withinMs }, () => assertAnswered(overTls, server, form));
  }
  await assertNothingLeft(overTls);
});

test("S3Listener: a fault that comes in a packet of its own is found as well", {
  timeout: withinMs,
}, async () => {
  const text = `GET /${testBucket}/first HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n`;
  const answers = await rawExchange({ port: portOf(plain) }, ...text.split(/(?<=\n)/), "0\r\n\r\n", behind);
  assert.deepEqual(answers.map(codeOf), ["NotImplemented"]);
  await assertNothingLeft(plain);
});

test("S3Listener: a CONNECT behind a request in progress cuts the connection, and its reset harms nobody", {
  timeout: withinMs,
}, async () => {
  const { origin } = plain;
  origin.put(testBucket, "held", { body: "held" });
  const gate = origin.hold("HEAD", "held");
  const head = `GET /${testBucket}/held HTTP/1.1\r\nHost: h\r\n\r\n`;
  const answers = rawExchange({ port: portOf(plain) }, head, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n");
  assert.deepEqual(await answers, []);
  gate.release();
  await assertNothingLeft(plain);
  assert.equal((await plain.get("first")).status, 200);
});
