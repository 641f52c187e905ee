/** `cachestore`: the store that all replicas share, and how long Orca waits for it before it goes elsewhere. */
import { deadline, integer, mapEntriesMax, oneOf, text, wait } from "../codec.ts";
import { driverSection } from "../driver-section.ts";
import { optional, optionalSection, section, setting, zeroMeans } from "../field.ts";
import { s3Endpoint, s3Signing } from "./s3-fields.ts";

const s3 = optionalSection({
  endpoint: s3Endpoint,
  bucket: optional(
    text(),
    "Bucket that holds the chunks. Required with `driver: s3`.",
    "Give Orca a bucket of its own that never had versions, with a lifecycle rule that expires objects: Orca frees no room there.",
  ),
  ...s3Signing,
  commit: setting(
    oneOf("auto", "conditional", "stat"),
    "auto",
    "How two replicas avoid writing one chunk twice: `conditional` (`If-None-Match`), `stat` (look first), or `auto` (what the store supports).",
    "Keep `auto`. `conditional` stops the start where the store ignores conditions.",
  ),
  max_requests: setting(
    integer({ min: 1, max: 10_000 }),
    "64",
    "Reads in flight at once from this replica.",
    "Raise it until the store slows down. Lower it when the store is overloaded.",
  ),
  max_commits: setting(
    integer({ min: 1, max: 1000 }),
    "8",
    "Commits in flight at once from this replica. The chunks of waiting commits stay in memory.",
    "Raise it while commits are dropped for memory and the store is not busy. Lower it to leave the store to reads.",
  ),
  queue_timeout: setting(
    wait,
    "1s",
    "How long a read waits for its turn before the chunk is fetched elsewhere.",
    "Raise it where a busy store is still faster than the origin. Lower it where the origin is near.",
  ),
});

const hintsDefault = "100000";
const hints = integer({ min: 1, max: mapEntriesMax });

const fields = section({
  driver: setting(
    oneOf("none", "s3", "posixfs"),
    "none",
    "The store that all replicas share: none, an S3 service, or a file system that all replicas mount. Required where the section of a driver is filled in, and the other sections must be empty.",
    "Set it, alike on all replicas, where such a store is nearer than the origin. It excludes `cluster.replication`.",
  ),
  s3,
  posixfs: optionalSection({
    root: optional(
      text(),
      "Directory on the shared file system. Required with `driver: posixfs`. Orca does not create it.",
      "Give Orca a directory of its own, on a file system with hard links.",
    ),
  }),
  connect_timeout: setting(
    deadline,
    "1s",
    "How long connecting to the store may take (`s3`).",
    "Lower it to go elsewhere sooner while the store is unreachable. Raise it for a distant store.",
  ),
  attempt_timeout: setting(
    deadline,
    "5s",
    "How long the store may take until a response begins; with `posixfs`, how long one file system call may take.",
    "Lower it if your store hangs rather than fails: until the breaker opens, each read may wait this long.",
  ),
  stall_timeout: setting(
    deadline,
    "5s",
    "How long the store may take for each MiB of a response, or accept no byte of a commit (`s3`).",
    "Lower it to give up a hung transfer sooner. Raise it for a slow link to the store.",
  ),
  commit_timeout: setting(
    deadline,
    "30s",
    "How long one commit to the file system may take (`posixfs`).",
    "Raise it for a file system that is slow to sync large chunks.",
  ),
  breaker_window: setting(
    deadline,
    "30s",
    "Ten errors of the store within this time open the breaker: reads then go to peers and the origin, and commits are dropped.",
    "Raise it to give up a flaky store sooner. Lower it to tolerate more errors.",
  ),
  breaker_open: setting(
    deadline,
    "30s",
    "How long the breaker stays open before three operations try the store again.",
    "Lower it to return sooner after short outages. Raise it to send a recovering store fewer requests.",
  ),
  max_hints: setting(
    hints,
    hintsDefault,
    "Chunks that this replica remembers to be in the store, about 200 bytes each.",
    "Raise it above the number of chunks in use: a hint saves a question to the chunk's coordinator.",
  ),
});

export const cachestoreSection = driverSection(fields, {
  drivers: ["s3", "posixfs"],
  none: "none",
  aliases: { awss3: "s3" },
});

/** Where the Orca written in Go has {@link cachestoreSection}'s `max_hints`. */
export const chunkCatalogSection = section({
  max_entries: optional(
    zeroMeans(hints, hintsDefault),
    "The name of `cachestore.max_hints` in a file of the Orca written in Go.",
    "Set `cachestore.max_hints` in its place. Setting both is a fault.",
  ),
});
