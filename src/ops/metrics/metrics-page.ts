/**
 * The generated part of docs/metrics.md: one table for each group of metrics, made of the help texts in the code, so that a
 * metric is described in one place. `npm run docs` writes it, and a test compares the page with it.
 */
import type { MetricDescription } from "./metrics.ts";

export interface MetricsSection {
  readonly title: string;
  /** When a replica has these metrics. */
  readonly intro: string;
  readonly metrics: readonly MetricDescription[];
}

const heading = "| Metric | Type | Labels | Meaning | Watch |\n|---|---|---|---|---|";

export function metricsPage(sections: readonly MetricsSection[]): string {
  return sections
    .map(({ title, intro, metrics }) => [`## ${title}\n`, `${intro}\n`, heading, ...metrics.map(lineOf), ""])
    .map((lines) => lines.join("\n"))
    .join("\n");
}

function lineOf({ name, type, labels, meaning, watch }: MetricDescription): string {
  const cells = [`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(", "), meaning, watch];
  return `| ${cells.map((cell) => (cell || "–").replaceAll("|", "\\|")).join(" | ")} |`;
}
