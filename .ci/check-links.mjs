/**
 * Checks that every Markdown page of the tree leads somewhere: a relative link or image names a file, an anchor names a
 * heading (by GitHub's rule), and a path in backticks such as `src/main.ts` exists. It uses no network, so it does not
 * check addresses of other sites. Decisions tell what once was, so paths in backticks are not checked there.
 *
 *     npm run check:links
 */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const pathInTree = /^(?:src|test|docs|deploy|proto|gen|\.ci)\/[\w./-]*$/;
const addressElsewhere = /^(?:[a-z][a-z0-9+.-]*:|\/\/)/i;
const linkPatterns = [
  /\]\(\s*<?([^()\s>]+)>?(?:\s+"[^"]*")?\s*\)/g,
  /^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/g,
  /<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)="([^"]+)"/g,
];

/** The lines of a page, by number from 0; those of fenced code are empty. */
function linesOf(page) {
  let fence;
  return readFileSync(page, "utf8")
    .split("\n")
    .map((line) => {
      const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
      if (fence === undefined && mark === undefined) return line;
      if (fence === undefined) fence = mark;
      else if (mark?.startsWith(fence)) fence = undefined;
      return "";
    });
}

const anchorsByPage = new Map();

/** The anchors of a page: its headings as GitHub names them, and the ids in its HTML. */
function anchorsOf(page) {
  const known = anchorsByPage.get(page);
  if (known) return known;
  const anchors = new Set();
  for (const line of linesOf(page)) {
    for (const [, id] of line.matchAll(/<[^>]*\b(?:id|name)="([^"]+)"/g)) anchors.add(id);
    const heading = /^ {0,3}#{1,6}\s+(.+?)\s*#*$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const shown = heading.replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/<[^>]*>/g, "");
    const name = shown.toLowerCase().replace(/[^\p{L}\p{N}\p{M}_ -]/gu, "").replaceAll(" ", "-");
    let anchor = name;
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${name}-${count}`;
    anchors.add(anchor);
  }
  anchorsByPage.set(page, anchors);
  return anchors;
}

/** What is wrong with a link on `page`, or undefined. */
function faultOfLink(page, target) {
  if (addressElsewhere.test(target)) return undefined;
  const [path, anchor] = target.split("#", 2).map(decodeURIComponent);
  const linked = path === "" ? page : normalize(join(dirname(page), path));
  if (path.startsWith("/") || linked.startsWith("..")) return "leads out of the tree";
  if (!existsSync(linked)) return `there is no ${linked}`;
  if (anchor === undefined || !linked.endsWith(".md") || anchorsOf(linked).has(anchor)) return undefined;
  return `${linked} has no heading for #${anchor}`;
}

function* faultsOf(page) {
  const isDecision = page.startsWith("docs/decisions/");
  for (const [index, line] of linesOf(page).entries()) {
    const place = `${page}:${index + 1}`;
    for (const [, code] of line.matchAll(/`([^`]+)`/g)) {
      if (!isDecision && pathInTree.test(code) && !existsSync(code)) yield `${place}: there is no ${code}`;
    }
    const withoutCode = line.replace(/`[^`]+`/g, "");
    for (const [, target] of linkPatterns.flatMap((pattern) => [...withoutCode.matchAll(pattern)])) {
      const fault = faultOfLink(page, target);
      if (fault) yield `${place}: ${target}: ${fault}`;
    }
  }
}

const pages = globSync("**/*.md", { exclude: ["**/node_modules", "**/.git", "dist/**"] }).toSorted();
const faults = pages.flatMap((page) => [...faultsOf(page)]);
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exitCode = 1;
