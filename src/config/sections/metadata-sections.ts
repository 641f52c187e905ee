/** `metadata` and `list_cache`: how long Orca trusts what the origin said about objects and listings, and the settings of `metadata` that a bucket may have for itself. */
import { age, bytes, flag, integer, lifetime, mapEntriesMax, ratio } from "../codec.ts";
import { goSetting, optional, optionalSection, section, setting } from "../field.ts";

/** More than half would not leave room for one question in a TTL. */
const refreshAhead = ratio({ max: 0.5, orZero: true });

const likeCommon = "Set it where the objects of this bucket change more often, or less often, than others.";

export const metadataSection = section({
  ttl: setting(
    lifetime("5m"),
    "5m",
    "How long Orca trusts an object's size and ETag. `none` asks the origin on every request.",
    "Lower it where overwritten objects must show soon. Raise it where objects never change: fewer requests.",
  ),
  negative_ttl: setting(
    lifetime("60s"),
    "60s",
    "How long Orca remembers that an object does not exist or cannot be served.",
    "Lower it where clients ask for objects before they are written. Raise it to spare the origin questions about absent keys.",
  ),
  max_entries: goSetting(
    integer({ min: 1, max: mapEntriesMax }),
    "10000",
    "Objects whose metadata is kept, for each origin. In bytes, the metadata of all origins takes an eighth of `memory.max_bytes` and a quarter of V8's heap limit at most.",
    "Raise it above the number of objects in use: a forgotten object costs a request. Each takes about 1,700 bytes of heap, in a cluster twice, and what its user metadata takes; that counts as the heap of small chunks does (`memory.max_bytes`).",
  ),
  immutable: setting(
    flag(),
    "false",
    "Whether objects are never overwritten. What is known about an object that exists then never expires; absence does.",
    "`true` where every version has a key of its own: no HEAD is sent to check what is known. See [Objects that never change](operations/everyday-questions.md#objects-that-never-change).",
  ),
  refresh_ahead: setting(
    refreshAhead,
    "0",
    "The last part of `ttl` in which a request makes Orca ask again in the background: one HEAD for the whole cluster. `0` is none.",
    "`0.2` spares the readers of hot objects the wait for a HEAD after each `ttl`, for a quarter more HEADs for those objects.",
  ),
  stale_if_error: setting(
    age,
    "0s",
    "How long after its `ttl` metadata still answers while the origin is unreachable, fails or throttles. `0s` is not at all.",
    "Raise it where an old answer is better than an error: see [Answer while the origin fails](operations/when-the-store-fails.md#answer-while-the-origin-fails).",
  ),
});

/** In a bucket of an origin: what its objects have in place of the settings of `metadata`. */
export const bucketMetadataSection = optionalSection({
  ttl: optional(lifetime("that of metadata"), "`metadata.ttl` for objects of this bucket.", likeCommon),
  negative_ttl: optional(
    lifetime("that of metadata"),
    "`metadata.negative_ttl` for this bucket.",
    likeCommon,
  ),
  immutable: optional(flag(), "`metadata.immutable` for this bucket.", likeCommon),
  refresh_ahead: optional(refreshAhead, "`metadata.refresh_ahead` for this bucket.", likeCommon),
  stale_if_error: optional(age, "`metadata.stale_if_error` for this bucket.", likeCommon),
});

export const listCacheSection = section({
  ttl: setting(
    age,
    "60s",
    "How long Orca trusts a page of a listing. `0s` asks the origin every time.",
    "Lower it where new objects must appear in listings soon. Raise it for buckets that rarely change.",
  ),
  max_entries: setting(
    integer({ min: 0, max: 10_000_000 }),
    "1024",
    "Pages of listings kept, for each origin.",
    "Raise it where clients list many prefixes. `0` keeps none.",
  ),
  max_response_bytes: setting(
    bytes(),
    "1MiB",
    "A page that takes more memory is not kept.",
    "Raise it while `orca_listing_oversize_total` grows.",
  ),
  max_bytes: setting(
    bytes(),
    "64MiB",
    "Memory for pages of listings, for each origin. Those used least recently are dropped. In a cluster, half of it is for clients of this replica and half for pages that it asks the origin for.",
    "Raise it where clients list many prefixes again and again: a page of 1,000 keys takes 200 to 400 KiB. It is heap memory outside `memory.max_bytes`.",
  ),
  max_running: setting(
    integer({ min: 1, max: 1000 }),
    "8",
    "LISTs that run at once, for each origin. Up to 1,000 wait for `origin.queue_timeout` at most; after that, and beyond, clients get 503 SlowDown.",
    "Raise it while `orca_listing_waiting` stays above 0 and the origin and this replica's CPU have room. An answer may take up to 16 MiB while it is read.",
  ),
});
