/**
 * The generated part of docs/configuration.md: one table for each section of the schema. `npm run docs` writes it, and a
 * test compares the page with it, so that the page cannot be out of date.
 */
import type { Row } from "./field.ts";
import { settingRows } from "./schema.ts";

const heading =
  "| Setting | Type | Default | Bounds | Meaning | When to change it |\n|---|---|---|---|---|---|";

export function settingsPage(): string {
  const sections = new Map<string, string[]>();
  for (const row of settingRows()) {
    const section = sectionOf(row.path);
    const lines = sections.get(section) ?? [];
    sections.set(section, [...lines, lineOf(row)]);
  }
  return [...sections]
    .map(([section, lines]) => [`### \`${section}\`\n`, heading, ...lines, ""].join("\n"))
    .join("\n");
}

/** `origins` is a list of what `origin` is, and belongs beside it. */
function sectionOf(path: string): string {
  const [first = ""] = path.split(".");
  return first === "origins" ? "origin" : first;
}

function lineOf({ path, type, defaultText, bounds, meaning, advice }: Row): string {
  const cells = [`\`${path}\``, type, defaultText || "–", bounds || "–", meaning, advice];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
