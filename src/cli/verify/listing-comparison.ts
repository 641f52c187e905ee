/**
 * Compares a listing of Orca with the origin's, entry by entry, page after page: keys, sizes, ETags and common prefixes. Both
 * are read side by side in the order of their keys, so a page of each is in memory, whatever the size of the bucket.
 *
 * Orca may serve a listing that is as old as its settings allow (`list_cache.ttl`). An object that the origin has written
 * within that time counts as changed. When it has deleted one is unknown: such a key is `extra`.
 */
import type { Clock } from "../../base/clock.ts";
import type { GuardedOrigin } from "../../origin/guarded-origin.ts";
import type { ListedEntry, ServedObjects } from "./served-objects.ts";

/**
 * - `wrong`: size or ETag differ.
 * - `missing`: the origin lists it, and Orca does not.
 * - `extra`: Orca lists it, and the origin does not.
 * - `paging`: a page of Orca contradicts itself or the one before: order, counts, tokens.
 * - `failed`: Orca answers an error.
 * - `unread`: the origin cannot be listed, so nothing is known.
 */
export const listingClasses = ["wrong", "missing", "extra", "paging", "failed", "unread"] as const;
export type ListingClass = (typeof listingClasses)[number];

export interface ListingDifference {
  readonly class: ListingClass;
  /** As clients name it; empty where it is about no key. */
  readonly key: string;
  readonly endpoint: string;
  readonly form: string;
  readonly detail: string;
}

/** How a listing is asked for. */
export interface ListingForm {
  /** For people. */
  readonly name: string;
  readonly delimiter: string;
  readonly maxKeys: number;
  /** Of Orca. The origin is read as far. */
  readonly pagesMax: number;
}

export interface ListingComparisonOptions {
  readonly served: ServedObjects;
  /** As clients name them. */
  readonly bucket: string;
  readonly prefix: string;
  readonly origin: GuardedOrigin;
  /** Where the bucket is at the origin. */
  readonly place: { readonly bucket: string; readonly prefix: string };
  /** How old a listing of Orca may be. */
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly onEntry: (outcome: "equal" | "changed" | ListingDifference) => void;
}

interface OriginEntry extends ListedEntry {
  readonly lastModifiedMs?: number | undefined;
}

/** Ends a comparison: what comes after it would only be the same again. */
class Faulty extends Error {
  readonly class: ListingClass;

  constructor(kind: ListingClass, detail: string) {
    super(detail);
    this.class = kind;
  }
}

const originPageKeys = 1000;
/** Clocks differ, and times of objects have whole seconds. */
const youngSlackMs = 5000;

export class ListingComparison {
  readonly #options: ListingComparisonOptions;

  constructor(options: ListingComparisonOptions) {
    this.#options = options;
  }

  /** Rejects only with the reason of `signal`. */
  async compare(form: ListingForm, signal: AbortSignal): Promise<void> {
    const { served, onEntry } = this.#options;
    const tell = (kind: ListingClass, key: string, detail: string): void =>
      onEntry({ class: kind, key, endpoint: served.endpoint, form: form.name, detail });
    const ours = this.#served(form, signal);
    const theirs = this.#atOrigin(form, signal);
    try {
      let [our, their] = [await ours.next(), await theirs.next()];
      for (;;) {
        signal.throwIfAborted();
        // Orca's pages were cut off, so nothing is known of what comes after them.
        if (our.done && our.value === "cut") return;
        if (our.done && their.done) return;
        const order = orderOf(our.done ? undefined : our.value, their.done ? undefined : their.value);
        if (order === 0 && !our.done && !their.done) {
          const detail = differenceOf(our.value, their.value);
          if (detail === undefined) onEntry("equal");
          else if (this.#isYoung(their.value)) onEntry("changed");
          else tell("wrong", our.value.name, detail);
        } else if (order < 0 && !our.done) tell("extra", our.value.name, "the origin does not list it");
        else if (!their.done) {
          if (this.#isYoung(their.value)) onEntry("changed");
          else tell("missing", their.value.name, "Orca does not list it");
        }
        if (order <= 0) our = await ours.next();
        if (order >= 0) their = await theirs.next();
      }
    } catch (thrown) {
      signal.throwIfAborted();
      if (!(thrown instanceof Faulty)) throw thrown;
      tell(thrown.class, "", thrown.message);
    }
  }

  async *#served(
    { delimiter, maxKeys, pagesMax }: ListingForm,
    signal: AbortSignal,
  ): AsyncGenerator<ListedEntry, "cut" | "end"> {
    const { served, bucket, prefix } = this.#options;
    let [token, last] = ["", ""];
    for (let pages = 0; pages < pagesMax; pages += 1) {
      const page = await served
        .list(bucket, { prefix, delimiter, maxKeys, token }, signal)
        .catch((thrown: unknown) => {
          throw new Faulty("failed", reasonOf(thrown));
        });
      const { keyCount, isTruncated, nextToken } = page;
      const entries = page.entries.toSorted((left, right) => compareNames(left.name, right.name));
      if (keyCount !== entries.length || entries.length > maxKeys)
        throw new Faulty(
          "paging",
          `a page has ${entries.length} entries; KeyCount is ${keyCount}, MaxKeys ${maxKeys}`,
        );
      if (isTruncated !== (nextToken !== ""))
        throw new Faulty("paging", `IsTruncated is ${isTruncated}, and the page has a token or none`);
      for (const entry of entries) {
        if (last !== "" && compareNames(entry.name, last) <= 0)
          throw new Faulty("paging", `"${entry.name}" comes after "${last}"`);
        last = entry.name;
        yield entry;
      }
      if (!isTruncated) return "end";
      if (nextToken === token) throw new Faulty("paging", "a page has the token of the one before");
      token = nextToken;
    }
    return "cut";
  }

  async *#atOrigin({ delimiter }: ListingForm, signal: AbortSignal): AsyncGenerator<OriginEntry> {
    const { origin, place, prefix } = this.#options;
    const isListed = place.prefix.length;
    let continuationToken = "";
    do {
      signal.throwIfAborted();
      const page = await origin
        .list({
          bucket: place.bucket,
          prefix: place.prefix + prefix,
          delimiter,
          maxKeys: originPageKeys,
          startAfter: "",
          continuationToken,
        })
        .catch((thrown: unknown) => {
          throw new Faulty("unread", reasonOf(thrown));
        });
      const objects = page.objects.map(({ key, sizeBytes, etag, lastModifiedMs }) => ({
        name: key.slice(isListed),
        sizeBytes,
        etag,
        lastModifiedMs,
      }));
      const prefixes = page.commonPrefixes.map((each) => ({ name: each.slice(isListed) }));
      yield* [...objects, ...prefixes].sort((left, right) => compareNames(left.name, right.name));
      continuationToken = page.nextContinuationToken;
    } while (continuationToken !== "");
  }

  /** A common prefix has no time, and may be as young as its youngest object. */
  #isYoung({ etag, lastModifiedMs }: OriginEntry): boolean {
    if (etag === undefined) return false;
    const { ttlMs, clock } = this.#options;
    return clock.now() - (lastModifiedMs ?? 0) < ttlMs + youngSlackMs;
  }
}

/** Origins list keys in UTF-8 order. */
function compareNames(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

/** Negative where Orca's entry comes first. */
function orderOf(our: ListedEntry | undefined, their: OriginEntry | undefined): number {
  if (!our) return 1;
  return their ? compareNames(our.name, their.name) : -1;
}

function differenceOf(our: ListedEntry, their: OriginEntry): string | undefined {
  if (our.etag === their.etag && our.sizeBytes === their.sizeBytes) return undefined;
  return `Orca lists ${shown(our)}; the origin ${shown(their)}`;
}

function shown({ etag, sizeBytes }: ListedEntry): string {
  return etag === undefined ? "a common prefix" : `${sizeBytes} bytes, ETag "${etag}"`;
}

function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const status = (thrown as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  const text = thrown.message || ("code" in thrown ? String(thrown.code) : thrown.name);
  return status === undefined ? text : `Orca answers ${status} ${thrown.name}: ${text}`;
}
