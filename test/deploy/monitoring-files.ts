/** What the tests of alerts and dashboard read: the files of deploy/, and the names of metrics in PromQL. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dirname, "../..");
export const prometheusFolder = join(root, "deploy/prometheus");

export interface DashboardTarget {
  readonly refId: string;
  readonly legendFormat: string;
  readonly expr: string;
  readonly datasource: unknown;
}

export interface DashboardPanel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly description?: string;
  readonly datasource?: unknown;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly DashboardTarget[];
}

export interface Dashboard {
  readonly uid: string;
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly DashboardPanel[];
}

export const dashboardText = readFileSync(join(root, "deploy/grafana/dashboard.json"), "utf8");

/** The metrics that an expression names, without the suffixes of histograms. */
export function metricsIn(expression: string): string[] {
  const names = expression.match(/\b(?:orca|process|nodejs)_[a-z0-9_]+\b/g) ?? [];
  return [...new Set(names.map((name) => name.replace(/(_seconds)_(?:bucket|count|sum)$/, "$1")))];
}
