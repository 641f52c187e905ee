/**
 * Writes the generated parts of the pages in docs/: the text between `<!-- begin NAME ... -->` and `<!-- end NAME -->`,
 * and the Grafana dashboard.
 * Tests compare each page with its source, so a page that was not written again fails them.
 *
 *     npm run docs
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dashboard } from "../deploy/grafana/dashboard.ts";
import { alertsPage } from "../deploy/prometheus/alerts-page.ts";
import { errorsPage } from "../src/ops/errors-page.ts";
import { settingsPage } from "../src/config/settings-page.ts";
import { metricsPage } from "../src/ops/metrics/metrics-page.ts";
import { stepsPage } from "../src/trace/steps-page.ts";
import { metricsSections } from "../test/support/metrics-sample.ts";
import { differencesPage } from "../test/system/differential/differences-page.ts";

const parts = [
  { file: "docs/configuration.md", name: "settings", text: settingsPage() },
  { file: "docs/operations/errors.md", name: "errors", text: errorsPage() },
  { file: "docs/operations/debugging-a-fill.md", name: "steps", text: stepsPage() },
  { file: "docs/metrics.md", name: "metrics", text: metricsPage(metricsSections()) },
  { file: "docs/operations/monitoring.md", name: "alerts", text: alertsPage() },
  { file: "docs/s3-differences.md", name: "differences", text: differencesPage() },
];

for (const { file, name, text } of parts) {
  const before = readFileSync(file, "utf8");
  const marked = new RegExp(`(<!-- begin ${name}\\b[^>]*-->\n\n)[^]*?(\n<!-- end ${name} -->)`);
  if (!marked.test(before)) throw new Error(`Cannot write "${file}": it has no part marked "begin ${name}"`);
  const after = before.replace(marked, (_, begin, end) => begin + text + end);
  if (after === before) continue;
  writeFileSync(file, after);
  console.log(`Wrote ${file}`);
}

const dashboardFile = "deploy/grafana/dashboard.json";
if (!existsSync(dashboardFile) || readFileSync(dashboardFile, "utf8") !== dashboard()) {
  writeFileSync(dashboardFile, dashboard());
  console.log(`Wrote ${dashboardFile}`);
}
