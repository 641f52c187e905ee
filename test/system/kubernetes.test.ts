/**
 * The manifests of Kubernetes, without a cluster: each combination of components renders, Orca accepts the configuration
 * that its pods would have, and their sizes follow from the rule of docs/operations/kubernetes.md.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { parse, stringify } from "yaml";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { ownBytesOf } from "../../src/config/room-warnings.ts";
import { runOrca } from "../support/command-line.ts";
import { findOnPath } from "../support/process.ts";
import { type Requirement, suiteWith } from "./installed.ts";
import {
  kubernetesFolder,
  type Manifest,
  only,
  type RenderedReplica,
  render,
  renderComponents,
  replicaOf,
} from "./kubernetes/kubernetes-manifests.ts";
import { schemaFaults } from "./kubernetes/kubernetes-schemas.ts";

/** The first one whose kustomize is of version 5. */
const kubectlMinorMin = 27;

function kubectlAvailable(): boolean {
  if (findOnPath("kubectl") === undefined) return false;
  const text = execFileSync("kubectl", ["version", "--client", "--output", "json"], { encoding: "utf8" });
  const { clientVersion } = JSON.parse(text) as { clientVersion: { major: string; minor: string } };
  return Number(clientVersion.major) > 1 || Number.parseInt(clientVersion.minor, 10) >= kubectlMinorMin;
}

const kubectl: Requirement = {
  name: `kubectl 1.${kubectlMinorMin} or newer`,
  isInstalled: kubectlAvailable,
  install:
    "apt-get install --no-install-recommends kubernetes-client, from Debian 13 on; that of Debian 12 is 1.20",
  isInstalledByCi: true,
};

const folder = mkdtempSync(join(tmpdir(), "orca-kubernetes-"));
after(() => rmSync(folder, { recursive: true }));

const workloads = ["replicated-disks", "shared-store"];
const additions = [[], ["cert-manager"], ["service-monitor"], ["cert-manager", "service-monitor"]];
const combinations = [
  ...workloads.flatMap((workload) => additions.map((others) => [workload, ...others])),
  ["replicated-disks", "dev"],
  ["replicated-disks", "dev", "cert-manager", "service-monitor"],
];
const miB = 2 ** 20;

/** In bytes. Kubernetes writes `Mi` where Orca writes `MiB`. */
function bytesOf(quantity: string | undefined): number {
  const [, number = "", unit = ""] = /^(\d+)(Mi|Gi)$/.exec(quantity ?? "") ?? [];
  assert.ok(number !== "", `${quantity} is a size`);
  return Number(number) * (unit === "Gi" ? 1024 * miB : miB);
}

function configOf({ configText, env }: RenderedReplica): { file: string; config: Config } {
  const file = join(folder, "config.yaml");
  writeFileSync(file, configText);
  return { file, config: loadConfig({ file, env, readsFiles: false }) };
}

/** In seconds: the slowest stop that these settings allow, and 10 s more. */
function graceOf({ server: { drainDelayMs, drainTimeoutMs } }: Config): number {
  return (drainDelayMs + drainTimeoutMs + Math.max(drainTimeoutMs, 30_000)) / 1000 + 10;
}

/** Each names a Service, Secret or ConfigMap that must be there; the Secrets are made by people or by cert-manager. */
function checkNames(
  manifests: readonly Manifest[],
  { workload, pod, container, env }: RenderedReplica,
): void {
  const peers = only(manifests, "Service", env["ORCA_CLUSTER_SERVICE"] ?? "");
  assert.equal(peers.spec?.clusterIP, "None");
  assert.equal(peers.spec.publishNotReadyAddresses, true);
  if (workload.kind === "StatefulSet") assert.equal(workload.spec?.serviceName, peers.metadata.name);
  only(manifests, "ServiceAccount", pod.serviceAccountName);
  const selectors = [
    workload.spec?.selector?.matchLabels,
    peers.spec.selector,
    only(manifests, "Service", "orca").spec?.selector,
    only(manifests, "PodDisruptionBudget", "orca").spec?.selector?.matchLabels,
    only(manifests, "NetworkPolicy", "orca").spec?.podSelector?.matchLabels,
  ];
  for (const selector of selectors) assert.deepEqual(selector, workload.spec?.template?.metadata.labels);
  const claims = workload.spec?.volumeClaimTemplates ?? [];
  const volumes = [...pod.volumes.map(({ name }) => name), ...claims.map(({ metadata }) => metadata.name)];
  assert.deepEqual(container.volumeMounts.map(({ name }) => name).sort(), volumes.sort());
}

/** The addresses that Orca listens on are those that Services, probes and policies name. */
function checkPorts(
  manifests: readonly Manifest[],
  { container }: RenderedReplica,
  { server, cluster }: Config,
): void {
  const ports = Object.fromEntries(container.ports.map(({ name, containerPort }) => [name, containerPort]));
  const { port: meshPort } = cluster.internalListen;
  const bytesPort = cluster.bytesListen?.port;
  assert.deepEqual(ports, {
    s3: server.listen.port,
    ops: server.opsListen.port,
    mesh: meshPort,
    bytes: bytesPort,
  });
  assert.deepEqual(container.startupProbe.httpGet, { path: "/healthz", port: "ops" });
  assert.deepEqual(container.livenessProbe.httpGet, { path: "/healthz", port: "ops" });
  const { httpGet, periodSeconds, failureThreshold } = container.readinessProbe;
  assert.deepEqual(httpGet, { path: "/readyz", port: "ops" });
  assert.ok(periodSeconds * failureThreshold * 1000 < server.drainDelayMs, "probes notice a drain in time");
  const [mesh, edge, ...others] = only(manifests, "NetworkPolicy", "orca").spec?.ingress ?? [];
  assert.deepEqual(others, []);
  assert.deepEqual(mesh, {
    from: [{ podSelector: { matchLabels: { "app.kubernetes.io/name": "orca" } } }],
    ports: [{ port: meshPort }, { port: bytesPort }],
  });
  assert.deepEqual(edge?.ports, [{ port: server.listen.port }]);
  assert.equal(edge.from.length, 1);
  assert.deepEqual(Object.keys(edge.from[0] ?? {}), ["namespaceSelector"], "the namespaces are named");
}

/** "One rule" of docs/operations/kubernetes.md. */
function checkSizes({ workload, pod, container }: RenderedReplica, config: Config): void {
  const { requests, limits } = container.resources;
  // A node may have as many cores as there are threads at most.
  const ofProcess = ownBytesOf({ threads: 16 });
  const ofListings = config.origins.length * config.listCache.maxBytes;
  assert.equal(bytesOf(limits["memory"]), config.memory.maxBytes * 1.25 + 832 * miB);
  assert.ok(ofProcess + ofListings <= 832 * miB, "process, listings and some page cache have room");
  assert.equal(requests["memory"], limits["memory"]);
  assert.equal(limits["cpu"], undefined);
  assert.equal(pod.terminationGracePeriodSeconds, graceOf(config));
  const claims = workload.spec?.volumeClaimTemplates ?? [];
  assert.equal(claims.length, config.disk === undefined ? 0 : 1);
  if (config.disk === undefined) return;
  assert.equal(config.disk.maxBytes, bytesOf(claims[0]?.spec?.resources?.requests["storage"]) * 0.9);
  assert.ok(container.volumeMounts.some(({ mountPath }) => mountPath === config.disk?.root));
}

/** As `orca config check` in the pod, warnings of limits that do not hold together included. */
async function checkConfig(replica: RenderedReplica): Promise<Config> {
  const { file, config } = configOf(replica);
  const { exitCode, stdout } = await runOrca(["config", "check", "--no-files", file], { env: replica.env });
  assert.equal(exitCode, 0, stdout);
  assert.doesNotMatch(stdout, /max_requests|max_chunks|max_entries/, "the limits hold together");
  return config;
}

function spread({ pod }: RenderedReplica): string[] {
  return pod.topologySpreadConstraints.map(
    ({ topologyKey, whenUnsatisfiable }) => `${topologyKey} ${whenUnsatisfiable}`,
  );
}

const page = readFileSync(join(import.meta.dirname, "../../docs/operations/kubernetes.md"), "utf8");
/** Blocks of YAML on the page, without the indent of the list that they stand in. */
const blocks = [...page.matchAll(/^( *)```yaml\n([\s\S]*?)^\1```$/gm)].map(([, indent = "", text = ""]) =>
  text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
);

suiteWith(kubectl, "deploy/kubernetes", () => {
  for (const components of combinations) {
    test(`${components.join(", ")}: Kubernetes and Orca accept it, and names, ports and sizes fit`, async () => {
      const manifests = await renderComponents(folder, components);
      assert.deepEqual(await schemaFaults(manifests), []);
      const replica = replicaOf(manifests);
      const config = await checkConfig(replica);
      assert.equal(config.cluster.replicaId, "orca-0");
      assert.equal(config.cluster.zone, undefined, "before Kubernetes 1.35, no zone");
      const labelled = { ...replica.env, ORCA_CLUSTER_ZONE: "eu-central-1a" };
      assert.equal(configOf({ ...replica, env: labelled }).config.cluster.zone, "eu-central-1a");
      assert.equal(config.server.drainDelayMs, 5000);
      checkNames(manifests, replica);
      checkPorts(manifests, replica, config);
      checkSizes(replica, config);
      for (const { kind } of manifests) assert.notEqual(kind, "PodTemplate");
    });
  }

  test("replicated-disks keeps two copies on different nodes, shared-store has a cachestore", async () => {
    const disks = replicaOf(await renderComponents(folder, ["replicated-disks"]));
    assert.equal(disks.workload.kind, "StatefulSet");
    assert.equal(configOf(disks).config.cluster.replication, 2);
    const zone = "topology.kubernetes.io/zone ScheduleAnyway";
    assert.deepEqual(spread(disks), [zone, "kubernetes.io/hostname DoNotSchedule"]);
    const store = replicaOf(await renderComponents(folder, ["shared-store"]));
    assert.equal(store.workload.kind, "Deployment");
    assert.equal(configOf(store).config.cachestore?.driver, "s3");
    assert.deepEqual(spread(store), [zone, "kubernetes.io/hostname ScheduleAnyway"]);
  });

  test("dev has the emulator of compose.yaml", async () => {
    const manifests = await renderComponents(folder, ["replicated-disks", "dev"]);
    const image = only(manifests, "Deployment", "azurite").spec?.template?.spec.containers[0]?.image;
    assert.match(image ?? "", /azurite:\d/);
    const compose = readFileSync(join(dirname(kubernetesFolder), "compose.yaml"), "utf8");
    assert.ok(compose.includes(`image: ${image}\n`));
  });

  test("manifests with unknown fields, wrong types and missing fields are faults", async () => {
    const manifests = await renderComponents(folder, [
      "replicated-disks",
      "dev",
      "cert-manager",
      "service-monitor",
    ]);
    /** Renders with one text replaced in one object. */
    const broken = (kind: string, name: string, from: string, to: string): Manifest => {
      const text = JSON.stringify(only(manifests, kind, name));
      assert.equal(text.split(from).length, 2, `${from} is there once`);
      return JSON.parse(text.replace(from, to)) as Manifest;
    };
    const faults = await schemaFaults([
      broken("StatefulSet", "orca", "readinessProbe", "readynessProbe"),
      broken("StatefulSet", "orca", '"replicas":3', '"replicas":"3"'),
      broken("Deployment", "azurite", '"selector":{"matchLabels":{"app.kubernetes.io/name":"azurite"}},', ""),
      broken("PodDisruptionBudget", "orca", "maxUnavailable", "maxUnavailible"),
      broken("Service", "orca-peers", "publishNotReadyAddresses", "publishUnreadyAddresses"),
      broken("Certificate", "orca-mesh", "dnsNames", "dnsName"),
      broken("ServiceMonitor", "orca", '"interval"', '"intervall"'),
      { ...only(manifests, "Job", "orca-seed"), apiVersion: "batch/v2" },
    ]);
    const named = (title: string): string[] => faults.filter((fault) => fault.startsWith(title));
    assert.match(named("StatefulSet orca").join("\n"), /"readynessProbe"' does not exist/);
    assert.match(named("StatefulSet orca").join("\n"), /replicas must be integer/);
    assert.match(named("Deployment azurite").join("\n"), /required property selector/);
    assert.match(named("PodDisruptionBudget orca").join("\n"), /"maxUnavailible"' does not exist/);
    assert.match(named("Service orca-peers").join("\n"), /"publishUnreadyAddresses"' does not exist/);
    assert.match(named("Certificate orca-mesh").join("\n"), /"dnsName"' does not exist/);
    assert.match(named("ServiceMonitor orca").join("\n"), /"intervall"' does not exist/);
    assert.match(named("Job orca-seed").join("\n"), /no schema of batch\/v2/);
  });

  test("cert-manager makes the Secret that replicas mount, for the name that they ask for", async () => {
    const manifests = await renderComponents(folder, ["replicated-disks", "cert-manager"]);
    const { pod, env } = replicaOf(manifests);
    const certificate = only(manifests, "Certificate", "orca-mesh");
    assert.deepEqual(
      pod.volumes.flatMap(({ secret }) => secret?.secretName ?? []),
      [certificate.spec?.secretName],
    );
    assert.deepEqual(certificate.spec?.dnsNames, [env["ORCA_CLUSTER_INTERNAL_TLS_SERVER_NAME"]]);
  });

  test("service-monitor scrapes the ops port of each replica, as one job, and is let in", async () => {
    const manifests = await renderComponents(folder, ["shared-store", "service-monitor"]);
    const { spec } = only(manifests, "ServiceMonitor", "orca");
    const labels = Object.entries(spec?.selector?.matchLabels ?? {});
    const services = manifests.filter(
      ({ kind, metadata }) =>
        kind === "Service" && labels.every(([name, value]) => metadata.labels?.[name] === value),
    );
    assert.deepEqual(
      services.map(({ metadata }) => metadata.name),
      ["orca-peers"],
    );
    assert.equal(services[0]?.metadata.labels?.[spec?.jobLabel ?? ""], "orca");
    assert.deepEqual(spec?.endpoints, [{ port: "ops", path: "/metrics", interval: "15s" }]);
    const opsPort = services[0]?.spec?.ports?.find(({ name }) => name === "ops")?.port;
    const { ingress } = only(manifests, "NetworkPolicy", "orca-monitoring").spec ?? {};
    assert.deepEqual(ingress?.[0]?.ports, [{ port: opsPort }]);
  });

  test("kubernetes.md: its files render, with the sizes of its example, too, and Orca accepts them", async () => {
    const [config = "", kustomization = "", sizes = "", ...others] = blocks;
    assert.deepEqual(others, []);
    const checkout = join(folder, "checkout");
    cpSync(dirname(kubernetesFolder), join(checkout, "deploy"), { recursive: true });
    const own = join(checkout, "my-orca");
    mkdirSync(own);
    const renderOwn = async (text: string): Promise<Manifest[]> => {
      writeFileSync(join(own, "config.yaml"), config);
      writeFileSync(join(own, "kustomization.yaml"), text);
      const manifests = await render(own);
      assert.deepEqual(await schemaFaults(manifests), []);
      return manifests;
    };
    const manifests = await renderOwn(kustomization);
    const replica = replicaOf(manifests);
    assert.equal(replica.configText, config);
    assert.equal(replica.container.image, "registry.example/orca:0.1.0");
    checkSizes(replica, await checkConfig(replica));
    const values = JSON.stringify(only(manifests, "NetworkPolicy", "orca").spec?.ingress?.[1]?.from);
    assert.match(values, /"values":\["training","inference"\]/);

    const whole = parse(kustomization) as { patches: object[] };
    const { patches } = parse(sizes) as { patches: object[] };
    const larger = replicaOf(
      await renderOwn(stringify({ ...whole, patches: [...whole.patches, ...patches] })),
    );
    const largerConfig = await checkConfig(larger);
    assert.equal(largerConfig.memory.maxBytes, 16 * 1024 * miB);
    checkSizes(larger, largerConfig);
  });

  test("kubernetes.md: Orca accepts the certificate that its commands make", async () => {
    const own = join(folder, "certificate");
    mkdirSync(own);
    const commands = page.match(/^ +openssl .*$/gm) ?? [];
    assert.equal(commands.length, 3);
    for (const command of commands) execFileSync("/bin/sh", ["-c", command], { cwd: own, stdio: "pipe" });
    const { configText, env } = replicaOf(await renderComponents(folder, ["replicated-disks"]));
    const file = join(own, "config.yaml");
    writeFileSync(file, configText);
    const here = Object.entries(env).map(([name, value]) => [name, value.replace("/etc/orca/mesh", own)]);
    const { exitCode, stdout } = await runOrca(["config", "check", file], { env: Object.fromEntries(here) });
    assert.equal(exitCode, 0, stdout);
  });
});
