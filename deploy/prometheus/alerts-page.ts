/**
 * The table of alerts on docs/operations/monitoring.md, made of alerts.yaml, so that an alert is described in one place.
 * `npm run docs` writes it, and a test compares the two.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  /** `runbook` is a path in this tree with the anchor of a section. */
  readonly annotations: { readonly summary: string; readonly runbook: string };
}

interface RuleFile {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Alert[] }[];
}

export function alerts(): Alert[] {
  const { groups } = parse(readFileSync(join(import.meta.dirname, "alerts.yaml"), "utf8")) as RuleFile;
  return groups.flatMap(({ rules }) => rules);
}

const heading = "| Alert | Severity | When | What to do |\n|---|---|---|---|";

export function alertsPage(): string {
  const lines = alerts().map(({ alert, expr, for: held, labels, annotations }) => {
    const place = annotations.runbook.replace("docs/operations/", "");
    const condition = expr.trim().replaceAll(/\s+/g, " ").replaceAll("|", "\\|");
    const when = `\`${condition}\`${held === undefined ? "" : ` for ${held}`}`;
    return `| \`${alert}\` | ${labels.severity} | ${when} | [${place.replace("#", ": ").replaceAll("-", " ")}](${place}) |`;
  });
  return `${[heading, ...lines].join("\n")}\n`;
}
