/**
 * The Grafana dashboard, made of the rows beside it, so that no one edits a thousand lines of JSON. `npm run docs`
 * writes dashboard.json, and a test compares the two. The data source and the job are variables, so it can be imported
 * into any Grafana from 9 on, by hand or by provisioning.
 */
import { cacheRows } from "./cache-rows.ts";
import { healthRows } from "./health-rows.ts";
import type { PanelSpec, RowSpec } from "./panel.ts";
import { trafficRows } from "./traffic-rows.ts";

const matchers = 'job=~"$job", instance=~"$instance"';
// Grafana's own syntax.
const datasource = { type: "prometheus", uid: "${datasource}" };

const columns = 24;
const rowHeight = 1;
const sizes = {
  stat: { width: 6, height: 4 },
  lines: { width: 8, height: 8 },
  stack: { width: 8, height: 8 },
} as const;

interface Place {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

const rows: readonly RowSpec[] = [...trafficRows, ...cacheRows, ...healthRows];

/** Lays panels from left to right, and begins a line where one of another height or none fits. */
class Layout {
  #x = 0;
  #y = 0;
  #height = 0;

  place(width: number, height: number): Place {
    if (this.#x + width > columns || (this.#height !== 0 && this.#height !== height)) this.newLine();
    const place = { x: this.#x, y: this.#y, w: width, h: height };
    this.#x += width;
    this.#height = height;
    return place;
  }

  newLine(): void {
    this.#y += this.#height;
    this.#x = 0;
    this.#height = 0;
  }
}

function panelOf(spec: PanelSpec, id: number, gridPos: Place): object {
  const targets = spec.queries.map(({ query, legend }, index) => ({
    refId: String.fromCodePoint(65 + index),
    datasource,
    expr: query.replaceAll("@", matchers),
    legendFormat: legend,
    range: spec.kind !== "stat",
    instant: spec.kind === "stat",
  }));
  const common = { id, title: spec.title, description: spec.help, gridPos, datasource, targets };
  if (spec.kind === "stat") {
    return {
      ...common,
      type: "stat",
      fieldConfig: { defaults: { unit: spec.unit }, overrides: [] },
      options: {
        reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
        colorMode: "none",
        graphMode: "none",
      },
    };
  }
  const isStack = spec.kind === "stack";
  const custom = {
    drawStyle: "line",
    lineWidth: 1,
    fillOpacity: isStack ? 30 : 0,
    showPoints: "never",
    stacking: { mode: isStack ? "normal" : "none", group: "A" },
  };
  return {
    ...common,
    type: "timeseries",
    fieldConfig: {
      defaults: { unit: spec.unit, min: spec.unit === "percentunit" ? undefined : 0, custom },
      overrides: [],
    },
    options: {
      legend: { displayMode: "list", placement: "bottom", showLegend: true },
      tooltip: { mode: "multi", sort: "desc" },
    },
  };
}

function panelsOf(specs: readonly RowSpec[]): object[] {
  const layout = new Layout();
  const panels: object[] = [];
  const nextId = (): number => panels.length + 1;
  for (const { title, panels: inRow } of specs) {
    layout.newLine();
    const gridPos = layout.place(columns, rowHeight);
    panels.push({ id: nextId(), type: "row", title, collapsed: false, gridPos, panels: [] });
    for (const spec of inRow) {
      const { width, height } = sizes[spec.kind];
      panels.push(panelOf(spec, nextId(), layout.place(width, height)));
    }
  }
  return panels;
}

const variables = [
  { name: "datasource", label: "Data source", type: "datasource", query: "prometheus", hide: 0, refresh: 1 },
  {
    name: "job",
    label: "Cluster (job)",
    type: "query",
    datasource,
    query: { query: "label_values(orca_memory_max_bytes, job)", refId: "job" },
    refresh: 2,
    sort: 1,
    hide: 0,
  },
  {
    name: "instance",
    label: "Replica",
    type: "query",
    datasource,
    query: { query: 'label_values(orca_memory_max_bytes{job=~"$job"}, instance)', refId: "instance" },
    refresh: 2,
    sort: 1,
    hide: 0,
    multi: true,
    includeAll: true,
    allValue: ".*",
    current: { text: "All", value: "$__all" },
  },
];

/** The text of dashboard.json. */
export function dashboard(): string {
  const content = {
    title: "Orca",
    uid: "orca",
    tags: ["orca"],
    description: "What Orca serves and saves. docs/operations/monitoring.md says how to read it.",
    schemaVersion: 37,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-1h", to: "now" },
    timezone: "",
    templating: { list: variables },
    annotations: { list: [] },
    panels: panelsOf(rows),
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}
