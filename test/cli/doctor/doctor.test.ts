import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Clock, SystemClock } from "../../../src/base/clock.ts";
import { SeededRandom } from "../../../src/base/random.ts";
import { MiB } from "../../../src/base/units.ts";
import { doctor } from "../../../src/cli/doctor/doctor.ts";
import type { DoctorFinding } from "../../../src/cli/doctor/doctor-finding.ts";
import type { HostLimits } from "../../../src/cli/doctor/limit-findings.ts";
import {
  type CertificateFiles,
  ClusterCertificates,
  serverName,
} from "../../support/cluster-certificates.ts";
import { runOrca } from "../../support/command-line.ts";
import { freePort } from "../../support/process.ts";
import { startReplicas } from "../../support/replica-cluster.ts";
import { S3Server } from "../../support/s3-server.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-doctor-"));
const enough: HostLimits = { openFilesMax: 100_000, memoryMaxBytes: undefined };
const env = {
  ORCA_AWSS3_ACCESS_KEY: "test",
  ORCA_AWSS3_SECRET_KEY: "test-secret",
  ORCA_CACHESTORE_S3_ACCESS_KEY: "test",
  ORCA_CACHESTORE_S3_SECRET_KEY: "test-secret",
};
let origin: S3Server;

before(async () => {
  mkdirSync(join(folder, "disk"));
  origin = await S3Server.start({ buckets: ["models", "chunks"] });
});
after(async () => {
  await origin.stop();
  rmSync(folder, { recursive: true });
});

class ClockAhead extends SystemClock {
  override now(): number {
    return super.now() + 20 * 60_000;
  }
}

interface Examined {
  readonly exitCode: number;
  readonly findings: readonly DoctorFinding[];
  /** `check: status`, where the status is not `ok` or `skipped`. */
  readonly bad: readonly string[];
}

interface Asked {
  readonly clock?: Clock;
  readonly limits?: HostLimits;
}

const base = (): string => `server: { listen: "127.0.0.1:8443" }
origin: { id: o, awss3: { bucket: models, endpoint: "${origin.endpoint}", use_path_style: true } }
memory: { max_bytes: 256MiB }
chunking: { tiers: [] }
metadata: { max_entries: 1000 }
`;

/** Requests at once that memory has room for. */
const server = 'server: { listen: "127.0.0.1:8443", max_requests: 1000 }';

async function examine(
  yaml: string,
  { clock = new SystemClock(), limits = enough }: Asked = {},
): Promise<Examined> {
  const file = join(folder, "orca.yaml");
  writeFileSync(file, yaml);
  let text = "";
  const stdout = { write: (written: string) => void (text += written) };
  const exitCode = await doctor({
    file,
    json: true,
    env,
    clock,
    random: new SeededRandom(1),
    stdout,
    limits,
  });
  const document = JSON.parse(text) as { problems: number; warnings: number; findings: DoctorFinding[] };
  const { findings } = document;
  const count = (wanted: string): number => findings.filter(({ status }) => status === wanted).length;
  assert.deepEqual([document.problems, document.warnings], [count("problem"), count("warning")]);
  for (const { status, what, remedy } of findings) {
    assert.ok(what.length > 0);
    assert.equal(remedy !== "", status === "warning" || status === "problem", what);
  }
  const bad = findings
    .filter(({ remedy }) => remedy !== "")
    .map(({ check, status }) => `${check}: ${status}`);
  return { exitCode, findings, bad };
}

function sentence({ findings }: Examined, check: string): string {
  return findings
    .filter((each) => each.check === check)
    .map(({ what, remedy }) => `${what} | ${remedy}`)
    .join("\n");
}

const wholeBase = (): string => base().replace('server: { listen: "127.0.0.1:8443" }', server);

test("orca doctor: nothing is wrong: exit code 0, and a line for each check", async () => {
  const examined = await examine(`${wholeBase()}disk: { root: "${folder}/disk", max_bytes: 512MiB }\n`);
  assert.deepEqual([examined.exitCode, examined.bad], [0, []]);
  assert.deepEqual(
    examined.findings.map(({ check, status }) => `${check}: ${status}`),
    [
      "configuration: ok",
      "limits: ok",
      "memory: ok",
      "file descriptors: ok",
      "disk: ok",
      "origin: ok",
      "clock: ok",
      "cachestore: skipped",
      "certificates: skipped",
      "peers: skipped",
    ],
  );
  assert.deepEqual(readdirSync(join(folder, "disk")), [], "it leaves nothing behind");
});

test("orca doctor: a fault of the configuration is a problem, and nothing else is looked at", async () => {
  const examined = await examine(
    `${base().replace("memory: { max_bytes: 256MiB }\n", "")}logging: { level: loud }\nmemory: { max_bytes: lots }\n`,
  );
  assert.equal(examined.exitCode, 1);
  assert.deepEqual(examined.bad, ["configuration: problem", "configuration: problem"]);
  assert.match(sentence(examined, "configuration"), /^memory\.max_bytes: .*\nlogging\.level: /);
});

test("orca doctor: limits that contradict each other are a warning, with what to set", async () => {
  const examined = await examine(base());
  assert.deepEqual([examined.exitCode, examined.bad], [0, ["limits: warning"]]);
  assert.match(sentence(examined, "limits"), /^server\.max_requests: .* \| .*(?:Set|Lower|lower|set) /);
});

test("orca doctor: too few file descriptors, and too little memory for the container, are problems", async () => {
  const limits = { openFilesMax: 1024, memoryMaxBytes: 300 * MiB };
  const yaml = wholeBase().replace(
    "max_requests: 1000",
    "max_requests: 1000, max_connections: 2000, threads: 1",
  );
  const examined = await examine(yaml, { limits });
  assert.equal(examined.exitCode, 1);
  assert.deepEqual(examined.bad, ["memory: problem", "file descriptors: problem"]);
  assert.equal(
    sentence(examined, "memory"),
    "The control group of this process allows 300 MiB, and needed are memory.max_bytes (256 MiB) and 256 MiB for the process: the kernel kills Orca when they are in use | Raise the limit of the container to 512 MiB, or set memory.max_bytes to 44 MiB or less.",
  );
  const tiny = await examine(yaml, { limits: { ...limits, memoryMaxBytes: 200 * MiB } });
  assert.match(sentence(tiny, "memory"), / \| Raise the limit of the container to 512 MiB\.$/);
  const threads = await examine(yaml.replace("threads: 1", "threads: 16"), {
    limits: { ...limits, memoryMaxBytes: 800 * MiB },
  });
  assert.match(
    sentence(threads, "memory"),
    /memory\.max_bytes \(256 MiB\) and 576 MiB for the process: .* \| .* to 832 MiB, or set memory\.max_bytes to 224 MiB or less\.$/,
  );
  // 2,000 connections, 192 permits by default, 100 for all else.
  assert.equal(
    sentence(examined, "file descriptors"),
    "1024 are allowed to a process started here, and 2292 needed: server.max_connections is 2000, and all else takes 292 | Raise the hard limit of open files (LimitNOFILE, ulimit -Hn) to 2292, or set server.max_connections to 732 or less.",
  );
});

test("orca doctor: a disk root that is a file, and one with less room than it may take", async () => {
  writeFileSync(join(folder, "file"), "");
  const file = await examine(`${wholeBase()}disk: { root: "${folder}/file/disk" }\n`);
  assert.deepEqual([file.exitCode, file.bad], [1, ["disk: problem"]]);
  assert.match(sentence(file, "disk"), /file" is not a directory \| Set disk\.root/);
  const large = await examine(`${wholeBase()}disk: { root: "${folder}/disk", max_bytes: 900TiB }\n`);
  assert.equal(large.exitCode, 0);
  assert.ok(large.bad.includes("disk: warning"));
  assert.match(sentence(large, "disk"), /are free below .* disk\.max_bytes is 921600 GiB \| Make room/);
});

test("orca doctor: an origin that denies is a problem with its remedy; a clock 20 minutes ahead is one, too", async () => {
  const credentials = { accessKey: "other", secretKey: "other-secret" };
  const strict = await S3Server.start({ buckets: ["models"], credentials });
  try {
    const yaml = wholeBase().replace(origin.endpoint, strict.endpoint);
    const examined = await examine(yaml, { clock: new ClockAhead() });
    assert.deepEqual([examined.exitCode, examined.bad], [1, ["origin: problem", "clock: problem"]]);
    assert.match(
      sentence(examined, "origin"),
      /^Cannot read bucket "models" of origin "o" \(denied\): .* \| .+/,
    );
    assert.equal(
      sentence(examined, "clock"),
      `The clock of this host is 1200 s ahead of that of ${strict.endpoint}: signed requests are rejected | Set the clock, and let a time service such as chrony keep it.`,
    );
  } finally {
    await strict.stop();
  }
});

test("orca doctor: an origin that does not answer leaves its clock unknown", async () => {
  const yaml = wholeBase().replace(origin.endpoint, `http://127.0.0.1:${await freePort()}`);
  const examined = await examine(yaml);
  assert.deepEqual([examined.exitCode, examined.bad], [1, ["origin: problem"]]);
  assert.match(sentence(examined, "clock"), /did not answer, so its clock is unknown/);
});

const store = (bucket: string): string =>
  `cachestore: { driver: s3, s3: { endpoint: "${origin.endpoint}", bucket: ${bucket}, use_path_style: true } }\n`;

test("orca doctor: the cachestore's self-test passes and leaves nothing, or is a problem", async () => {
  const good = await examine(wholeBase() + store("chunks"));
  assert.deepEqual([good.exitCode, good.bad], [0, []]);
  assert.match(sentence(good, "cachestore"), /^The s3 cachestore has passed its self-test/);
  const absent = await examine(wholeBase() + store("absent"));
  assert.deepEqual([absent.exitCode, absent.bad], [1, ["cachestore: problem"]]);
  assert.match(sentence(absent, "cachestore"), /Cannot use bucket "absent".* \| See docs\/operations/);
});

function clusterYaml(files: CertificateFiles, peers: readonly string[], id = "r9"): string {
  const { certFile, keyFile, caFile } = files;
  const list = peers.map((peer) => `"https://${peer}"`).join(", ");
  return `${wholeBase()}cluster:
  peers: [${list}]
  internal_listen: "127.0.0.1:1"
  replica_id: ${id}
  internal_tls: { enabled: true, cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${caFile}", server_name: ${serverName} }
`;
}

test("orca doctor: an origin that cannot be opened is a problem, and all else is looked at", async () => {
  const azure =
    'origin: { id: a, driver: azureblob, azureblob: { account: acme, container: weights, endpoint: "http://127.0.0.1:1/a" } }';
  const examined = await examine(wholeBase().replace(/^origin: .*$/m, azure) + store("chunks"));
  assert.deepEqual([examined.exitCode, examined.bad], [1, ["origin: problem"]]);
  assert.match(sentence(examined, "origin"), /^Cannot use origin endpoint .* must be https \| /);
  assert.match(sentence(examined, "cachestore"), /has passed its self-test/);
});

test("orca doctor: peers that answer, one that is down, none that answers, and a certificate that they reject", async () => {
  const cluster = await startReplicas({ replicas: 2 });
  const strangers = await ClusterCertificates.create();
  try {
    const files = await cluster.certificates?.files("r9");
    assert.ok(files);
    const dead = `127.0.0.1:${await freePort()}`;
    const both = await examine(clusterYaml(files, cluster.meshAddresses));
    // Certificates of tests are valid for a day.
    assert.deepEqual([both.exitCode, both.bad], [0, ["certificates: warning"]]);
    assert.match(
      sentence(both, "certificates"),
      /cluster\.internal_tls \(.*\) is valid until .*, 0 days from now \| Write/,
    );
    assert.deepEqual(
      sentence(both, "peers").split("\n"),
      cluster.meshAddresses.map((address) => `${address} answers | `),
    );
    const one = await examine(clusterYaml(files, [...cluster.meshAddresses, dead]));
    assert.deepEqual([one.exitCode, one.bad], [0, ["certificates: warning", "peers: warning"]]);
    assert.match(
      sentence(one, "peers"),
      new RegExp(`${dead} does not answer: .*ECONNREFUSED.* \\| Check that a replica`),
    );
    const none = await examine(clusterYaml(files, [dead]));
    assert.deepEqual([none.exitCode, none.bad], [1, ["certificates: warning", "peers: problem"]]);
    // Its own authority: it trusts nobody here, and nobody trusts it.
    const strange = await examine(clusterYaml(await strangers.files("r9"), cluster.meshAddresses));
    assert.deepEqual([strange.exitCode, strange.bad.at(-1)], [1, "peers: problem"]);
    assert.match(
      sentence(strange, "peers"),
      /does not answer: .*certificate.* \| Check that both certificates/,
    );
    // It trusts them, and they do not trust it: they reject it after the handshake.
    const own = await strangers.files("r9");
    const caFile = join(folder, "both.ca");
    writeFileSync(caFile, strangers.authorityCertificate + cluster.certificates?.authorityCertificate);
    const rejected = await examine(clusterYaml({ ...own, caFile }, cluster.meshAddresses));
    assert.deepEqual([rejected.exitCode, rejected.bad.at(-1)], [1, "peers: problem"]);
    assert.match(sentence(rejected, "peers"), /does not answer: .* \| Check that both certificates/);
  } finally {
    await cluster.stop();
    strangers.remove();
  }
});

test("orca doctor: a certificate that has expired, or names another replica, is a problem", async () => {
  const certificates = await ClusterCertificates.create();
  try {
    const hourMs = 3_600_000;
    const past = { notBeforeMs: Date.now() - 2 * hourMs, notAfterMs: Date.now() - hourMs };
    const expired = await examine(clusterYaml(await certificates.files("r9", past), ["127.0.0.1:2"]));
    assert.ok(expired.bad.includes("certificates: problem"));
    assert.match(sentence(expired, "certificates"), /expired/);
    const named = { uris: ["urn:orca:replica:other"] };
    const other = await examine(clusterYaml(await certificates.files("r9", named), ["127.0.0.1:2"]));
    assert.ok(other.bad.includes("certificates: problem"));
    assert.match(sentence(other, "certificates"), /other/);
  } finally {
    certificates.remove();
  }
});

test("orca doctor FILE: text for people, one line a finding and one for its remedy", async () => {
  const file = join(folder, "text.yaml");
  writeFileSync(file, wholeBase().replace("bucket: models", "bucket: absent"));
  const { exitCode, stdout, stderr } = await runOrca(["doctor", file], { env, clock: new SystemClock() });
  assert.deepEqual([exitCode, stderr], [1, ""]);
  assert.match(stdout, /^ok {7}configuration/);
  assert.match(
    stdout,
    /\nPROBLEM {2}origin {12}Cannot read bucket "absent" .*\n {27}-> Create it, or correct /,
  );
  assert.match(stdout, /\n\n\d problems?, \d warnings?\n$/);
});
