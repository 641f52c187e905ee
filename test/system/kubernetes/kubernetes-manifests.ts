/**
 * What `kubectl kustomize` makes of deploy/kubernetes, as objects, and the replica that such a rendering describes: its pod
 * template, and the file and the environment that Orca would have in it.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import { run } from "../../support/process.ts";

export const kubernetesFolder = join(import.meta.dirname, "../../../deploy/kubernetes");

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: Spec;
}

type Labels = Readonly<Record<string, string>>;

/** The fields that tests read, of every kind; kubernetes-schemas.ts checks all of them. */
interface Spec {
  readonly clusterIP?: string;
  readonly publishNotReadyAddresses?: boolean;
  readonly serviceName?: string;
  readonly selector?: Labels & { readonly matchLabels?: Labels };
  readonly podSelector?: { readonly matchLabels: Labels };
  readonly template?: { readonly metadata: { readonly labels: Labels }; readonly spec: Pod };
  readonly volumeClaimTemplates?: readonly Manifest[];
  readonly resources?: { readonly requests: Labels };
  readonly secretName?: string;
  readonly dnsNames?: readonly string[];
  readonly jobLabel?: string;
  readonly endpoints?: readonly { readonly port: string; readonly path: string }[];
  readonly ports?: readonly { readonly name: string; readonly port: number }[];
  readonly ingress?: readonly {
    readonly from: readonly object[];
    readonly ports: readonly { readonly port: number }[];
  }[];
}

export interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}

/** A replica as the cluster would start it. */
export interface RenderedReplica {
  readonly workload: Manifest;
  readonly pod: Pod;
  readonly container: Container;
  readonly configText: string;
  readonly env: Readonly<Record<string, string>>;
}

interface Mount {
  readonly name: string;
  readonly mountPath: string;
  readonly subPath?: string;
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly periodSeconds: number;
  readonly failureThreshold: number;
}

export interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly Variable[];
  readonly envFrom: readonly { readonly secretRef: { readonly name: string } }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly resources: {
    readonly requests: Readonly<Record<string, string>>;
    readonly limits: Readonly<Record<string, string>>;
  };
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly volumeMounts: readonly Mount[];
}

interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string };
  readonly secret?: { readonly secretName: string };
}

export interface Pod {
  readonly serviceAccountName: string;
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
  readonly terminationGracePeriodSeconds: number;
  readonly topologySpreadConstraints: readonly {
    readonly topologyKey: string;
    readonly whenUnsatisfiable: string;
  }[];
}

/** Renders the base with these components, in this order, through a kustomization below `folder`. */
export async function renderComponents(folder: string, components: readonly string[]): Promise<Manifest[]> {
  const own = join(folder, components.join("-"));
  mkdirSync(own, { recursive: true });
  const kustomization = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    namespace: "orca",
    resources: [relative(own, join(kubernetesFolder, "base"))],
    components: components.map((name) => relative(own, join(kubernetesFolder, "components", name))),
  };
  writeFileSync(join(own, "kustomization.yaml"), stringify(kustomization));
  return await render(own);
}

export async function render(folder: string): Promise<Manifest[]> {
  const text = await run("kubectl", ["kustomize", folder]);
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}

export function only(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  assert.equal(found.length, 1, `${kind} ${name}`);
  return found[0] as Manifest;
}

/** What Kubernetes writes into the variables of a pod in this test. */
const fields: Readonly<Record<string, string>> = {
  "metadata.name": "orca-0",
  "status.podIP": "10.1.2.3",
  // As before Kubernetes 1.35, where no node gives a pod this label.
  "metadata.labels['topology.kubernetes.io/zone']": "",
};

export function replicaOf(manifests: readonly Manifest[]): RenderedReplica {
  const workloads = manifests.filter(
    ({ kind, metadata }) => ["StatefulSet", "Deployment"].includes(kind) && metadata.name === "orca",
  );
  assert.equal(workloads.length, 1, "one workload makes the replicas");
  const workload = workloads[0] as Manifest;
  const pod = workload.spec?.template?.spec;
  assert.ok(pod, "the workload has the pod template");
  const container = pod.containers[0] as Container;
  const env: Record<string, string> = {};
  for (const { name, value, valueFrom } of container.env) {
    const text = value ?? fields[valueFrom?.fieldRef.fieldPath ?? ""];
    assert.ok(text !== undefined, `${name} has a value`);
    assert.ok(!(name in env), `${name} is set once`);
    env[name] = text;
  }
  for (const { secretRef } of container.envFrom) {
    const secret = manifests.find(
      ({ kind, metadata }) => kind === "Secret" && metadata.name === secretRef.name,
    );
    for (const [name, text] of Object.entries(secret?.data ?? {})) {
      env[name] = Buffer.from(text, "base64").toString();
    }
  }
  const configMap = pod.volumes.find(({ configMap: found }) => found !== undefined)?.configMap?.name ?? "";
  const configText = only(manifests, "ConfigMap", configMap).data?.["config.yaml"];
  assert.ok(configText !== undefined, configMap);
  return { workload, pod, container, configText, env };
}
