/**
 * Writes the table in docs/decisions/README.md: number and title, date, and the first sentence of each decision. With
 * `--check` it writes nothing and fails where the table is not what the files say, or a file has not the form of one.
 *
 *     npm run docs
 *     npm run check:decisions
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";

const folder = "docs/decisions";
const form =
  /^# (?<number>\d{4}) (?<title>.+)\n\nDate: (?<date>\d{4}-\d\d-\d\d)\n\n## Context\n\n[^]+?\n\n## Decision\n\n(?<decision>[^]+?)\n\n## Price\n\n[^]+\n$/;

function rowOf(path) {
  const file = basename(path);
  const { number, title, date, decision } = form.exec(readFileSync(path, "utf8"))?.groups ?? {};
  if (number === undefined) {
    throw new Error(`${path}: expected "# NNNN Title", "Date: YYYY-MM-DD", "## Context", "## Decision", "## Price"`);
  }
  if (!file.startsWith(`${number}-`)) throw new Error(`${path}: its title has the number ${number}`);
  const sentence = /^.+?[.:](?= |$)/.exec(decision.replace(/\s+/g, " "))?.[0] ?? "";
  const line = sentence.replace(/ \([^)]*`[^)]*\)/, "").replace(/:$/, ".");
  return { number, row: `| [${number} ${title}](${file}) | ${date} | ${line} |` };
}

const rows = globSync(`${folder}/[0-9]*.md`).toSorted().map(rowOf);
const numbers = rows.map(({ number }) => number);
const twice = numbers.find((number, index) => numbers.indexOf(number) !== index);
if (twice !== undefined) throw new Error(`${folder}: there are two decisions ${twice}`);

const page = `${folder}/README.md`;
const before = readFileSync(page, "utf8");
const table = ["| Decision | Date | |", "|---|---|---|", ...rows.map(({ row }) => row)].join("\n");
const after = before.replace(/(?<=<!-- begin decisions\b[^>]*-->\n\n)[^]*?(?=\n\n<!-- end decisions -->)/, table);
if (process.argv.includes("--check")) {
  if (after !== before) throw new Error(`${page} is not what the decisions say: run \`npm run docs\``);
} else {
  writeFileSync(page, after);
}
