/**
 * What a row and a panel of the dashboard are, and the forms of query that many panels share. `@` in a query stands for the
 * matchers of the job and the instances that are chosen above the panels.
 */

/** Of Grafana. */
export type Unit =
  | "bytes"
  | "Bps"
  | "percentunit"
  | "reqps"
  | "cps"
  | "ops"
  | "s"
  | "short"
  | "dateTimeAsIso";

export interface Query {
  readonly query: string;
  /** Labels in double braces are filled in. */
  readonly legend: string;
}

export interface PanelSpec {
  readonly title: string;
  readonly kind: "stat" | "lines" | "stack";
  readonly unit: Unit;
  readonly queries: readonly Query[];
  /** What the reader learns, and which way is good. */
  readonly help: string;
}

export interface RowSpec {
  readonly title: string;
  readonly panels: readonly PanelSpec[];
}

type Queries = Readonly<Record<string, string>>;

function panel(
  kind: PanelSpec["kind"],
  title: string,
  unit: Unit,
  queries: Queries,
  help: string,
): PanelSpec {
  const list = Object.entries(queries).map(([legend, query]) => ({ legend, query }));
  return { kind, title, unit, queries: list, help };
}

export const stat = panel.bind(undefined, "stat");
export const lines = panel.bind(undefined, "lines");
export const stack = panel.bind(undefined, "stack");

export const rateBy = (label: string, metric: string): string =>
  `sum by (${label}) (rate(${metric}{@}[$__rate_interval]))`;
export const rate = (metric: string, more = ""): string => `sum(rate(${metric}{@${more}}[$__rate_interval]))`;
export const quantileBy = (quantile: number, label: string, metric: string): string =>
  `histogram_quantile(${quantile}, sum by (le, ${label}) (rate(${metric}_bucket{@}[$__rate_interval])))`;
