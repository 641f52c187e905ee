/**
 * `orca verify-reads --listings`: compares listings of Orca with those of the origin, at each endpoint in turn, in four forms:
 * with and without a delimiter, in the largest pages and, for {@link smallPagesMax} of them, in pages of
 * {@link smallPageKeys} entries, so that tokens are followed often.
 */
import type { Config } from "../../config/config.ts";
import type { GuardedOrigin } from "../../origin/guarded-origin.ts";
import type { CommandContext } from "../command-context.ts";
import { counted, printable } from "../table.ts";
import {
  type ListingClass,
  ListingComparison,
  type ListingDifference,
  type ListingForm,
  listingClasses,
} from "./listing-comparison.ts";
import type { ServedObjects } from "./served-objects.ts";
import { differencesMax } from "./verify-tally.ts";

export interface VerifyListingsOptions {
  readonly url: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly json: boolean;
}

export interface ListingParts {
  readonly config: Config;
  readonly place: { readonly bucket: string; readonly prefix: string };
  readonly origin: GuardedOrigin;
  readonly served: readonly ServedObjects[];
  readonly stopping: AbortController;
}

const smallPageKeys = 3;
const smallPagesMax = 20;
const forms: readonly ListingForm[] = [
  { name: "flat", delimiter: "", maxKeys: 1000, pagesMax: Infinity },
  { name: "by /", delimiter: "/", maxKeys: 1000, pagesMax: Infinity },
  { name: "flat, small pages", delimiter: "", maxKeys: smallPageKeys, pagesMax: smallPagesMax },
  { name: "by /, small pages", delimiter: "/", maxKeys: smallPageKeys, pagesMax: smallPagesMax },
];
const shownOfClassMax = 5;
/** Between two lines of progress: ten pages. */
const progressEntries = 10_000;

const meanings: Readonly<Record<ListingClass, string>> = {
  wrong: "wrong: size or ETag differ for longer than list_cache.ttl",
  missing: "missing: Orca does not list what the origin lists, for longer than list_cache.ttl",
  extra: "extra: Orca lists what the origin does not. If it was deleted within list_cache.ttl, run it again",
  paging: "paging: pages of Orca contradict themselves. It is a fault of Orca: report it",
  failed:
    "failed: Orca was not reached, or answered an error. Check --endpoint; the log of the replica says why",
  unread: "unread: the origin could not be listed from here. Check it with orca doctor",
};

/** Resolves with the exit code: 0, or 1 if there is a difference or it was stopped. */
export async function verifyListings(
  options: VerifyListingsOptions,
  { config, place, origin, served, stopping }: ListingParts,
  { clock, stdout, stderr }: CommandContext,
): Promise<number> {
  const { url, json } = options;
  const counts = { equal: 0, changed: 0 };
  const differences = Object.fromEntries(listingClasses.map((each) => [each, 0])) as Record<
    ListingClass,
    number
  >;
  const first: ListingDifference[] = [];
  let differing = 0;
  let entries = 0;
  const onEntry = (outcome: "equal" | "changed" | ListingDifference): void => {
    entries += 1;
    if (!json && entries % progressEntries === 0) stderr.write(`${entries} entries\n`);
    if (typeof outcome === "string") {
      counts[outcome] += 1;
      return;
    }
    differing += 1;
    differences[outcome.class] += 1;
    if (differences[outcome.class] <= shownOfClassMax) first.push(outcome);
    if (differing >= differencesMax) stopping.abort();
  };
  const startedMs = clock.monotonic();
  for (const each of served) {
    const comparison = new ListingComparison({
      served: each,
      bucket: options.bucket,
      prefix: options.prefix,
      origin,
      place,
      clock,
      onEntry,
      ttlMs: config.listCache.ttlMs,
    });
    for (const form of forms) {
      if (stopping.signal.aborted) break;
      if (!json)
        stderr.write(`Comparing the listing of ${printable(url)} at ${each.endpoint}, ${form.name}\n`);
      await comparison.compare(form, stopping.signal).catch((thrown: unknown) => {
        if (!stopping.signal.aborted) throw thrown;
      });
    }
  }
  const isFull = differing >= differencesMax;
  const stopped = isFull ? "differences" : stopping.signal.aborted ? "asked" : null;
  const seconds = (clock.monotonic() - startedMs) / 1000;
  const endpoints = served.map(({ endpoint }) => endpoint);
  const result = { url, endpoints, ...counts, differences, stopped, seconds, first };
  const report = reportOf(result);
  stdout.write(json ? `${JSON.stringify(result)}\n` : report);
  if (json && differing > 0) stderr.write(report);
  return differing === 0 && stopped === null ? 0 : 1;
}

function reportOf(result: {
  readonly url: string;
  readonly endpoints: readonly string[];
  readonly equal: number;
  readonly changed: number;
  readonly differences: Readonly<Record<ListingClass, number>>;
  readonly stopped: string | null;
  readonly seconds: number;
  readonly first: readonly ListingDifference[];
}): string {
  const { url, endpoints, equal, changed, differences, stopped, seconds, first } = result;
  const seen = listingClasses.filter((each) => differences[each] > 0);
  const found = seen.map((each) => `${differences[each]} ${each}`).join(", ");
  const lines = [
    `Compared listings of ${printable(url)} in ${forms.length} forms at ${endpoints.join(", ")} in ${seconds.toFixed(1)} s`,
    `${counted(equal, "entry").replace(/entrys$/, "entries")} equal, ${found === "" ? "no difference" : found}`,
  ];
  if (changed > 0) lines.push(`${changed} changed meanwhile: run it again once nothing writes there`);
  if (equal + changed + seen.length === 0 && stopped === null)
    lines.push("Neither lists anything below this prefix, so nothing was compared");
  if (stopped === "asked") lines.push("It was stopped before all was listed");
  if (stopped === "differences") lines.push(`It ended early, after ${differencesMax} differences`);
  for (const each of seen) {
    lines.push("", meanings[each]);
    for (const { key, endpoint, form, detail } of first.filter((one) => one.class === each))
      lines.push(`  ${printable(`${key === "" ? "" : `"${key}" `}(${form}, ${endpoint}): ${detail}`)}`);
  }
  return `${lines.join("\n")}\n`;
}
