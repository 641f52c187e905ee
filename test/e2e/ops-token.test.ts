/** The ops listener with a token, over HTTPS, as operators, probes and `orca` meet it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { selfSignedCertificate } from "../support/certificate.ts";
import { runOrca } from "../support/command-line.ts";
import { bytesOf } from "../support/http-get.ts";
import { type ReplicaFixture, startReplica } from "../support/replica-fixture.ts";

const token = "0123456789abcdef0123456789abcdef";
let folder: string;
const file = (name: string): string => join(folder, name);
const certificate = selfSignedCertificate();
let secured: ReplicaFixture;
let plain: ReplicaFixture;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "orca-ops-token-"));
  writeFileSync(file("tls.crt"), certificate.cert);
  writeFileSync(file("tls.key"), certificate.key);
  writeFileSync(file("token"), `${token}\n`);
  writeFileSync(file("wrong"), "f".repeat(32));
  const tls = { cert_file: file("tls.crt"), key_file: file("tls.key"), client_ca_file: file("tls.crt") };
  const server = { tls, ops_tls: true, ops_token_file: file("token"), ops_token_for: "all" };
  secured = await startReplica({ settings: { server } });
  plain = await startReplica({ settings: { server: { ops_token_file: file("token") } } });
});
after(async () => {
  await secured.stop();
  await plain.stop();
  rmSync(folder, { recursive: true });
});

async function ask(path: string, headers: Record<string, string> = {}, method = "GET") {
  const { port } = new URL(secured.opsEndpoint);
  const sent = request({
    host: "127.0.0.1",
    port,
    path,
    method,
    headers,
    ca: certificate.cert,
    agent: false,
  }).end();
  const [message] = await once(sent, "response");
  return { status: message.statusCode, headers: message.headers, text: (await bytesOf(message)).toString() };
}

test("ops listener: over HTTPS, probes need no token, and all else does", async () => {
  for (const path of ["/healthz", "/readyz"]) assert.equal((await ask(path)).status, 200);
  for (const path of ["/", "/metrics", "/cluster", "/figures", "/inspect", "/absent"]) {
    const denied = await ask(path);
    assert.equal(denied.status, 401, path);
    assert.match(String(denied.headers["www-authenticate"]), /^Bearer/);
  }
  const good = { authorization: `Bearer ${token}` };
  assert.equal((await ask("/metrics", good)).status, 200);
  assert.equal((await ask("/absent", good)).status, 404);
  const clear = { "x-orca-action": "log-level" };
  assert.equal((await ask("/log-level?level=debug&seconds=1", clear, "POST")).status, 401);
  const denials = secured.logger.events.filter(({ message }) =>
    message.startsWith("Denied a request to the ops"),
  );
  assert.ok(denials.length >= 1 && denials.length <= 10);
  assert.ok(!JSON.stringify(secured.logger.events).includes(token));
});

test("ops listener: the files of the console need no token, and a browser runs actions only from its own page", async () => {
  assert.equal((await ask("/console")).status, 200);
  assert.deepEqual(JSON.parse((await ask("/console/token.json")).text), { configured: true });
  const { host } = new URL(secured.opsEndpoint);
  const clear = { "x-orca-action": "clear", authorization: `Bearer ${token}` };
  const own = { ...clear, origin: `https://${host}`, "sec-fetch-site": "same-origin" };
  assert.equal((await ask("/cache/clear", own, "POST")).status, 200);
  const { authorization: _, ...withoutToken } = own;
  assert.equal((await ask("/cache/clear", withoutToken, "POST")).status, 401);
  for (const foreign of [
    { ...own, origin: "https://evil.example" },
    { ...own, "sec-fetch-site": "cross-site" },
    { ...own, origin: "null" },
  ]) {
    const denied = await ask("/cache/clear", foreign, "POST");
    assert.equal(denied.status, 403);
    assert.match(denied.text, /another site/);
  }
  const preflight = await ask("/cache/clear", { origin: "https://evil.example" }, "OPTIONS");
  assert.notEqual(preflight.status, 200);
  assert.equal(preflight.headers["access-control-allow-origin"], undefined);
});

test("orca: asks with the token of a file", async () => {
  const ops = ["--ops", plain.opsEndpoint];
  const clear = ["cache", "clear", ...ops];
  assert.equal((await runOrca(["status", ...ops])).exitCode, 0);
  const without = await runOrca(clear);
  assert.equal(without.exitCode, 1, without.stderr + without.stdout);
  assert.match(without.stderr, /this needs the token of server\.ops_token_file/);
  assert.match(
    without.stderr,
    /\nGive its file with --ops-token-file FILE, or in ORCA_SERVER_OPS_TOKEN_FILE\.\n$/,
  );
  const wrong = await runOrca([...clear, "--ops-token-file", file("wrong")]);
  assert.match(wrong.stderr, /this needs the token/);
  const warm = await runOrca(["warm", "s3://models/", ...ops], { stopSignal: () => new Promise(() => {}) });
  assert.equal(warm.exitCode, 1);
  assert.match(warm.stderr, /this needs the token of server\.ops_token_file/);
  const good = await runOrca([...clear, "--ops-token-file", file("token")]);
  assert.equal(good.exitCode, 0, good.stderr);
  const absent = await runOrca([...clear, "--ops-token-file", file("absent")]);
  assert.match(absent.stderr, /Cannot use --ops-token-file ".*absent": ENOENT/);
});

test("orca: asks over HTTPS, where Node knows the authority", async () => {
  const env = {
    ...process.env,
    NODE_EXTRA_CA_CERTS: file("tls.crt"),
    ORCA_SERVER_OPS_TOKEN_FILE: file("token"),
  };
  const url = secured.opsEndpoint.replace("http:", "https:");
  const child = spawn(process.execPath, ["src/main.ts", "status", "--ops", url, "--json"], { env });
  const output: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => output.push(bytes));
  const [exitCode] = await once(child, "close");
  assert.equal(exitCode, 0, Buffer.concat(output).toString());
});

test("orca: says how Node gets to know an authority that it does not know", async () => {
  const url = secured.opsEndpoint.replace("http:", "https:");
  const { exitCode, stderr } = await runOrca(["status", "--ops", url]);
  assert.equal(exitCode, 1);
  assert.match(stderr, /\nName the file with the authority of its certificate in NODE_EXTRA_CA_CERTS\.\n$/);
});
