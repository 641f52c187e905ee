import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { parse } from "yaml";
import { dashboard } from "../../deploy/grafana/dashboard.ts";
import { alerts, alertsPage } from "../../deploy/prometheus/alerts-page.ts";
import { metricsSections } from "../support/metrics-sample.ts";
import { type Dashboard, dashboardText, metricsIn, prometheusFolder, root } from "./monitoring-files.ts";

const ofOrca = new Set(metricsSections().flatMap(({ metrics }) => metrics.map(({ name }) => name)));
/** Of prom-client and of Linux. */
const ofProcess = new Set([
  "process_cpu_seconds_total",
  "process_open_fds",
  "process_max_fds",
  "process_resident_memory_bytes",
  "nodejs_heap_size_used_bytes",
  "nodejs_eventloop_lag_p99_seconds",
]);

function assertKnown(expression: string): void {
  const names = metricsIn(expression);
  assert.ok(names.length > 0, expression);
  for (const name of names) assert.ok(ofOrca.has(name) || ofProcess.has(name), `${name} in ${expression}`);
}

/** The anchor of a heading, by GitHub's rule. */
const nameOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

/** The text below a heading, up to the next one. */
function sectionOf(page: string, anchor: string): string | undefined {
  const text = readFileSync(join(root, page), "utf8").replaceAll(/^```[^]*?^```$/gm, "");
  const headings = [...text.matchAll(/^(#+) (.+)$/gm)];
  const found = headings.findIndex(([, , heading = ""]) => nameOf(heading) === anchor);
  if (found === -1) return undefined;
  const end = headings[found + 1]?.index ?? text.length;
  return text.slice(headings[found]?.index, end);
}

suite("alerts.yaml", () => {
  test("each alert names metrics that exist, a severity, and a runbook whose section speaks of one of its metrics", () => {
    assert.ok(alerts().length >= 30);
    for (const { alert, expr, labels, annotations } of alerts()) {
      assert.match(alert, /^Orca[A-Z][A-Za-z]+$/);
      assert.ok(["critical", "warning"].includes(labels.severity), alert);
      assertKnown(expr);
      const [page = "", anchor = ""] = annotations.runbook.split("#");
      assert.match(page, /^docs\/operations\/[a-z-]+\.md$/);
      const section = sectionOf(page, anchor);
      assert.ok(section !== undefined, `${annotations.runbook} of ${alert} is a section`);
      const spoken = metricsIn(expr).filter((name) => section.includes(name));
      assert.ok(spoken.length > 0 || section.includes(alert), `${annotations.runbook} speaks of ${alert}`);
    }
  });

  test("no two alerts have one name, and none names a job or an instance", () => {
    const names = alerts().map(({ alert }) => alert);
    assert.deepEqual(names, [...new Set(names)]);
    for (const { expr } of alerts()) assert.doesNotMatch(expr, /\b(?:job|instance)\s*(?:=|!)/);
  });

  test("each alert fires in a test for promtool", () => {
    const tests = ["alerts.test.yaml", "alerts-scrub.test.yaml"].map(
      (file) => parse(readFileSync(join(prometheusFolder, file), "utf8")) as object,
    );
    const text = JSON.stringify(tests);
    for (const { alert } of alerts()) assert.ok(text.includes(`alertname=\\"${alert}\\"`), alert);
  });

  test("alertsPage: docs/operations/monitoring.md holds it; `npm run docs` writes it", () => {
    const page = readFileSync(join(root, "docs/operations/monitoring.md"), "utf8");
    const [, part] = /<!-- begin alerts[^>]*-->\n\n([^]*)\n<!-- end alerts -->/.exec(page) ?? [];
    assert.equal(part, alertsPage());
  });
});

suite("dashboard.json", () => {
  const { panels, schemaVersion, templating } = JSON.parse(dashboardText) as Dashboard;
  const charts = panels.filter(({ type }) => type !== "row");

  test("it is what `npm run docs` writes", () => assert.equal(dashboardText, dashboard()));

  test("its rows are those that an operator asks for", () => {
    const titles = panels.filter(({ type }) => type === "row").map(({ title }) => title);
    assert.deepEqual(
      titles.map((title) => title.replace(/ \(.*/, "")),
      [
        "What Orca saves",
        "Clients",
        "Members",
        "Tiers",
        "Flights",
        "Replication",
        "Scrub",
        "Cachestore",
        "Errors by code",
        "Resources",
      ],
    );
    assert.ok(charts.length >= 50, String(charts.length));
  });

  test("schema: ids are unique, places do not overlap and lie within the grid, refIds are unique in their panel", () => {
    assert.equal(schemaVersion, 37);
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const taken = new Set<string>();
    for (const { title, gridPos, targets } of panels) {
      assert.ok(gridPos.x >= 0 && gridPos.x + gridPos.w <= 24, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          assert.ok(!taken.has(`${x},${y}`), `${title} overlaps`);
          taken.add(`${x},${y}`);
        }
      }
      const refIds = targets?.map(({ refId }) => refId) ?? [];
      assert.equal(new Set(refIds).size, refIds.length, title);
    }
  });

  test("the data source is a variable, everywhere", () => {
    assert.deepEqual(
      templating.list.map(({ name, type }) => `${name}: ${type}`),
      ["datasource: datasource", "job: query", "instance: query"],
    );
    const used = dashboardText.match(/"uid": "[^"]*"/g) ?? [];
    assert.deepEqual([...new Set(used)].sort(), ['"uid": "${datasource}"', '"uid": "orca"']);
    for (const { title, datasource, targets = [] } of charts) {
      for (const each of [datasource, ...targets.map((target) => target.datasource)]) {
        assert.deepEqual(each, { type: "prometheus", uid: "${datasource}" }, title);
      }
    }
  });

  test("each panel has a description, and its queries name metrics that exist, of the chosen job and replicas alone", () => {
    for (const { title, description = "", targets = [] } of charts) {
      assert.ok(description.endsWith("."), title);
      assert.ok(targets.length > 0, title);
      for (const { expr } of targets) {
        assertKnown(expr);
        const selectors = expr.match(/\b(?:orca|process|nodejs)_[a-z0-9_]+(?:\{[^}]*\})?/g) ?? [];
        for (const selector of selectors)
          assert.ok(selector.includes('{job=~"$job", instance=~"$instance"'), `${title}: ${selector}`);
      }
    }
  });
});
