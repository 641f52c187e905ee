/** Metrics of the origins, and of the caches of metadata and of listings in front of them. */
import type { Directory } from "../../object/directory.ts";
import type { ListingCache } from "../../object/listing-cache.ts";
import type { GuardedOrigin } from "../../origin/guarded-origin.ts";
import type { Hedge } from "../../origin/hedging/hedge.ts";
import type { Throttle } from "../../origin/throttling/throttle.ts";
import type { LabelledValue, MetricsRegistry } from "./metrics.ts";
import { type PartCounters, registerPartMetrics } from "./part-metrics.ts";

type OriginCounters = Pick<
  GuardedOrigin,
  "id" | "stats" | "requestsInFlight" | "requestsInFlightMax" | "requestsWaiting"
> & {
  readonly throttle: Pick<Throttle, "part" | "stats"> | undefined;
  readonly hedge: Pick<Hedge, "stats"> | undefined;
};

export interface OriginParts {
  readonly origins: readonly OriginCounters[];
  /** `origin.price_per_gb` of those that have one, by origin id, as are the next. */
  readonly prices: ReadonlyMap<string, number>;
  readonly directories: ReadonlyMap<string, Pick<Directory, "size" | "bytes" | "stats" | "freshness">>;
  readonly lists: ReadonlyMap<string, ListingCounters>;
  readonly parts: PartCounters;
  /** Those that ask the origin. Outside a cluster they are the same ones. */
  readonly authorityLists: ReadonlyMap<string, ListingCounters>;
}

type ListingCounters = Pick<ListingCache, "size" | "stats" | "bytes" | "running" | "waiting">;

export function registerOriginMetrics(metrics: MetricsRegistry, parts: OriginParts): void {
  registerRequests(metrics, parts.origins);
  registerPrices(metrics, parts.prices);
  registerOpenings(metrics, parts.origins);
  registerPermits(metrics, parts.origins);
  registerThrottles(metrics, parts.origins);
  registerHedges(metrics, parts.origins);
  registerDirectories(metrics, parts.directories);
  registerPartMetrics(metrics, parts.parts);
  registerListings(metrics, parts.lists);
  registerListingBounds(metrics, parts);
}

function registerPrices(metrics: MetricsRegistry, prices: OriginParts["prices"]): void {
  metrics.gauge(
    "orca_origin_price_per_gb",
    {
      meaning: "What 10^9 bytes from an origin cost, where origin.price_per_gb is set.",
      watch: "With orca_served_bytes_total and orca_origin_bytes_total, the money that the cache saves.",
    },
    () => [...prices].map(([origin, value]) => ({ labels: { origin }, value })),
  );
}

function registerRequests(metrics: MetricsRegistry, origins: OriginParts["origins"]): void {
  metrics.counter(
    "orca_origin_requests_total",
    {
      meaning:
        "Requests sent to an origin, each attempt counted, by operation: get, head, list, sub_resource (such as ?acl).",
      watch: "Lower is better.",
    },
    function* () {
      for (const { id, stats } of origins) {
        for (const [operation, value] of Object.entries(stats.requests))
          yield { labels: { origin: id, operation }, value };
      }
    },
  );
  metrics.counter(
    "orca_origin_errors_total",
    {
      meaning: "Requests to an origin that failed, by Orca's error code.",
      watch: "Should not grow. origin_denied: Orca's credentials or rights.",
    },
    function* () {
      for (const { id, stats } of origins) {
        for (const [code, value] of stats.errors) yield { labels: { origin: id, code }, value };
      }
    },
  );
  metrics.counter(
    "orca_origin_bytes_total",
    { meaning: "Object bytes received from an origin.", watch: "Lower is better." },
    perOrigin(origins, ({ stats }) => stats.bytes),
  );
  metrics.counter(
    "orca_origin_retries_total",
    { meaning: "Requests repeated after a failure.", watch: "Should stay low." },
    perOrigin(origins, ({ stats }) => stats.retries),
  );
  metrics.counter(
    "orca_origin_resumes_total",
    {
      meaning: "Of the retries, bodies resumed at the byte where they broke off.",
      watch: "Should stay low.",
    },
    perOrigin(origins, ({ stats }) => stats.resumes),
  );
  metrics.counter(
    "orca_origin_slow_bodies_total",
    {
      meaning: "Bodies abandoned because they brought fewer bytes than origin.min_rate. They are resumed.",
      watch: "Should not grow. The origin drips, or its link is too slow for origin.target_global.",
    },
    perOrigin(origins, ({ stats }) => stats.slowBodies),
  );
}

function registerOpenings(metrics: MetricsRegistry, origins: OriginParts["origins"]): void {
  metrics.counter(
    "orca_origin_openings_total",
    {
      meaning: "Objects of which nothing was known, and whose metadata and first bytes one GET brought.",
      watch: "Beside the HEADs in orca_origin_requests_total: how many cold reads cost one round trip.",
    },
    perOrigin(origins, ({ stats }) => stats.openings),
  );
  metrics.counter(
    "orca_origin_openings_wasted_total",
    {
      meaning: "Of the openings, those whose bytes were not taken: a tier held them, or there was no memory.",
      watch:
        "Should stay far below orca_origin_openings_total. Memory too small, or objects that return after a restart.",
    },
    perOrigin(origins, ({ stats }) => stats.openingsWasted),
  );
}

function registerPermits(metrics: MetricsRegistry, origins: OriginParts["origins"]): void {
  metrics.gauge(
    "orca_origin_requests_in_flight",
    {
      meaning: "Requests in flight to an origin. Each holds a permit until its body has ended.",
      watch: "At orca_origin_requests_max further requests wait.",
    },
    perOrigin(origins, (origin) => origin.requestsInFlight),
  );
  metrics.gauge(
    "orca_origin_requests_waiting",
    {
      meaning: "Requests that wait for a permit.",
      watch: "Above 0 for minutes: the origin is too slow, or origin.target_global too low.",
    },
    perOrigin(origins, (origin) => origin.requestsWaiting),
  );
  metrics.gauge(
    "orca_origin_requests_max",
    {
      meaning:
        "Requests that this replica may have in flight to an origin: its share of origin.target_global, cut while the origin throttles.",
      watch: "Changes with the number of live members, and with orca_origin_limit_part.",
    },
    perOrigin(origins, (origin) => origin.requestsInFlightMax),
  );
}

/** What an origin that answers 503 and 429 does to the limit. */
function registerThrottles(metrics: MetricsRegistry, origins: OriginParts["origins"]): void {
  metrics.gauge(
    "orca_origin_limit_part",
    {
      meaning:
        "Part of origin.target_global that the cluster uses, as this replica sees it. 1 unless the origin throttles.",
      watch: "Below 1 for hours: lower origin.target_global, or ask the origin's owner for more.",
    },
    perOrigin(origins, ({ throttle }) => throttle?.part ?? 1),
  );
  metrics.counter(
    "orca_origin_limit_cuts_total",
    {
      meaning:
        "Cuts of that part, by cause: throttled (the origin answered 503 or 429 to this replica), peer (another replica reported it).",
      watch: "Should not grow. While it does, the origin throttles.",
    },
    function* () {
      for (const { id, throttle } of origins) {
        yield { labels: { origin: id, cause: "throttled" }, value: throttle?.stats.cuts ?? 0 };
        yield { labels: { origin: id, cause: "peer" }, value: throttle?.stats.cutsHeard ?? 0 };
      }
    },
  );
  metrics.counter(
    "orca_origin_limit_passes_total",
    {
      meaning:
        "Requests that waited for origin.queue_timeout because of a cut, and were then sent as without it: a cut fails no request.",
      watch: "Should not grow. More is asked of the origin than it serves.",
    },
    perOrigin(origins, ({ throttle }) => throttle?.stats.letThrough ?? 0),
  );
}

/** With origin.hedge. All of them are 0 without it. */
function registerHedges(metrics: MetricsRegistry, origins: OriginParts["origins"]): void {
  metrics.counter(
    "orca_origin_hedges_total",
    {
      meaning: "HEADs and GETs sent a second time because the first had no answer yet (origin.hedge).",
      watch: "At most 5 % of orca_origin_requests_total.",
    },
    perOrigin(origins, ({ hedge }) => hedge?.stats.sent ?? 0),
  );
  metrics.counter(
    "orca_origin_hedges_won_total",
    {
      meaning: "Of these, requests whose second answer came first.",
      watch: "A small part of orca_origin_hedges_total: turn origin.hedge off, it helps little here.",
    },
    perOrigin(origins, ({ hedge }) => hedge?.stats.won ?? 0),
  );
  metrics.counter(
    "orca_origin_hedges_skipped_total",
    {
      meaning:
        "Requests that were slow and not sent a second time, by reason: credit (5 % were used up), permit (none was free).",
      watch: "credit grows fast: the origin is slow as a whole, and not now and then.",
    },
    function* () {
      for (const { id, hedge } of origins) {
        yield { labels: { origin: id, reason: "credit" }, value: hedge?.stats.withoutCredit ?? 0 };
        yield { labels: { origin: id, reason: "permit" }, value: hedge?.stats.withoutPermit ?? 0 };
      }
    },
  );
}

function registerDirectories(metrics: MetricsRegistry, directories: OriginParts["directories"]): void {
  metrics.gauge(
    "orca_directory_entries",
    {
      meaning: "Objects whose metadata is cached.",
      watch: "At metadata.max_entries some are forgotten, and each costs a request when it is read again.",
    },
    () => [...directories].map(([origin, directory]) => ({ labels: { origin }, value: directory.size })),
  );
  metrics.gauge(
    "orca_directory_bytes",
    {
      meaning: "Heap that these objects take, and the markers and last versions of others.",
      watch:
        "All directories of a replica, which in a cluster are two for each origin, together take an eighth of memory.max_bytes and a quarter of V8's heap limit at most. Then some objects are forgotten.",
    },
    () => [...directories].map(([origin, directory]) => ({ labels: { origin }, value: directory.bytes })),
  );
  metrics.counter(
    "orca_directory_lookups_total",
    {
      meaning:
        "Look-ups of metadata, by result: hit, negative_hit (known to be absent), miss (the source was asked), join (a question was in flight).",
      watch: "The smaller the part of miss, the better.",
    },
    function* () {
      for (const [origin, { stats }] of directories) {
        yield { labels: { origin, result: "hit" }, value: stats.hits };
        yield { labels: { origin, result: "negative_hit" }, value: stats.negativeHits };
        yield { labels: { origin, result: "miss" }, value: stats.misses };
        yield { labels: { origin, result: "join" }, value: stats.joins };
      }
    },
  );
  metrics.counter(
    "orca_directory_checks_total",
    {
      meaning:
        "Checks of metadata that was cached and fresh, by reason: refresh (asked the object's coordinator, for a read in parts), revalidation (the If-Match of a client named another ETag).",
      watch: "Many revalidations: objects are overwritten while they are read.",
    },
    function* () {
      for (const [origin, { stats }] of directories) {
        yield { labels: { origin, reason: "refresh" }, value: stats.refreshes };
        yield { labels: { origin, reason: "revalidation" }, value: stats.revalidations };
      }
    },
  );
  registerFreshness(metrics, directories);
}

function registerFreshness(metrics: MetricsRegistry, directories: OriginParts["directories"]): void {
  metrics.counter(
    "orca_directory_ahead_total",
    {
      meaning:
        "Questions about metadata in use before it expires (metadata.refresh_ahead), by outcome: answered, failed. In a cluster they go to the object's coordinator.",
      watch: "Failures: see orca_origin_errors_total.",
    },
    function* () {
      for (const [origin, { freshness }] of directories) {
        const { answered, failed } = freshness.ahead;
        yield { labels: { origin, outcome: "answered" }, value: answered };
        yield { labels: { origin, outcome: "failed" }, value: failed };
      }
    },
  );
  metrics.counter(
    "orca_directory_stale_answers_total",
    {
      meaning:
        "Requests that metadata answered after its TTL, because the origin failed (metadata.stale_if_error).",
      watch: "Grows only while the origin fails: see orca_origin_errors_total.",
    },
    function* () {
      for (const [origin, { freshness }] of directories)
        yield { labels: { origin }, value: freshness.stale.answers };
    },
  );
}

function registerListings(metrics: MetricsRegistry, lists: OriginParts["lists"]): void {
  metrics.gauge(
    "orca_listing_entries",
    { meaning: "Listings that are cached.", watch: "list_cache.max_entries bounds it." },
    () => [...lists].map(([origin, cache]) => ({ labels: { origin }, value: cache.size })),
  );
  metrics.counter(
    "orca_listing_lookups_total",
    {
      meaning: "Look-ups of listings, by result: hit, miss (a LIST was sent), join (a LIST was in flight).",
      watch: "The smaller the part of miss, the better.",
    },
    function* () {
      for (const [origin, { stats }] of lists) {
        yield { labels: { origin, result: "hit" }, value: stats.hits };
        yield { labels: { origin, result: "miss" }, value: stats.misses };
        yield { labels: { origin, result: "join" }, value: stats.joins };
      }
    },
  );
  metrics.counter(
    "orca_listing_oversize_total",
    {
      meaning: "Listings not cached because they exceed list_cache.max_response_bytes.",
      watch: "Grows as fast as misses: raise list_cache.max_response_bytes.",
    },
    () => [...lists].map(([origin, { stats }]) => ({ labels: { origin }, value: stats.oversize })),
  );
}

/** What bounds the memory and the time that listings take. */
function registerListingBounds(metrics: MetricsRegistry, { lists, authorityLists }: OriginParts): void {
  const ofBoth = (read: (cache: ListingCounters) => number) => () =>
    [...authorityLists].map(([origin, authority]) => {
      const caches = new Set([authority, lists.get(origin) ?? authority]);
      return { labels: { origin }, value: [...caches].reduce((sum, cache) => sum + read(cache), 0) };
    });
  metrics.gauge(
    "orca_listing_bytes",
    {
      meaning: "Memory of the listings that are cached, for clients and for peers.",
      watch: "list_cache.max_bytes bounds it.",
    },
    ofBoth(({ bytes }) => bytes),
  );
  metrics.gauge(
    "orca_listing_running",
    { meaning: "LISTs that this replica sends to an origin.", watch: "list_cache.max_running bounds it." },
    () => [...authorityLists].map(([origin, { running }]) => ({ labels: { origin }, value: running })),
  );
  metrics.gauge(
    "orca_listing_waiting",
    {
      meaning: "Requests for listings that wait because list_cache.max_running others run.",
      watch: "Above 0 for minutes: raise list_cache.max_running, or find the client that lists so much.",
    },
    ofBoth(({ waiting }) => waiting),
  );
}

function perOrigin(
  origins: OriginParts["origins"],
  read: (origin: OriginCounters) => number,
): () => LabelledValue[] {
  return () => origins.map((origin) => ({ labels: { origin: origin.id }, value: read(origin) }));
}
