/**
 * Every setting of Orca, written once: key, meaning, default, bounds and when to change it. Reading, printing, the types
 * of Config and docs/configuration.md all come from here. The sections have a file each in sections/.
 */
import { deadline, endpoint, logLevel, oneOf, ratio } from "./codec.ts";
import { driverSection } from "./driver-section.ts";
import { listOf, optional, optionalSection, type Row, section, setting, type ValueOf } from "./field.ts";
import { cachestoreSection, chunkCatalogSection } from "./sections/cachestore-section.ts";
import { clusterSection } from "./sections/cluster-section.ts";
import { listCacheSection, metadataSection } from "./sections/metadata-sections.ts";
import { originDrivers, originFields } from "./sections/origin-section.ts";
import { serverSection } from "./sections/server-section.ts";
import { chunkingSection, diskSection, memorySection } from "./sections/tier-sections.ts";

export const schema = section({
  server: serverSection,
  origin: driverSection(optionalSection(originFields), originDrivers),
  origins: listOf(
    driverSection(section(originFields), originDrivers),
    [],
    "Several origins in place of `origin`: a list of such sections, each with its own id and buckets.",
    "Set it to serve more than one account, service or directory.",
  ),
  cachestore: cachestoreSection,
  chunk_catalog: chunkCatalogSection,
  memory: memorySection,
  disk: diskSection,
  chunking: chunkingSection,
  metadata: metadataSection,
  list_cache: listCacheSection,
  cluster: clusterSection,
  tracing: section({
    otlp_endpoint: optional(
      endpoint(),
      "Address of a collector that takes spans by OTLP over HTTP, such as `http://127.0.0.1:4318`. Without it no spans are made, and a client's trace context is sent on as it came.",
      "Set it to see in a trace which replica, tier and origin a read waited for. Of replicas without it, traces show nothing.",
    ),
    sample_ratio: setting(
      ratio({ orZero: true }),
      "0.01",
      "The part of requests for objects that are traced, of those without a `traceparent`. A client that sends one decides itself.",
      "Raise it on a quiet cluster. A traced read of one chunk makes about six spans.",
    ),
  }),
  logging: section({
    level: setting(
      logLevel("info"),
      "info",
      "The least important events that are logged, in any case. `warning` is `warn`.",
      "`debug` adds a line for each step of each request. `warn` leaves only trouble.",
    ),
    access: setting(
      oneOf("off", "all", "slow", "errors"),
      "off",
      "The access log: one line for each request (`all`), for those that took longer than `slow_request` (`slow`), or for those with a status of 400 or more or an incomplete answer (`errors`). It does not depend on `level`.",
      "`errors` is cheap on a healthy replica. `all` costs two microseconds of the serving core for each request.",
    ),
    slow_request: setting(
      deadline,
      "5s",
      "A request that takes longer, from its headers to the last byte, is logged at level `info` with what it waited for. So is every failed one. At most ten lines of a kind a minute.",
      "Lower it to see more requests. Raise it where clients take long downloads slowly.",
    ),
  }),
});

/** The settings as a person gave them, defaults filled in. Config is made from them when they have no fault. */
export type Settings = ValueOf<typeof schema>;
export type OriginSettings = Settings["origins"][number];

/** Every setting once: the fields of `origins[]` are those of `origin` and are not repeated. */
export function settingRows(): Row[] {
  return schema.rows("").filter((row) => !row.path.startsWith("origins[]"));
}
