/** The table of the steps on docs/operations/debugging-a-fill.md. `npm run docs` writes it, and a test compares the page. */
import { type TraceStepEntry, type TraceSubject, traceSteps } from "./trace-steps.ts";

const subjects: Readonly<Record<TraceSubject, string>> = {
  object: "object",
  chunk: "chunk",
  either: "object or chunk",
  client: "object, as the client named it",
};

export function stepsPage(): string {
  const entries: [string, TraceStepEntry][] = Object.entries(traceSteps);
  const rows = entries.map(([step, { message, about, fields }]) => {
    const names = fields.map((name) => `\`${name}\``).join(", ");
    return `| \`${step}\` | ${message} | ${subjects[about]} | ${names} |\n`;
  });
  return `| \`step\` | \`msg\` | About | Other fields |\n|---|---|---|---|\n${rows.join("")}`;
}
