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
  for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
    const { line, col } = lines.linePos(pos[0]);
    const reason =
      code === "DUPLICATE_KEY" ? `${keyAt(text, pos[0])} appears twice: remove one of them` : message;
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

function keyAt(text: string, offset: number): string {
  const key = /^[\w.-]{1,64}/.exec(text.slice(offset, offset + 65))?.[0];
  return key === undefined ? "a key" : `the key "${key}"`;
}
