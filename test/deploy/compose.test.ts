/**
 * The compose file, without Docker: what it mounts is there, each replica's configuration is valid with its environment,
 * and what prepares the cluster does so against the real emulator, from which the cluster of that file then reads.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, afterEach, test } from "node:test";
import { parse } from "yaml";
import { loadConfig } from "../../src/config/load.ts";
import { startAzurite } from "../support/azurite.ts";
import { runOrca } from "../support/command-line.ts";
import { endProcesses, TestProcess } from "../support/process.ts";

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly entrypoint?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: readonly string[] | Readonly<Record<string, unknown>>;
  readonly stop_grace_period?: string;
  readonly read_only?: boolean;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const deploy = join(import.meta.dirname, "../../deploy");
const parsed = (path: string): unknown => parse(readFileSync(join(deploy, path), "utf8"), { merge: true });
const { services, volumes } = parsed("compose.yaml") as Compose;
const replicas = ["orca-0", "orca-1", "orca-2"];
const folder = mkdtempSync(join(tmpdir(), "orca-compose-"));
afterEach(endProcesses);
after(() => rmSync(folder, { recursive: true }));

function service(name: string): Service {
  const found = services[name];
  assert.ok(found, name);
  return found;
}

test("compose.yaml: what is mounted, built and waited for exists", () => {
  assert.deepEqual(
    Object.keys(services).sort(),
    ["grafana", ...replicas, "origin", "prepare", "prometheus"].sort(),
  );
  for (const [name, { image, build, volumes: mounts = [], depends_on = [] }] of Object.entries(services)) {
    assert.match(image, /:[v\d.]+$/, `${name}: an image has a version`);
    for (const mount of mounts) {
      const [from = ""] = mount.split(":");
      const exists = from.startsWith(".") ? existsSync(join(deploy, from)) : from in volumes;
      assert.ok(exists, `${name} mounts ${from}`);
    }
    if (build) assert.ok(existsSync(resolve(deploy, build.context, build.dockerfile)), name);
    const others = Array.isArray(depends_on) ? (depends_on as string[]) : Object.keys(depends_on);
    for (const other of others) assert.ok(other in services, `${name} waits for ${other}`);
  }
});

test("compose.yaml: only this machine reaches it, each port is there once, and a replica's root is read-only", () => {
  const ports = Object.values(services).flatMap(({ ports: published = [] }) => published);
  for (const port of ports) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/);
  assert.equal(new Set(ports.map((port) => port.split(":")[1])).size, ports.length);
  for (const name of replicas) assert.equal(service(name).read_only, true);
});

test("compose.yaml: orca config check accepts each replica, and each is another member of one cluster", async () => {
  const file = join(deploy, "compose/orca.yaml");
  for (const name of replicas) {
    const { environment = {}, stop_grace_period: grace, volumes: mounts } = service(name);
    const { exitCode, stdout } = await runOrca(["config", "check", "--no-files", file], { env: environment });
    assert.equal(exitCode, 0, stdout);
    const { cluster, server, disk } = loadConfig({ file, env: environment, readsFiles: false });
    assert.equal(cluster.replicaId, name);
    assert.equal(grace, `${(2 * server.drainTimeoutMs) / 1000 + 10}s`);
    assert.ok(
      mounts?.some((mount) => mount.endsWith(`:${disk?.root}`)),
      name,
    );
    assert.match(environment["ORCA_CLUSTER_INTERNAL_TLS_CERT_FILE"] ?? "", new RegExp(`/${name}\\.crt$`));
  }
});

test("compose.yaml: Prometheus scrapes the three replicas, and Grafana asks Prometheus", () => {
  const { scrape_configs } = parsed("compose/prometheus.yaml") as {
    scrape_configs: { static_configs: { targets: string[] }[] }[];
  };
  assert.deepEqual(
    scrape_configs.flatMap(({ static_configs }) => static_configs.flatMap(({ targets }) => targets)),
    replicas.map((name) => `${name}:8442`),
  );
  const { datasources } = parsed("compose/grafana/datasource.yaml") as { datasources: { url: string }[] };
  assert.deepEqual(
    datasources.map(({ url }) => url),
    ["http://prometheus:9090"],
  );
});

test("compose.yaml: Prometheus reads the alert rules, and Grafana the dashboard, where they are mounted", () => {
  const { rule_files } = parsed("compose/prometheus.yaml") as { rule_files: string[] };
  assert.deepEqual(rule_files, ["alerts.yaml"]);
  const rules = "./prometheus/alerts.yaml:/etc/prometheus/alerts.yaml:ro";
  assert.ok(service("prometheus").volumes?.includes(rules));
  const { providers } = parsed("compose/grafana/dashboards.yaml") as {
    providers: { options: { path: string } }[];
  };
  const [path] = providers.map(({ options }) => options.path);
  assert.ok(service("grafana").volumes?.includes(`./grafana/dashboard.json:${path}/orca.json:ro`));
});

test("prepare.ts: makes the certificates and the object once, again changes nothing, and makes no certificates where none are wanted", async (context) => {
  const azurite = await startAzurite();
  context.after(() => azurite.stop());
  const prepare = async (own: NodeJS.ProcessEnv = {}): Promise<void> => {
    const child = new TestProcess("prepare", process.execPath, [join(deploy, "compose/prepare.ts")], {
      env: {
        ...process.env,
        ORCA_MAIN: join(import.meta.dirname, "../../src/main.ts"),
        TLS_FOLDER: folder,
        ORIGIN_ENDPOINT: azurite.endpoint,
        ORIGIN_ACCOUNT: azurite.account,
        ORIGIN_KEY: azurite.accountKey,
        ...own,
      },
    });
    assert.equal(await child.exited, 0, child.output.join("\n"));
  };
  const object = azurite.client.getContainerClient("demo").getBlobClient("weights.bin");
  const made = async (): Promise<unknown[]> => {
    const { contentLength, etag } = await object.getProperties();
    return [contentLength, etag, readFileSync(join(folder, "orca-0.crt"), "utf8")];
  };
  await prepare();
  const first = await made();
  assert.equal(first[0], 16 * 1024 * 1024);
  await prepare();
  assert.deepEqual(await made(), first);
  const pairs = ["ca", ...replicas].flatMap((name) => [`${name}.crt`, `${name}.key`]);
  assert.deepEqual(readdirSync(folder).sort(), pairs.sort());
  // As the seed Job of Kubernetes does.
  const none = join(folder, "none");
  await prepare({ REPLICAS: "", TLS_FOLDER: none });
  assert.equal(existsSync(none), false);
});
