/** `memory`, `disk` and `chunking`: what a replica keeps itself, and in pieces of which size. */
import { MiB } from "../../base/units.ts";
import { diskChunksBound } from "../../chunk/chunk-costs.ts";
import { defaultChunkTiers } from "../../chunk/chunk-layout.ts";
import { age, bytes, duration, flag, integer, oneOf, ratio, text, wait } from "../codec.ts";
import { goSetting, listOf, optional, optionalSection, required, section, setting } from "../field.ts";

const chunkSize = bytes({ min: "1MiB", max: "1GiB", multipleOf: "1MiB" });

export const memorySection = section({
  max_bytes: setting(
    bytes(),
    "1GiB",
    "Bound on all chunk bytes in memory: cached, being filled, and on their way to clients. The heap that many small chunks and the metadata of many objects cost counts as well. At least twice the largest chunk size.",
    "Raise it as far as the machine allows: the process needs about 256 MiB beside it, and 20 MiB for each of several `server.threads`.",
  ),
  queue_timeout: setting(
    wait,
    "15s",
    "How long a read waits for memory before the client gets 503 SlowDown. After half of it, commits that wait for disk or cachestore are dropped.",
    "Raise it where clients would rather wait than retry. Lower it to fail sooner.",
  ),
});

export const diskSection = optionalSection({
  root: required(
    text(),
    "",
    "Directory of the disk tier, for this replica alone. Without `disk`, chunks are kept in memory alone.",
    "Use a local file system with hard links and `fcntl` locks.",
  ),
  max_bytes: setting(
    bytes(),
    "10GiB",
    "Bound on the bytes of all chunk files. At least twice the largest chunk size.",
    "Raise it to keep more chunks. Leave 5 % of the file system free.",
  ),
  max_chunks: optional(
    integer({ min: 1000, max: diskChunksBound }),
    "Bound on the number of chunk files. Each costs 80 bytes of memory outside the heap and outside `memory.max_bytes`. Left out: as many as a quarter of `memory.max_bytes` has room for, which is 3,355,443 with 1 GiB, and no more than the upper bound.",
    "Raise it for a large disk of small objects, if the machine has the memory. Lower it to bound the memory and the time of a start.",
  ),
  high_watermark: setting(
    ratio(),
    "0.95",
    "Share of `disk.max_bytes` and of `disk.max_chunks` at which eviction begins.",
    "Raise it to use more of the room. Keep it above `low_watermark`.",
  ),
  low_watermark: setting(
    ratio(),
    "0.85",
    "Share of `disk.max_bytes` and of `disk.max_chunks` at which eviction ends.",
    "Raise it to keep more chunks. Lower it to evict less often and more at a time.",
  ),
  pin_share: setting(
    ratio(),
    "0.5",
    "Share of `disk.max_bytes` and of `disk.max_chunks` that `orca warm --pin` may keep from being evicted, at most `low_watermark` without the shares of buckets (`origin.buckets.<name>.disk_share`).",
    "Raise it where most of what is read is known before. Lower it to leave more room to all else.",
  ),
  fsync: setting(
    flag(),
    "false",
    "Whether each commit waits until the bytes are on the medium. Without it, a power loss can damage chunks; their checksums find them, and they are fetched again.",
    "`true` only where such refills are expensive. Commits become slower.",
  ),
  call_timeout: setting(
    duration({ min: "100ms", max: "1h" }),
    "10s",
    "How long one call of the disk's file system may take, such as to open, read, write or sync a file. After that, Orca sets the disk aside until the call returns: reads go to peers and the origin, and nothing is stored.",
    "Lower it to give up a disk that hangs sooner. Raise it where the disk is slow, above all with `fsync`.",
  ),
  scrub_interval: setting(
    age,
    "720h",
    "Time from the end of one scrub of the disk to the start of the next. A scrub reads every chunk in the background and deletes damaged ones. `0s`: only `orca cache verify` starts one.",
    "Lower it for disks that you do not trust. `0s` where you run `orca cache verify` yourself.",
  ),
});

const chunkTier = section({
  min_object_size: required(
    bytes({ min: "1" }),
    Number.NaN,
    "Objects of this size or more use this tier.",
    "See `chunking.tiers`.",
  ),
  chunk_size: required(chunkSize, MiB, "Size of their chunks.", "See `chunking.tiers`."),
});

export const chunkingSection = section({
  size: goSetting(
    chunkSize,
    "8MiB",
    "Size of a chunk, for objects below the first tier. Alike on all replicas.",
    "Raise it for large sequential reads: fewer requests to the origin. Scattered ranges fetch their blocks of 1 MiB, whatever the size is. A new size makes everything that is cached unknown.",
  ),
  tiers: listOf(
    chunkTier,
    defaultChunkTiers.slice(1),
    "Larger chunks for larger objects, in ascending order. Alike on all replicas.",
    "Larger chunks mean fewer requests to the origin and more memory for each fill. `[]` gives all objects chunks of `chunking.size`.",
  ),
  fill: setting(
    oneOf("sparse", "whole"),
    "sparse",
    "What a miss fetches from the origin. `sparse`: the blocks of 1 MiB that were asked for, and more and more after them for a client that reads on. `whole`: the whole chunk, even if its client leaves.",
    "`whole` where the origin bills requests rather than bytes, and most objects are read as a whole sooner or later.",
  ),
  readahead: setting(
    integer({ min: 0, max: 1024 }),
    "8",
    "Most chunks that are fetched ahead of the one that is being sent. Read-ahead doubles with each block that arrives, up to this.",
    "Raise it for fast sequential readers of a distant origin. Lower it where readers stop early. `0` turns it off.",
  ),
});
