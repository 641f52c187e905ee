import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect, createServer, type SecureContextOptions } from "node:tls";
import { TlsFiles } from "../../src/base/tls-files.ts";
import { selfSignedCertificate, type TestCertificate } from "../support/certificate.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { until } from "../support/until.ts";

const old = selfSignedCertificate({ commonName: "old" });
const renewed = selfSignedCertificate({ commonName: "renewed", notAfterMs: Date.UTC(2040, 5, 1) });

interface Fixture {
  readonly directory: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly clock: FakeClock;
  readonly logger: RecordedLogger;
  readonly changes: SecureContextOptions[];
  readonly write: (pair: TestCertificate) => Promise<void>;
  readonly load: (clientCaFile?: string) => Promise<TlsFiles>;
  /** One poll, waited for to its end: the next timer is armed when the files are read. */
  readonly poll: () => Promise<void>;
}

const pollIntervalMs = 1000;

async function fixture(context: TestContext): Promise<Fixture> {
  const directory = await mkdtemp(join(tmpdir(), "orca-tls-"));
  context.after(() => rm(directory, { recursive: true }));
  const [certFile, keyFile] = [join(directory, "tls.crt"), join(directory, "tls.key")];
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const changes: SecureContextOptions[] = [];
  const write = async ({ cert, key }: TestCertificate): Promise<void> => {
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
  };
  const load = async (clientCaFile?: string): Promise<TlsFiles> => {
    const files = await TlsFiles.load({ certFile, keyFile, clientCaFile, clock, logger, pollIntervalMs });
    files.watch((options) => void changes.push(options));
    context.after(() => files.stop());
    return files;
  };
  const poll = async (): Promise<void> => {
    await clock.advance(pollIntervalMs);
    await until(() => clock.pendingTimers > 0);
  };
  await write(old);
  return { directory, certFile, keyFile, clock, logger, changes, write, load, poll };
}

test("TlsFiles: files that stay the same change nothing", async (context) => {
  const { load, poll, changes } = await fixture(context);
  const files = await load();
  await poll();
  await poll();
  assert.equal(changes.length, 0);
  assert.deepEqual(files.stats, { reloads: 0, reloadFailures: 0 });
});

test("TlsFiles: a renewed pair is given out once", async (context) => {
  const { load, poll, write, changes } = await fixture(context);
  const files = await load();
  assert.equal(files.expiresMs, Date.UTC(2049, 0, 1));
  await write(renewed);
  await poll();
  await poll();
  assert.equal(changes.length, 1);
  assert.equal(String(changes[0]?.cert), renewed.cert);
  assert.deepEqual(changes[0]?.key, Buffer.from(renewed.key));
  assert.deepEqual(files.stats, { reloads: 1, reloadFailures: 0 });
  assert.equal(files.expiresMs, Date.UTC(2040, 5, 1));
});

test("TlsFiles: a new certificate with the old key is not taken up until the key comes", async (context) => {
  const { load, poll, certFile, keyFile, changes, logger } = await fixture(context);
  const files = await load();
  await writeFile(certFile, renewed.cert);
  await poll();
  await poll();
  assert.equal(changes.length, 0);
  assert.equal(String(files.secureContextOptions.cert), old.cert);
  assert.deepEqual(files.stats, { reloads: 0, reloadFailures: 2 });
  assert.equal(logger.count("warn"), 1);
  await writeFile(keyFile, renewed.key);
  await poll();
  assert.equal(changes.length, 1);
  assert.equal(String(changes[0]?.cert), renewed.cert);
});

test("TlsFiles: a file that is cut short or gone leaves the old pair in use", async (context) => {
  const { load, poll, certFile, changes } = await fixture(context);
  const files = await load();
  await writeFile(certFile, renewed.cert.slice(0, 100));
  await poll();
  await unlink(certFile);
  await poll();
  assert.equal(changes.length, 0);
  assert.deepEqual(files.stats, { reloads: 0, reloadFailures: 2 });
});

test("TlsFiles: a symbolic link that is swapped is a change", async (context) => {
  const { directory, load, poll, certFile, keyFile, changes } = await fixture(context);
  const swap = async (name: string, content: string, link: string): Promise<void> => {
    await writeFile(join(directory, name), content);
    await symlink(name, `${link}.next`);
    await rename(`${link}.next`, link);
  };
  await swap("crt-1", old.cert, certFile);
  await swap("key-1", old.key, keyFile);
  await load();
  await swap("crt-2", renewed.cert, certFile);
  await swap("key-2", renewed.key, keyFile);
  await poll();
  assert.equal(changes.length, 1);
});

test("TlsFiles: a changed client CA is a change", async (context) => {
  const { directory, load, poll, changes } = await fixture(context);
  const caFile = join(directory, "ca.crt");
  await writeFile(caFile, old.cert);
  const files = await load(caFile);
  assert.equal(String(files.secureContextOptions.ca), old.cert);
  await writeFile(caFile, renewed.cert);
  await poll();
  assert.equal(changes.length, 1);
  assert.equal(String(changes[0]?.ca), renewed.cert);
});

test("TlsFiles.stop: a look under way gives nothing out and no timer is left", async (context) => {
  const { clock, load, write, changes } = await fixture(context);
  const files = await load();
  await write(renewed);
  const look = clock.advance(pollIntervalMs);
  files.stop();
  await look;
  await clock.advance(10 * pollIntervalMs);
  assert.equal(changes.length, 0);
  assert.equal(clock.pendingTimers, 0);
});

test("TlsFiles.load: what cannot be used is config_invalid and names the file", async (context) => {
  const { load, write, certFile, keyFile } = await fixture(context);
  await write({ cert: old.cert, key: renewed.key });
  await assert.rejects(load(), {
    code: "config_invalid",
    message: new RegExp(`"${certFile}" with key "${keyFile}"`),
  });
  await writeFile(certFile, "no certificate");
  await assert.rejects(load(), { code: "config_invalid" });
  await unlink(keyFile);
  await assert.rejects(load(), { code: "config_invalid", message: /^Cannot read key ".*tls\.key": ENOENT/ });
});

test("TlsFiles: a server takes up a renewed pair while it listens", async (context) => {
  const { certFile, keyFile, write } = await fixture(context);
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const files = await TlsFiles.load({ certFile, keyFile, clock, logger, pollIntervalMs });
  context.after(() => files.stop());
  const server = createServer(files.secureContextOptions, (socket) => socket.end());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const servedName = async (): Promise<unknown> => {
    const socket = connect({ port, host: "127.0.0.1", servername: "localhost", rejectUnauthorized: false });
    await once(socket, "secureConnect");
    const name = socket.getPeerCertificate().subject.CN;
    socket.destroy();
    return name;
  };
  assert.equal(await servedName(), "old");
  files.watch((options) => server.setSecureContext(options));
  await write(renewed);
  await clock.advance(pollIntervalMs);
  await until(() => clock.pendingTimers > 0);
  assert.equal(await servedName(), "renewed");
});
