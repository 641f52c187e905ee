/**
 * The generated part of docs/operations/errors.md: the error table for operators. `npm run docs` writes it, and a test
 * compares the page with it.
 */
import { errorTable } from "../base/error-table.ts";
import type { ErrorMeaning } from "../base/errors/error-meaning.ts";

const heading = "| Code | HTTP status and S3 code | Meaning | What to do |\n|---|---|---|---|";

export function errorsPage(): string {
  return [
    `- With \`Retry-After\`: ${codesWith("retryAfter")}.`,
    `- Orca retries before it answers: ${codesWith("retryable")}.`,
    `- A lasting fact about an object, cached for \`metadata.negative_ttl\`: ${codesWith("lasting")}.`,
    "",
    heading,
    ...Object.entries(errorTable).map(([code, meaning]) => rowOf(code, meaning)),
    "",
  ].join("\n");
}

function codesWith(property: "retryAfter" | "retryable" | "lasting"): string {
  const codes = Object.entries(errorTable).filter(([, meaning]) => meaning[property]);
  return codes.map(([code]) => `\`${code}\``).join(", ");
}

function rowOf(code: string, { status, s3Code, meaning, remedy }: ErrorMeaning): string {
  const cells = [`\`${code}\``, `${status} ${s3Code}`, meaning, remedy];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
