import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { metricsPage } from "../../../src/ops/metrics/metrics-page.ts";
import { metricsSections } from "../../support/metrics-sample.ts";
import { startReplicas } from "../../support/replica-cluster.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/metrics.md"), "utf8");

test("metricsPage: docs/metrics.md holds it; `npm run docs` writes it", () => {
  const [, part] = /<!-- begin metrics[^>]*-->\n\n([^]*)\n<!-- end metrics -->/.exec(page) ?? [];
  assert.equal(part, metricsPage(metricsSections()));
});

test("docs/metrics.md: no replica exposes a metric of Orca's own that it lacks", async (context) => {
  const cluster = await startReplicas({ disk: true, settings: { cluster: { replication: 2 } } });
  context.after(() => cluster.stop());
  const [replica] = cluster.replicas;
  const text = await (await fetch(`${replica?.opsEndpoint}/metrics`)).text();
  const names = Array.from(text.matchAll(/^# TYPE (orca_\S+)/gm), ([, name = ""]) => name);
  assert.ok(names.length > 120, String(names.length));
  for (const name of names) assert.ok(page.includes(`\n| \`${name}\` `), name);
});

test("metricsPage: a row for each metric, and a bar in its text does not end the cell", () => {
  const text = metricsPage([
    {
      title: "Things",
      intro: "Always.",
      metrics: [
        { name: "orca_a", type: "gauge", labels: ["b", "c"], meaning: "A | B.", watch: "Higher is better." },
        { name: "orca_d", type: "gauge", labels: [], meaning: "D.", watch: "" },
      ],
    },
  ]);
  assert.match(
    text,
    /^## Things\n\nAlways\.\n\n\|.*\n\|.*\n\| `orca_a` \| gauge \| `b`, `c` \| A \\\| B\. \| Higher is better\. \|\n\| `orca_d` \| gauge \| – \| D\. \| – \|\n$/,
  );
});
