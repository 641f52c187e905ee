/**
 * Whether manifests are what the API of Kubernetes takes, without a cluster. The runtime schemas of kubernetes-models find
 * wrong types and missing fields, and accept fields that do not exist. Its TypeScript types have the fields: the compiler
 * finds the unknown ones, because it compares a literal with them.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Certificate, Issuer } from "@kubernetes-models/cert-manager/cert-manager.io/v1";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import { Deployment, StatefulSet } from "kubernetes-models/apps/v1";
import { Job } from "kubernetes-models/batch/v1";
import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1";
import { ConfigMap, Secret, Service, ServiceAccount } from "kubernetes-models/v1";
import { TestProcess } from "../../support/process.ts";
import type { Manifest } from "./kubernetes-manifests.ts";

interface Model {
  readonly kind: string;
  readonly apiVersion: string;
  new (data: never): { validate(): void };
}

/** By the module that has their types. */
const modelsByModule: Readonly<Record<string, readonly Model[]>> = {
  "kubernetes-models/v1": [ConfigMap, Secret, Service, ServiceAccount],
  "kubernetes-models/apps/v1": [Deployment, StatefulSet],
  "kubernetes-models/batch/v1": [Job],
  "kubernetes-models/networking.k8s.io/v1": [NetworkPolicy],
  "kubernetes-models/policy/v1": [PodDisruptionBudget],
  "@kubernetes-models/cert-manager/cert-manager.io/v1": [Certificate, Issuer],
  "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1": [ServiceMonitor],
};
const models = Object.values(modelsByModule).flat();
const modules = join(import.meta.dirname, "../../../node_modules");

const titleOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.name}`;

/** One sentence each, with kind and name in front. Empty: all is well. */
export async function schemaFaults(manifests: readonly Manifest[]): Promise<string[]> {
  return [...manifests.flatMap(valueFaults), ...(await fieldFaults(manifests))];
}

function valueFaults(manifest: Manifest): string[] {
  const { kind, apiVersion } = manifest;
  const found = models.find((model) => model.kind === kind && model.apiVersion === apiVersion);
  if (!found) return [`${titleOf(manifest)}: no schema of ${apiVersion}`];
  try {
    new found(manifest as never).validate();
    return [];
  } catch (thrown) {
    return [`${titleOf(manifest)}: ${(thrown as Error).message}`];
  }
}

/** Each manifest is one line of a file that the compiler reads, so the line of an error names it. */
async function fieldFaults(manifests: readonly Manifest[]): Promise<string[]> {
  const imports = Object.entries(modelsByModule).map(
    ([name, kinds]) => `import type { ${kinds.map(({ kind }) => `I${kind}`).join(", ")} } from "${name}";`,
  );
  const known = manifests.filter(({ kind }) => models.some((model) => model.kind === kind));
  const lines = known.map(
    (manifest, index) => `export const m${index} = ${JSON.stringify(manifest)} satisfies I${manifest.kind};`,
  );
  // Below node_modules, so that the compiler finds the types.
  mkdirSync(join(modules, ".cache"), { recursive: true });
  const folder = mkdtempSync(join(modules, ".cache/kubernetes-"));
  try {
    writeFileSync(join(folder, "manifests.ts"), [...imports, ...lines].join("\n"));
    const compilerOptions = { noEmit: true, strict: true, skipLibCheck: true, module: "nodenext", types: [] };
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ compilerOptions, files: ["manifests.ts"] }),
    );
    const args = [join(modules, "typescript/bin/tsc"), "-p", folder, "--pretty", "false"];
    const compiler = new TestProcess("tsc", process.execPath, args);
    const exitCode = await compiler.exited;
    const faults = compiler.output.flatMap((line) => {
      const [, number = "", message = ""] = /manifests\.ts\((\d+),\d+\): error TS\d+: (.*)$/.exec(line) ?? [];
      const manifest = known[Number(number) - 1 - imports.length];
      return manifest ? [`${titleOf(manifest)}: ${message}`] : [];
    });
    if (exitCode !== 0 && faults.length === 0) throw compiler.failure(`ended with ${exitCode}`);
    return faults;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
