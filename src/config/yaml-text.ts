/**
 * Parses YAML into a tree of maps, lists and texts. Scalars keep their spelling: `010`, `1e3` and `true` reach the fields
 * as text, like a value from the environment, and only the type of the field decides what they mean. A bucket named `123`
 * or `on` needs no quotes.
 */
import { LineCounter, parseDocument, visit } from "yaml";
import { type Fault, reasonOf } from "./fault.ts";

/** The tree of `text`, or undefined where it has none. Adds faults as `line:column: …`; never throws. */
export function parseYaml(text: string, faults: Fault[]): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  let isSyntaxReported = false;
  for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
    const isSyntax = syntaxCodes.has(code);
    // One line at a wrong column makes the parser report several errors. The first one is its place.
    if (isSyntax && isSyntaxReported) continue;
    isSyntaxReported ||= isSyntax;
    const { line, col } = lines.linePos(pos[0]);
    let reason = message;
    if (code === "DUPLICATE_KEY") reason = `${keyAt(text, pos[0])} appears twice: remove one of them`;
    else if (isSyntax) reason = indentationFault(code, text.split("\n")[line - 1] ?? "");
    faults.push({ path: "", message: `${line}:${col}: ${reason}` });
  }
  if (document.errors.length > 0) return undefined;
  visit(document, {
    Scalar(_, node) {
      const asWritten = typeof node.value === "number" || typeof node.value === "boolean";
      if (asWritten && node.source !== undefined) node.value = node.source;
    },
  });
  try {
    return document.toJS() ?? undefined;
  } catch (thrown) {
    // An alias without an anchor, or aliases that expand to an enormous tree.
    faults.push({ path: "", message: reasonOf(thrown) });
    return undefined;
  }
}

/** The errors that the parser reports where a line begins at a wrong column. */
const syntaxCodes: ReadonlySet<string> = new Set([
  "BAD_INDENT",
  "BLOCK_AS_IMPLICIT_KEY",
  "MULTILINE_IMPLICIT_KEY",
  "TAB_AS_INDENT",
]);

function indentationFault(code: string, line: string): string {
  if (code === "TAB_AS_INDENT" || /^ *\t/.test(line))
    return "this line begins with a tab: indent it with spaces";
  return "the indentation of this line or of the next one does not fit: keys of one section begin in the same column";
}

function keyAt(text: string, offset: number): string {
  const key = /^[\w.-]{1,64}/.exec(text.slice(offset, offset + 65))?.[0];
  return key === undefined ? "a key" : `the key "${key}"`;
}
