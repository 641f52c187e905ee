/**
 * The manifests of Kubernetes, without a cluster: each combination of components renders, Orca accepts the configuration
 * that its pods would have, and their sizes follow from the rule of docs/operations/kubernetes.md.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { runOrca } from "../support/command-line.ts";
import { findOnPath } from "../support/process.ts";
import {
  type Manifest,
  only,
  type RenderedReplica,
  renderComponents,
  replicaOf,
} from "./kubernetes-manifests.ts";

const skip = findOnPath("kubectl") === undefined && "skipped: kubectl is not installed (kubernetes-client)";
const folder = mkdtempSync(join(tmpdir(), "orca-kubernetes-"));
after(() => rmSync(folder, { recursive: true }));

const combinations = [["replicated-disks"], ["shared-store"]];
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
  assert.deepEqual(ports, { s3: server.listen.port, ops: server.opsListen.port, mesh: meshPort });
  assert.deepEqual(container.startupProbe.httpGet, { path: "/healthz", port: "ops" });
  assert.deepEqual(container.livenessProbe.httpGet, { path: "/healthz", port: "ops" });
  assert.deepEqual(container.readinessProbe.httpGet, { path: "/readyz", port: "ops" });
  const [mesh, edge, ...others] = only(manifests, "NetworkPolicy", "orca").spec?.ingress ?? [];
  assert.deepEqual(others, []);
  assert.deepEqual(mesh, {
    from: [{ podSelector: { matchLabels: { "app.kubernetes.io/name": "orca" } } }],
    ports: [{ port: meshPort }],
  });
  assert.deepEqual(edge?.ports, [{ port: server.listen.port }]);
  assert.equal(edge.from.length, 1);
  assert.deepEqual(Object.keys(edge.from[0] ?? {}), ["namespaceSelector"], "the namespaces are named");
}

/** "One rule" of docs/operations/kubernetes.md. */
function checkSizes({ workload, pod, container }: RenderedReplica, config: Config): void {
  const { requests, limits } = container.resources;
  assert.equal(bytesOf(limits["memory"]), config.memory.maxBytes * 1.25 + 512 * miB);
  assert.equal(requests["memory"], limits["memory"]);
  assert.equal(limits["cpu"], undefined);
  assert.equal(pod.terminationGracePeriodSeconds, graceOf(config));
  const claims = workload.spec?.volumeClaimTemplates ?? [];
  assert.equal(claims.length, config.disk === undefined ? 0 : 1);
  if (config.disk === undefined) return;
  assert.equal(config.disk.maxBytes, bytesOf(claims[0]?.spec?.resources?.requests["storage"]) * 0.9);
  assert.ok(container.volumeMounts.some(({ mountPath }) => mountPath === config.disk?.root));
}

function spread({ pod }: RenderedReplica): string[] {
  return pod.topologySpreadConstraints.map(
    ({ topologyKey, whenUnsatisfiable }) => `${topologyKey} ${whenUnsatisfiable}`,
  );
}

for (const components of combinations) {
  test(`deploy/kubernetes: ${components.join(", ")}: Orca accepts it, and names, ports and sizes fit`, {
    skip,
  }, async () => {
    const manifests = await renderComponents(folder, components);
    const replica = replicaOf(manifests);
    const { file, config } = configOf(replica);
    const { exitCode, stdout } = await runOrca(["config", "check", "--no-files", file], { env: replica.env });
    assert.equal(exitCode, 0, stdout);
    assert.doesNotMatch(stdout, /max_requests|max_chunks|max_entries/, "the limits hold together");
    assert.equal(config.cluster.replicaId, "orca-0");
    assert.equal(config.cluster.zone, undefined);
    assert.equal(config.server.drainDelayMs, 5000);
    checkNames(manifests, replica);
    checkPorts(manifests, replica, config);
    checkSizes(replica, config);
    for (const { kind } of manifests) assert.notEqual(kind, "PodTemplate");
  });
}

test("deploy/kubernetes: replicated-disks keeps two copies on different nodes, shared-store has a cachestore", {
  skip,
}, async () => {
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
