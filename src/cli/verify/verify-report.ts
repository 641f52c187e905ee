/** What `orca verify-reads` prints at its end: for people a verdict and what to do, for programs JSON. */
import { formatBytes } from "../../base/units.ts";
import { counted, printable } from "../table.ts";
import { type Difference, type DifferenceClass, differenceClasses } from "./read-comparison.ts";
import { differencesMax, type VerifyTally } from "./verify-tally.ts";

export interface VerifyResult {
  readonly url: string;
  readonly endpoints: readonly string[];
  readonly clients: number;
  readonly seed: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Why it ended before all was read, if so. */
  readonly stopped: "asked" | "differences" | undefined;
  readonly tally: VerifyTally;
}

const meanings: Readonly<Record<DifferenceClass, string>> = {
  wrong:
    "wrong: bytes differ under one and the same ETag. Do not use this cluster before the cause is known: run orca cache verify on each replica, check its memory and disks, and report it.",
  stale:
    "stale: Orca serves an older version for longer than metadata.ttl. Compare the clocks (orca doctor), and see whether the replica reaches the origin.",
  missing:
    "missing: Orca does not find objects that the origin has, for longer than metadata.negative_ttl. Check that --config or --origin is what the replica serves.",
  failed:
    "failed: Orca was not reached, answered an error, or cut an answer. Check --endpoint; the log of the replica says why.",
  unread:
    "unread: the origin could not be read from here, so nothing was compared. Check it with orca doctor, or lower --clients.",
};

export function verifyReadsReport(result: VerifyResult): string {
  const { url, endpoints, clients, bytes, seconds, seed, stopped, tally } = result;
  const { objects, wholes, ranges, equal, changed, differences, differing, first } = tally;
  const lines = [
    `Compared ${counted(wholes + ranges, "read")} of ${counted(objects, "object")} below ${printable(url)} (${wholes} whole, ${counted(ranges, "range")}; ${formatBytes(bytes)}) in ${seconds.toFixed(1)} s: ${counted(clients, "client")} at ${endpoints.join(", ")}, seed ${seed}`,
  ];
  if (changed > 0) {
    lines.push(
      `${counted(changed, "read")} met an object that was changing: run it again once nothing writes there`,
    );
  }
  if (stopped === "asked") lines.push("It was stopped before all was read");
  if (stopped === "differences") lines.push(`It ended early, after ${differencesMax} differences`);
  lines.push(
    differing === 0
      ? `${equal} equal, no difference`
      : `${equal} equal, ${counted(differing, "difference")}: ${counts(differences)}`,
  );
  if (objects === 0) lines.push("There is no object below this prefix, so nothing was compared");
  const seen = differenceClasses.filter((each) => differences[each] > 0);
  for (const each of seen) {
    lines.push("", meanings[each]);
    const shown = first.filter((difference) => difference.class === each);
    for (const difference of shown) lines.push(`  ${lineOf(difference)}`);
    const more = differences[each] - shown.length;
    if (more > 0) lines.push(`  and ${more} more`);
  }
  return `${lines.join("\n")}\n`;
}

function counts(differences: Readonly<Record<DifferenceClass, number>>): string {
  return differenceClasses
    .filter((each) => differences[each] > 0)
    .map((each) => `${differences[each]} ${each}`)
    .join(", ");
}

function lineOf({ key, read, endpoint, offset, detail }: Difference): string {
  const { offset: start, lengthBytes, isWhole } = read;
  const what = isWhole ? "whole object" : `bytes ${start}-${start + lengthBytes - 1}`;
  const place = offset === undefined ? "" : ` at offset ${offset}`;
  return printable(`"${key}" (${what}, ${endpoint})${place}: ${detail}`);
}

/** One line. Its fields are a format: they stay. */
export function verifyReadsJson(result: VerifyResult): string {
  const { url, endpoints, clients, bytes, seconds, seed, stopped = null, tally } = result;
  const { objects, wholes, ranges, equal, changed, differences, first } = tally;
  const document = {
    url,
    endpoints,
    clients,
    seed,
    objects,
    whole_reads: wholes,
    range_reads: ranges,
    bytes,
    seconds,
    equal,
    changed,
    differences,
    stopped,
    first: first.map(({ class: kind, key, read, endpoint, offset = null, detail }) => ({
      class: kind,
      key,
      whole: read.isWhole,
      start: read.offset,
      length: read.lengthBytes,
      endpoint,
      offset,
      detail,
    })),
  };
  return `${JSON.stringify(document)}\n`;
}
