/** `origin`, and each item of `origins`: where the objects come from, and how Orca asks for them. */
import {
  bytes,
  deadline,
  decimal,
  duration,
  endpoint,
  flag,
  id,
  integer,
  oneOf,
  ratio,
  text,
  wait,
} from "../codec.ts";
import { goSetting, mapOf, optional, optionalSection, required, section, setting } from "../field.ts";

import { bucketMetadataSection } from "./metadata-sections.ts";
import { s3Endpoint, s3Signing } from "./s3-fields.ts";

const retry = section({
  attempts: goSetting(
    integer({ min: 1, max: 100 }),
    "3",
    "Attempts in all, the first one included.",
    "Raise it to hide longer outages; a request that fails then fails later. `1` turns retries off.",
  ),
  backoff_initial: goSetting(
    wait,
    "100ms",
    "Pause before the second attempt. It doubles with each attempt; jitter takes away up to half of it.",
    "Raise it to spare an overloaded origin. Lower it to recover faster from single failures.",
  ),
  backoff_max: goSetting(
    wait,
    "2s",
    "Longest pause, unless the origin asks for a longer one with `Retry-After`.",
    "Raise it together with `attempts` and `max_total_duration` to ride out long outages.",
  ),
  max_total_duration: goSetting(
    wait,
    "5s",
    "No attempt begins later than this after the first failure. A `Retry-After` that is longer goes to the client.",
    "Raise it to hide longer outages. Lower it so that clients see an error sooner.",
  ),
});

const buckets = mapOf(
  section({
    bucket: optional(
      text(),
      'Bucket or container at the origin. Left out: the one that the driver\'s section names. Not for `"*"`.',
      "Set it for a bucket that the driver's section does not name.",
    ),
    prefix: optional(
      text(),
      "Put in front of every key: with `logs/`, clients see only the keys below `logs/`, without that part.",
      "Set it to show clients a part of a bucket. They cannot leave it, unless `allow_dot_segments` is set wrongly.",
    ),
    metadata: bucketMetadataSection,
    disk_share: optional(
      ratio(),
      'Share of `disk.max_bytes` and of `disk.max_chunks`, on each replica, up to which this bucket keeps its chunks: no other one evicts them. What it does not use is for all. All shares together are at most `disk.low_watermark`, and leave the rest of it to pins. Of `"*"`: one share for all buckets that are not named.',
      "Set it for a bucket whose objects must stay while others are scanned. See [A share of the disk for a bucket](operations/buckets.md#a-share-of-the-disk-for-a-bucket).",
    ),
    priority: setting(
      oneOf("low", "normal", "high"),
      "normal",
      "Which chunks are evicted first from disk, of those beyond the shares: all of `low` before the first of `normal`, all of `normal` before the first of `high`. Memory, fetches and warm-ups do not look at it.",
      "`low` for a bucket that is read once, such as backups. `high` only for a bucket that is smaller than the disk: it evicts all others down to their shares.",
    ),
  }),
  'Buckets that clients see, by name. Left out: the configured bucket or container, under its own name. `"*"` is every other bucket of the origin, under its own name. At most one origin has it.',
  'Set it to rename buckets, to serve several buckets of one origin, or to show only a prefix. Set `"*": {}` where buckets come and go: see [Every bucket of an origin](operations/buckets.md).',
);

const azureblob = optionalSection({
  account: required(
    text(/^[a-z0-9]{3,24}$/, "3 to 24 of the characters a-z 0-9"),
    "",
    "Storage account.",
    "Set it to the account that holds the container.",
  ),
  container: optional(
    text(),
    "Container. Required, unless every entry of `buckets` names its own.",
    "Set it to the container to serve.",
  ),
  endpoint: optional(
    endpoint(),
    "Address of a blob service other than `https://<account>.blob.core.windows.net`.",
    "Set it for Azurite, for a sovereign cloud or for a private endpoint.",
  ),
});

/** Without `driver`, the section that is filled in says which. */
export const originDrivers = {
  drivers: ["awss3", "azureblob", "file"],
  aliases: { s3: "awss3" },
} as const;

export const originFields = {
  id: required(
    id,
    "",
    "Names this origin in every store.",
    "Choose it once. A new id makes everything that is cached unknown.",
  ),
  driver: setting(
    oneOf("awss3", "azureblob", "file"),
    "awss3",
    "Kind of origin: an S3 service, Azure Blob Storage, or a directory. Left out: the kind whose section is filled in. The sections of the other kinds must be empty.",
    "Set it to the kind of your origin, and fill in the section of that name.",
  ),
  target_global: goSetting(
    integer({ min: 1, max: 100_000 }),
    "192",
    "Requests in flight to this origin from the whole cluster. Each live replica takes an equal share, at least 1. While the origin throttles (503, 429), fewer are in flight. In a cluster, at least `cluster.target_replicas`.",
    "Raise it while requests wait (`orca_origin_requests_waiting`) and the origin does not throttle. Lower it when the origin throttles. Set it alike on all replicas.",
  ),
  queue_timeout: goSetting(
    wait,
    "5s",
    "How long a request waits for its turn at the origin before the client gets 503 SlowDown. While the origin throttles, up to twice as long.",
    "Raise it to let clients wait through bursts. Lower it to fail sooner.",
  ),
  connect_timeout: setting(
    deadline,
    "5s",
    "How long connecting to the origin may take.",
    "Raise it for a distant origin. Lower it to retry sooner while the origin is unreachable.",
  ),
  attempt_timeout: setting(
    deadline,
    "30s",
    "How long one attempt may take until its response begins.",
    "Lower it if your origin hangs rather than fails. Raise it if it is healthy and slow to answer.",
  ),
  stall_timeout: setting(
    deadline,
    "15s",
    "A response body that brings no byte for this long is abandoned and resumed at the byte where it stopped.",
    "Lower it to give up a hung transfer sooner. Raise it if a healthy origin pauses for longer.",
  ),
  min_rate: setting(
    bytes({ max: "1GiB" }),
    "16KiB",
    "A response body that brings fewer bytes a second than this, over `min_rate_window`, is abandoned and resumed at the byte where it stopped. `0` is no minimum.",
    "Raise it to free memory and permits from a slow origin sooner. Lower it where `target_global` requests share a slow link.",
  ),
  min_rate_window: setting(
    duration({ min: "1s", max: "1h" }),
    "30s",
    "How long a response body may stay below `min_rate`.",
    "Raise it for an origin that pauses within a body. Lower it to notice a slow body sooner.",
  ),
  hedge: setting(
    flag(),
    "false",
    "Whether a HEAD or GET whose response has not begun when 95 % of the newest ones had is sent again, and the response that begins first is used. At most 5 % more requests.",
    "`true` for an origin that now and then takes far longer to answer than usual, where a few more requests cost little. See [The origin is slow now and then](operations/symptoms.md#the-origin-is-slow-now-and-then).",
  ),
  price_per_gb: setting(
    decimal({ max: 1000 }),
    "0",
    "What 10^9 bytes read from this origin cost, in any currency. The console then shows what the cache saved in money. `0` shows nothing.",
    "Set it to your price of egress, such as `0.09`.",
  ),
  retry,
  buckets,
  allow_dot_segments: setting(
    flag(),
    "false",
    "Whether keys with a segment `.` or `..` are sent to an S3 origin that may resolve them: one that is not AWS, or below a `prefix`. AWS without a prefix always gets them, Azure and directories never.",
    "Set it if such keys exist, and neither the origin nor a proxy in front of it resolves them: else clients can leave a `prefix`.",
  ),
  awss3: optionalSection({
    bucket: optional(
      text(),
      "Bucket. Required, unless every entry of `buckets` names its own.",
      "Set it to the bucket to serve.",
    ),
    endpoint: s3Endpoint,
    ...s3Signing,
    bucket_owner: optional(
      text(/^\d{12}$/, "an account id of twelve digits"),
      "AWS account that owns the buckets. A request whose `x-amz-expected-bucket-owner` is another gets 403, and any such request where this is not set.",
      "Set it for clients that send `x-amz-expected-bucket-owner`.",
    ),
    request_payer: setting(
      flag(),
      "false",
      "Whether Orca tells the origin that it pays for requests (`x-amz-request-payer: requester`).",
      "`true` for Requester Pays buckets. The account of Orca's credentials pays, whichever client reads.",
    ),
  }),
  azureblob,
  file: optionalSection({
    root: required(
      text(),
      "",
      'Directory whose files are the objects. Its last path segment is the name of the bucket. With `"*"` in `buckets`, each directory in it is a bucket.',
      "Set it to the directory to serve. Replace files by renaming, and let all replicas mount one tree: see [A directory as origin](s3-compatibility.md#a-directory-as-origin).",
    ),
  }),
};
