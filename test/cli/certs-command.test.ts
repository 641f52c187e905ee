import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parse } from "yaml";
import { type CertsOptions, certs } from "../../src/cli/certs-command.ts";
import { loadConfig } from "../../src/config/load.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { rejectsWith } from "../support/rejects-with.ts";

interface Run {
  readonly out: string;
  readonly run: (options: Partial<CertsOptions>) => Promise<string>;
}

function fixture(context: TestContext): Run {
  const parent = mkdtempSync(join(tmpdir(), "orca-certs-"));
  context.after(() => rmSync(parent, { recursive: true }));
  const out = join(parent, "certs");
  const run = async (options: Partial<CertsOptions>): Promise<string> => {
    let written = "";
    const exitCode = await certs({
      out,
      serverName: "orca.internal",
      replicas: ["a"],
      hosts: [],
      clock: new FakeClock(),
      stdout: { write: (text: string) => void (written += text) },
      ...options,
    });
    assert.equal(exitCode, 0);
    return written;
  };
  return { out, run };
}

test("certs: writes the authority and a pair for each replica, keys for their owner alone", async (context) => {
  const { out, run } = fixture(context);
  await run({ replicas: ["a", "b"], hosts: ["cache.example", "10.0.0.1"] });
  assert.deepEqual(readdirSync(out).sort(), ["a.crt", "a.key", "b.crt", "b.key", "ca.crt", "ca.key"]);
  for (const name of ["a", "b", "ca"]) assert.equal(statSync(join(out, `${name}.key`)).mode & 0o777, 0o600);
  const certificate = new X509Certificate(readFileSync(join(out, "b.crt")));
  assert.equal(
    certificate.subjectAltName,
    "DNS:orca.internal, DNS:localhost, IP Address:127.0.0.1, DNS:cache.example, IP Address:10.0.0.1, URI:urn:orca:replica:b",
  );
  assert.ok(certificate.verify(new X509Certificate(readFileSync(join(out, "ca.crt"))).publicKey));
  assert.equal(certificate.validToDate.getTime(), Date.UTC(2027, 0, 1));
});

test("certs: says what was written, and what to paste loads as a configuration", async (context) => {
  const { out, run } = fixture(context);
  const written = await run({ replicas: ["a", "b"] });
  assert.match(written, /^a\.crt +a\.key +replica a +2027-01-01$/m);
  assert.match(written, /^ca\.crt +ca\.key +the authority, new +2035-12-30$/m);
  const pasted = parse(written.slice(written.indexOf("\ncluster:"))) as { cluster: unknown };
  const overrides = { origin: { id: "o", awss3: { bucket: "data" } }, ...pasted };
  assert.ok(loadConfig({ env: {}, overrides }));
  assert.deepEqual(pasted.cluster, {
    replica_id: "a",
    internal_tls: {
      enabled: true,
      cert_file: join(out, "a.crt"),
      key_file: join(out, "a.key"),
      ca_file: join(out, "ca.crt"),
      server_name: "orca.internal",
    },
  });
});

test("certs: the authority that is there signs for a new replica", async (context) => {
  const { out, run } = fixture(context);
  await run({ replicas: ["a"] });
  const before = readFileSync(join(out, "ca.crt"), "utf8");
  assert.match(await run({ replicas: ["b"] }), /the authority, unchanged/);
  assert.equal(readFileSync(join(out, "ca.crt"), "utf8"), before);
  const certificate = new X509Certificate(readFileSync(join(out, "b.crt")));
  assert.ok(certificate.verify(new X509Certificate(before).publicKey));
});

test("certs: overwrites nothing, and then writes nothing", async (context) => {
  const { out, run } = fixture(context);
  await run({ replicas: ["a"] });
  const before = readFileSync(join(out, "a.key"), "utf8");
  const { message } = await rejectsWith("invalid_argument", run({ replicas: ["b", "a"] }));
  assert.match(message, /a\.crt, a\.key in ".*" would be overwritten/);
  assert.equal(readFileSync(join(out, "a.key"), "utf8"), before);
  assert.deepEqual(readdirSync(out).sort(), ["a.crt", "a.key", "ca.crt", "ca.key"]);
  rmSync(join(out, "ca.key"));
  assert.match((await rejectsWith("invalid_argument", run({ replicas: ["b"] }))).message, /ca\.crt alone/);
});

test("certs: a certificate does not outlive its authority", async (context) => {
  const { out, run } = fixture(context);
  await run({ replicas: ["a"] });
  await run({ replicas: ["b"], clock: new FakeClock(Date.UTC(2035, 5, 1)) });
  const [authority, replica] = ["ca", "b"].map(
    (name) => new X509Certificate(readFileSync(join(out, `${name}.crt`))).validToDate,
  );
  assert.deepEqual(replica, authority);
  const late = run({ replicas: ["c"], clock: new FakeClock(Date.UTC(2036, 5, 1)) });
  assert.match((await rejectsWith("invalid_argument", late)).message, /has expired/);
});

test("certs: names that cannot be used are refused before anything is written", async (context) => {
  const { out, run } = fixture(context);
  for (const options of [
    { serverName: "not a name" },
    { serverName: "10.0.0.1" },
    { serverName: "" },
    { replicas: [] },
    { replicas: ["../a"] },
    { replicas: [".."] },
    { replicas: ["CA"] },
    { replicas: ["a", "a"] },
    { hosts: ["https://host"] },
    { hosts: [""] },
  ]) {
    const { message } = await rejectsWith("invalid_argument", run(options));
    assert.match(message, /^Cannot make certificates: /);
  }
  assert.throws(() => readdirSync(out), { code: "ENOENT" });
});
