/**
 * The tables of a run: text for a terminal as each is ready, Markdown for docs/performance.md (`--markdown`), or one JSON
 * document at the end (`--json`). Figures of two runs are not compared: the machine's speed drifts.
 */
import { cpus, release, totalmem } from "node:os";
import { stdout, version } from "node:process";
import { formatBytes } from "../../src/base/units.ts";
import { type Cell, formatTable } from "../../src/cli/table.ts";

export type ReportForm = "text" | "markdown" | "json";

interface Table {
  readonly title: string;
  readonly headings: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export class Report {
  readonly #form: ReportForm;
  readonly #tables: Table[] = [];
  readonly #notes: string[] = [];
  readonly #at = new Date();

  constructor(form: ReportForm) {
    this.#form = form;
    if (form === "markdown") stdout.write(`${machine()}, ${this.#at.toISOString().slice(0, 10)}.\n`);
  }

  table(title: string, headings: readonly string[], rows: readonly (readonly Cell[])[]): void {
    if (this.#form === "json") this.#tables.push({ title, headings, rows });
    else if (this.#form === "markdown") stdout.write(`\n**${title}**\n\n${markdownTable(headings, rows)}\n`);
    else stdout.write(`\n${title}\n${formatTable(headings, rows)}\n`);
  }

  /** Why something is missing. */
  note(text: string): void {
    if (this.#form === "json") this.#notes.push(text);
    else stdout.write(`\n${text}\n`);
  }

  end(): void {
    if (this.#form !== "json") return;
    const document = {
      at: this.#at.toISOString(),
      machine: machine(),
      tables: this.#tables,
      notes: this.#notes,
    };
    stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  }
}

function machine(): string {
  const cores = cpus();
  const model = cores[0]?.model ?? "unknown processor";
  return `${model}, ${cores.length} cores, ${formatBytes(totalmem())}, Linux ${release()}, Node ${version}`;
}

function markdownTable(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]): string =>
    `| ${headings.map((_, column) => cells[column] ?? "").join(" | ")} |`;
  return [line(headings), line(headings.map(() => "---")), ...rows.map(line)].join("\n");
}

export function ratio(own: number | undefined, other: number | undefined): string {
  return own === undefined || other === undefined ? "-" : (own / other).toFixed(2);
}

/**
 * Each figure as a share of the best one, 1.00 for the best itself. Of times the best is the least, and half as fast is
 * 0.50 as well.
 */
export function ofTheBest(figures: readonly (number | undefined)[], best: "most" | "least"): string[] {
  const known = figures.filter((figure) => figure !== undefined);
  const top = best === "most" ? Math.max(...known) : Math.min(...known);
  return figures.map((figure) => (best === "most" ? ratio(figure, top) : ratio(figure && top, figure)));
}

/** The heading of the column of reasons, which is there only if somebody has one to give. */
export function failureHeading(outcomes: readonly Map<string, unknown>[]): string {
  const anyFailed = outcomes.some((each) => [...each.values()].some((outcome) => outcome instanceof Error));
  return anyFailed ? "why it failed" : "";
}
