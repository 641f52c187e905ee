/**
 * The configuration of one origin, as the parts read it: the settings of its own driver only, and its buckets resolved.
 * The checks here are those that no single field can make: the driver's section exists, and each bucket has a place.
 */
import { basename, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Fault, pathTo, quoted } from "./fault.ts";
import type { ValueOf } from "./field.ts";
import type { OriginSettings } from "./schema.ts";
import type { bucketMetadataSection } from "./sections/metadata-sections.ts";

/** Where the bucket that clients name is, at its origin. */
export interface BucketConfig {
  /** Bucket or container as the origin names it. */
  readonly bucket: string;
  /** Put in front of every key; empty for the whole bucket. */
  readonly prefix: string;
  /** What its objects have in place of the settings of `metadata`. */
  readonly metadata?: BucketMetadata | undefined;
  /** The part of the disk of each replica below which its chunks are not evicted to make room for others. */
  readonly diskShare?: number;
  /** Undefined for `normal`. */
  readonly priority?: "low" | "high";
}

/** A setting is undefined where that of `metadata` holds. */
export type BucketMetadata = NonNullable<ValueOf<typeof bucketMetadataSection>>;

export type OriginDriverConfig =
  | { readonly driver: "awss3"; readonly awss3: NonNullable<OriginSettings["awss3"]> }
  | { readonly driver: "azureblob"; readonly azureblob: NonNullable<OriginSettings["azureblob"]> }
  | { readonly driver: "file"; readonly file: NonNullable<OriginSettings["file"]> };

export type OriginConfig = Omit<OriginSettings, "driver" | "awss3" | "azureblob" | "file" | "buckets"> &
  OriginDriverConfig & {
    /** By the names that clients use; empty only where there are {@link otherBuckets}. */
    readonly buckets: ReadonlyMap<string, BucketConfig>;
    /** The settings of every other bucket, `"*"`. Undefined where only the named ones are served. */
    readonly otherBuckets: Omit<BucketConfig, "bucket"> | undefined;
  };

/** In `buckets`: every bucket of the origin that no other entry names. */
export const everyOtherBucket = "*";

/** The origin at `path`, or undefined where its driver's section is missing. Adds to `faults`. */
export function originConfig(
  settings: OriginSettings,
  path: string,
  faults: Fault[],
): OriginConfig | undefined {
  const { driver: _driver, awss3: _awss3, azureblob: _azureblob, file: _file, buckets, ...common } = settings;
  const driver = driverConfig(settings, path, faults);
  if (driver === undefined) return undefined;
  const others = buckets?.get(everyOtherBucket);
  if (others?.bucket !== undefined) {
    const message = `expected none, got ${quoted(others.bucket)}: "*" serves each bucket under its own name`;
    faults.push({ path: `${pathTo(`${path}.buckets`, everyOtherBucket)}.bucket`, message });
  }
  const own = ownBucket(driver, path, others !== undefined);
  return {
    ...common,
    ...driver,
    buckets: bucketConfigs(buckets, own, path, faults),
    otherBuckets: others && { prefix: others.prefix ?? "", ...ownSettings(others) },
  };
}

type BucketSettings = NonNullable<ReturnType<NonNullable<OriginSettings["buckets"]>["get"]>>;

/** Those that differ from the settings that hold for all. */
function ownSettings({
  metadata,
  diskShare,
  priority,
}: BucketSettings): Omit<BucketConfig, "bucket" | "prefix"> {
  return {
    ...(metadata && { metadata }),
    ...(diskShare !== undefined && { diskShare }),
    ...(priority !== "normal" && { priority }),
  };
}

const firstSetting = { awss3: "awss3.bucket", azureblob: "azureblob.account", file: "file.root" } as const;

function driverConfig(
  settings: OriginSettings,
  path: string,
  faults: Fault[],
): OriginDriverConfig | undefined {
  const { driver, awss3, azureblob, file } = settings;
  if (driver === "awss3" && awss3) return { driver, awss3 };
  if (driver === "azureblob" && azureblob) return { driver, azureblob };
  if (driver === "file" && file) return { driver, file };
  const message = `required, because ${path}.driver is ${driver}`;
  faults.push({ path: `${path}.${firstSetting[driver]}`, message });
  return undefined;
}

/** The bucket that the driver's own section names, and the setting that names it. */
interface OwnBucket {
  readonly path: string;
  readonly name: string | undefined;
  /** The origin has no other bucket: a directory is one bucket. */
  readonly only: boolean;
  readonly isDirectory?: true;
}

function ownBucket(config: OriginDriverConfig, path: string, hasOthers: boolean): OwnBucket {
  if (config.driver === "awss3") {
    return { path: `${path}.awss3.bucket`, name: config.awss3.bucket, only: false };
  }
  if (config.driver === "azureblob") {
    return { path: `${path}.azureblob.container`, name: config.azureblob.container, only: false };
  }
  // Each directory in the root is a bucket then, and the root itself is none.
  if (hasOthers) return { path: `${path}.file.root`, name: undefined, only: false, isDirectory: true };
  // The root directory of a file system has no name.
  const name = basename(resolve(config.file.root)) || undefined;
  return { path: `${path}.file.root`, name, only: true };
}

function bucketConfigs(
  buckets: OriginSettings["buckets"],
  own: OwnBucket,
  path: string,
  faults: Fault[],
): ReadonlyMap<string, BucketConfig> {
  if (buckets === undefined) return wholeBucket(own, path, faults);
  const configs = new Map<string, BucketConfig>();
  for (const [name, settings] of buckets) {
    const { bucket = own.name, prefix = "" } = settings;
    if (name === everyOtherBucket) continue;
    const bucketPath = pathTo(`${path}.buckets`, name);
    checkBucketName(name, bucketPath, "", faults);
    if (bucket === undefined) {
      faults.push({ path: `${bucketPath}.bucket`, message: `required, because ${own.path} names none` });
    } else if (own.only && bucket !== own.name) {
      const message = `expected ${quoted(own.name)}, the only bucket of ${own.path}, got ${quoted(bucket)}: leave it out`;
      faults.push({ path: `${bucketPath}.bucket`, message });
    } else {
      // A directory in the root, and no path that leads out of it.
      if (own.isDirectory) checkBucketName(bucket, `${bucketPath}.bucket`, "", faults);
      const config = { bucket, prefix, ...ownSettings(settings) };
      checkSamePlace(config, configs, bucketPath, faults);
      configs.set(name, config);
    }
  }
  return configs;
}

const placeSettings = [
  ["metadata", "metadata"],
  ["diskShare", "disk_share"],
  ["priority", "priority"],
] as const;

/** Two names of one place have one entry of metadata for each object, and the same chunks. */
function checkSamePlace(
  config: BucketConfig,
  others: ReadonlyMap<string, BucketConfig>,
  path: string,
  faults: Fault[],
): void {
  for (const [name, other] of others) {
    if (other.bucket !== config.bucket || other.prefix !== config.prefix) continue;
    for (const [field, key] of placeSettings) {
      if (isDeepStrictEqual(other[field], config[field])) continue;
      const message = `expected the same as of ${quoted(name)}, which is the same place`;
      faults.push({ path: `${path}.${key}`, message });
      return;
    }
  }
}

function wholeBucket(own: OwnBucket, path: string, faults: Fault[]): ReadonlyMap<string, BucketConfig> {
  if (own.name === undefined) {
    faults.push({ path: own.path, message: `required, because ${path}.buckets names none` });
    return new Map();
  }
  checkBucketName(own.name, own.path, `; give it another name in ${path}.buckets`, faults);
  return new Map([[own.name, { bucket: own.name, prefix: "" }]]);
}

/** The name must be a segment of a URL's path without escapes. `$` is for Azure's `$root` and `$web`. */
function checkBucketName(name: string, path: string, hint: string, faults: Fault[]): void {
  if (/^(?!\.{1,2}$)[\w.$-]{1,255}$/.test(name)) return;
  const message = `expected a bucket name of 1 to 255 of the characters A-Z a-z 0-9 . _ - $, got ${quoted(name)}${hint}`;
  faults.push({ path, message });
}
