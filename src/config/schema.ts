/**
 * Every setting of Orca: its key, meaning, default and bounds, written once. What reads a configuration, what prints
 * it, the types of Config and the table in the README all come from here. The keys are the Go Orca's, so that its
 * file loads unchanged.
 */
import { MiB } from "../base/units.ts";
import { defaultChunkTiers } from "../chunk/layout.ts";
import { dialAddress, ipAddress, replicaUrl } from "./address-codec.ts";
import { bytes, duration, endpoint, flag, integer, listenAddress, oneOf, ratio, text } from "./codec.ts";
import {
  listOf,
  mapOf,
  optional,
  optionalSection,
  type Row,
  required,
  section,
  setting,
  type ValueOf,
  withoutEffect,
} from "./field.ts";

/** A deadline: node's timers hold no more than 24 days, and one of 0 would fail everything. */
const deadline = duration({ min: "1ms", max: "24h" });
/** As a deadline, but 0 has a meaning of its own. */
const wait = duration({ max: "24h" });
/** How long something may be believed. */
const age = duration({ max: "87600h" });
const chunkSize = bytes({ min: "1MiB", max: "1GiB", multipleOf: "1MiB" });
/** Ids are segments of paths in every store. */
const id = text(/^(?!\.{1,2}$)[\w.-]{1,64}$/, "1 to 64 of the characters A-Z a-z 0-9 . _ -");

/** What an S3 service takes to be reached, be it an origin or the cachestore. */
const s3Endpoint = optional(endpoint(), "Address of an S3 service other than AWS.");
const s3Signing = {
  region: setting(
    text(/^[\w-]+$/, "a region such as eu-central-1"),
    "us-east-1",
    "Region requests are signed for.",
  ),
  use_path_style: setting(
    flag(),
    "false",
    "Name the bucket in the path, as most services other than AWS want it.",
  ),
};

const server = section({
  listen: setting(listenAddress(), "0.0.0.0:8443", "Where S3 clients connect; port 0 takes a free one."),
  ops_listen: setting(
    listenAddress(),
    "0.0.0.0:8442",
    "Where `/healthz`, `/readyz`, `/metrics`, `/cluster`, `/cache` and `/inspect` are served.",
  ),
  ops_actions: setting(
    oneOf("local", "all", "none"),
    "local",
    "Who may clear and verify the cache by the ops listener, which knows no users: this host, whoever reaches it, or nobody.",
  ),
  tls: optionalSection({
    cert_file: required(
      text(),
      "",
      "Certificate chain (PEM) shown to clients. Without `server.tls`, plain HTTP.",
    ),
    key_file: required(text(), "", "Private key (PEM) of the certificate."),
    client_ca_file: optional(text(), "Authorities (PEM) a client's certificate must come from."),
  }),
  auth: section({
    enabled: setting(
      flag(),
      "false",
      "Ask clients for credentials. This version cannot yet: only `false` is taken.",
    ),
    mode: withoutEffect(
      listOf(
        required(oneOf("sigv4", "bearer", "mtls"), "sigv4", ""),
        ["sigv4"],
        "How clients prove who they are: `sigv4`, `bearer`, `mtls`, or a list of these.",
      ),
    ),
    access_keys_file: withoutEffect(optional(text(), "File of access keys for `sigv4`.")),
    bearer_secret_file: withoutEffect(
      optional(text(), "File with the secret that signs tokens for `bearer`."),
    ),
    anonymous: withoutEffect(setting(flag(), "false", "Answer requests without credentials too.")),
  }),
  domain: optional(
    text(/^[\w.-]+$/, "a domain such as s3.example.com"),
    "Buckets are also served as `<bucket>.<domain>`, as S3 clients ask for them without path style.",
  ),
  max_connections: setting(
    integer({ min: 1, max: 1_000_000 }),
    "10000",
    "Connections of clients at once; one more is closed at once.",
  ),
  max_requests: setting(
    integer({ min: 1, max: 1_000_000 }),
    "10000",
    "Requests answered at once; one more is told to slow down.",
  ),
  client_stall_timeout: setting(deadline, "60s", "A client that takes no byte for so long is cut off."),
  keep_alive_timeout: setting(deadline, "75s", "How long a connection may lie unused between two requests."),
  header_timeout: setting(
    deadline,
    "20s",
    "How long a client may take to send a request; looked at once in that time, so at the latest twice as long.",
  ),
  drain_timeout: setting(wait, "30s", "How long running responses may go on after SIGTERM."),
});

const originFields = {
  id: required(id, "", "Names this origin in every store: changing it makes all that is cached unknown."),
  driver: setting(oneOf("awss3", "azureblob", "file"), "awss3", "What kind of store it is."),
  target_global: setting(
    integer({ min: 1, max: 100_000 }),
    "192",
    "Requests in flight to this origin at once, from the whole cluster. More is faster until the origin throttles.",
  ),
  queue_timeout: setting(
    wait,
    "5s",
    "How long a request waits for its turn before the client is told to slow down.",
  ),
  connect_timeout: setting(deadline, "5s", "How long a connection to the origin may take."),
  attempt_timeout: setting(deadline, "30s", "How long one request may take until its answer begins."),
  stall_timeout: setting(
    deadline,
    "15s",
    "A body that brings no byte for so long is broken off and taken up again.",
  ),
  retry: section({
    attempts: setting(
      integer({ min: 1, max: 100 }),
      "3",
      "Attempts in all. More hides longer outages, and makes a failing request slower to say so.",
    ),
    backoff_initial: setting(
      wait,
      "100ms",
      "Pause before the second attempt; it doubles for each one after.",
    ),
    backoff_max: setting(wait, "2s", "No pause is longer, unless the origin asks for it."),
    max_total_duration: setting(wait, "5s", "No attempt begins later than this after the first one failed."),
  }),
  buckets: mapOf(
    section({
      bucket: optional(
        text(),
        "Bucket or container at the origin; left out, the one configured for the driver.",
      ),
      prefix: optional(text(), "Put in front of every key; `logs/` shows only what is below it."),
    }),
    "The buckets clients see, by name. Left out: the configured bucket or container, under its own name.",
  ),
  awss3: optionalSection({
    bucket: optional(text(), "Bucket. Required, unless every one of `buckets` names its own."),
    endpoint: s3Endpoint,
    ...s3Signing,
  }),
  azureblob: optionalSection({
    account: required(text(/^[a-z0-9]{3,24}$/, "3 to 24 of the characters a-z 0-9"), "", "Storage account."),
    container: optional(text(), "Container. Required, unless every one of `buckets` names its own."),
    endpoint: optional(
      endpoint(),
      "Address of a blob service other than `https://<account>.blob.core.windows.net`.",
    ),
  }),
  file: optionalSection({
    root: required(text(), "", "Directory whose files are the objects. Its last segment is the bucket."),
  }),
};

const chunkTier = section({
  min_object_size: required(bytes({ min: "1" }), Number.NaN, "Objects of this size or more are cut so."),
  chunk_size: required(chunkSize, MiB, "Size of their chunks."),
});

const cachestore = section({
  driver: setting(
    oneOf("none", "s3", "posixfs"),
    "none",
    "The store all replicas share: an S3 service or a file system in the datacentre.",
  ),
  s3: optionalSection({
    endpoint: s3Endpoint,
    bucket: optional(text(), "Bucket that holds the chunks, for Orca alone and without versioning."),
    ...s3Signing,
    commit: setting(
      oneOf("auto", "conditional", "stat"),
      "auto",
      "How two replicas are kept from writing one chunk: `If-None-Match`, or a look before. `auto` finds out what the store honours.",
    ),
    max_requests: setting(
      integer({ min: 1, max: 10_000 }),
      "64",
      "Reads in flight at once. More is faster until the store slows down.",
    ),
    max_commits: setting(
      integer({ min: 1, max: 1000 }),
      "8",
      "Commits in flight at once. The chunks of those that wait stay in memory.",
    ),
    queue_timeout: setting(wait, "1s", "How long a read waits for its turn before it goes to the origin."),
  }),
  posixfs: optionalSection({
    root: optional(text(), "Directory on the shared file system. It must be there already."),
  }),
  connect_timeout: setting(deadline, "1s", "How long a connection to the store may take."),
  attempt_timeout: setting(
    deadline,
    "5s",
    "How long the store may take until an answer begins; on a file system, each call.",
  ),
  stall_timeout: setting(deadline, "5s", "How long the store may take for each MiB of an answer."),
  commit_timeout: setting(deadline, "30s", "How long a commit to a file system may take."),
  breaker_window: setting(
    deadline,
    "30s",
    "Ten errors of the store within so long, and it is left alone: reads go to peers and the origin, commits are dropped.",
  ),
  breaker_open: setting(deadline, "30s", "How long it is left alone until it is tried again."),
  max_hints: setting(
    integer({ min: 1, max: 100_000_000 }),
    "100000",
    "Chunks that are remembered to be in the store. A hint takes about 200 bytes, and saves asking.",
  ),
});

const memory = section({
  max_bytes: setting(
    bytes(),
    "1GiB",
    "Bound on all chunk bytes in memory: cached, being filled, and on their way to clients. At least two of the largest chunks.",
  ),
  queue_timeout: setting(
    wait,
    "15s",
    "How long a read waits for memory before its client is told to slow down. After half of it, commits to disk are let go of.",
  ),
});

const disk = optionalSection({
  root: required(
    text(),
    "",
    "Directory of the disk tier, for this replica alone. Without `disk`, there is none.",
  ),
  max_bytes: setting(bytes(), "10GiB", "Bound on the bytes on disk. At least two of the largest chunks."),
  high_watermark: setting(
    ratio(),
    "0.95",
    "Share of `disk.max_bytes` at which chunks begin to be let go of.",
  ),
  low_watermark: setting(ratio(), "0.85", "Share of `disk.max_bytes` at which that ends."),
  fsync: setting(
    flag(),
    "false",
    "Wait for the medium at each commit. Off costs nothing but refills: a damaged chunk is found by its checksum.",
  ),
});

const chunking = section({
  size: setting(chunkSize, "8MiB", "Size of a chunk. Changing it makes all that is cached unknown."),
  tiers: listOf(
    chunkTier,
    defaultChunkTiers.slice(1),
    "Larger chunks for larger objects, in ascending order.",
  ),
  readahead: setting(integer({ min: 0, max: 1024 }), "8", "Chunks brought ahead of the one being sent."),
});

const metadata = section({
  ttl: setting(
    age,
    "5m",
    "How long an object's size and ETag are believed; `0s` asks the origin on every request.",
  ),
  negative_ttl: setting(age, "60s", "How long the absence of an object is believed."),
  max_entries: setting(integer({ min: 1, max: 100_000_000 }), "10000", "Objects whose metadata is kept."),
  stale_if_error: setting(
    age,
    "0s",
    "How long past its TTL metadata is used while the origin fails. This version cannot yet: only `0s` is taken.",
  ),
});

const listCache = section({
  ttl: setting(age, "60s", "How long a page of a listing is believed; `0s` asks the origin each time."),
  max_entries: setting(integer({ min: 0, max: 10_000_000 }), "1024", "Pages kept."),
  max_response_bytes: setting(bytes(), "1MiB", "A larger page is not kept."),
});

const cluster = section({
  peers: listOf(
    required(replicaUrl(), "", ""),
    [],
    "Replicas to find the cluster by, as `https://host:8444` (`http://` where `internal_tls` is off). One that runs is enough, and this replica may be among them. Without `peers` and `service`, a cluster of one.",
  ),
  service: optional(
    text(/^[\w.-]{1,253}$/, "a host name such as orca-headless.default.svc"),
    "Headless Service to find the cluster by: each of its addresses is a replica, with the port of `internal_listen`.",
  ),
  membership_refresh: setting(
    deadline,
    "5s",
    "How often `service` is looked up, and those of `peers` that are no members are tried.",
  ),
  internal_listen: setting(
    listenAddress(),
    "0.0.0.0:8444",
    "Where other replicas connect; not opened in a cluster of one.",
  ),
  advertise: optional(
    dialAddress(),
    "Address other replicas reach this one at, as `host:port`. Left out: `self_pod_ip`, else the host of `internal_listen`, else the machine's first IPv4 address, with the port listened on.",
  ),
  self_pod_ip: optional(ipAddress(), "This replica's own IP address, where `advertise` is left out."),
  replica_id: optional(
    id,
    "Names this replica and its part of `disk.root`; unique in the cluster. Left out, one is made and kept there.",
  ),
  zone: optional(
    text(/^.{1,64}$/u, "1 to 64 characters"),
    "Failure domain of this replica, which others and `orca status` are told.",
  ),
  stall_timeout: setting(
    duration({ min: "100ms", max: "1h" }),
    "5s",
    "A peer that sends nothing for so long is given up, and its bytes are had elsewhere. One that still waits for the origin says so every quarter of this: set it alike on all replicas.",
  ),
  replication: setting(
    integer({ min: 1, max: 16 }),
    "1",
    "Replicas that keep each chunk on their own disks: needs `disk`, and no cachestore. Where there are fewer replicas, all keep it.",
  ),
  target_replicas: withoutEffect(
    setting(integer({ min: 1, max: 10_000 }), "3", "Replicas the cluster should have."),
  ),
  internal_tls: section({
    enabled: setting(
      flag(),
      "false",
      "TLS with client certificates between replicas. Without it, whoever reaches `internal_listen` is a member. On, the four below are required.",
    ),
    cert_file: optional(text(), "Certificate chain (PEM) of this replica, for both ends of a connection."),
    key_file: optional(text(), "Private key (PEM) of the certificate."),
    ca_file: optional(text(), "Authorities (PEM) of the cluster."),
    server_name: optional(
      text(/^[\w.-]{1,253}$/, "a DNS name such as orca.internal"),
      "The cluster's identity: a DNS name that every replica's certificate must carry.",
    ),
  }),
});

export const schema = section({
  server,
  origin: optionalSection(originFields),
  origins: listOf(
    section(originFields),
    [],
    "Several origins in place of `origin`: a list of such sections, each with its own id and buckets.",
  ),
  cachestore,
  memory,
  disk,
  chunking,
  metadata,
  list_cache: listCache,
  cluster,
  logging: section({
    level: setting(
      oneOf("debug", "info", "warn", "error"),
      "info",
      "The least important events that are logged.",
    ),
  }),
});

/** What a person wrote, with defaults filled in; Config is made of it once it is known to be whole. */
export type Settings = ValueOf<typeof schema>;
export type OriginSettings = Settings["origins"][number];

/** Every setting once: the fields of `origins[]` are those of `origin`, and are not told twice. */
export function settingRows(): Row[] {
  return schema.rows("").filter((row) => !row.path.startsWith("origins[]"));
}

/** The table of settings in the README: path | default | meaning. */
export function configTable(): string {
  const lines = settingRows().map(({ path, defaultText, doc }) =>
    [`\`${path}\``, defaultText, doc].map((cell) => cell.replaceAll("|", "\\|")).join(" | "),
  );
  return ["| Setting | Default | Meaning |", "|---|---|---|", ...lines.map((line) => `| ${line} |`), ""].join(
    "\n",
  );
}
