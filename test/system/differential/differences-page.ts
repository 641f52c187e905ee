/** The table of known differences as it stands in `docs/s3-differences.md`. */
import { knownDifferences } from "./known-differences.ts";

export function differencesPage(): string {
  const rows = knownDifferences.map(({ name, reason }) => `| ${name} | ${reason} |`);
  return `| Read | Why Orca does not answer as Ceph RGW 16 does |\n|---|---|\n${rows.join("\n")}\n`;
}
