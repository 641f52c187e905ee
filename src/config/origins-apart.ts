/**
 * Checks that no store lies where an origin's objects are. Orca only reads origins; a cachestore in an origin's bucket
 * would write chunks between a user's objects, and evict or expire what is not a chunk.
 *
 * One bucket has many addresses. The check compares places and not settings: endpoints without scheme, default port,
 * letter case and trailing dot; the bucket in the host name or in the path; one place for all endpoints of an AWS
 * partition, where names of buckets are unique. It cannot see through access points, DNS aliases and proxies.
 */
import { realpathSync } from "node:fs";
import { isIP } from "node:net";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import type { Config } from "./config.ts";
import { type Fault, quoted } from "./fault.ts";
import type { BucketConfig, OriginConfig } from "./origin-config.ts";

/** An S3 service as settings name it. */
interface S3Service {
  readonly endpoint?: string | undefined;
  readonly region: string;
  readonly usePathStyle: boolean;
}

/** `resolvesLinks`: whether directories may be looked at, so that symbolic links are followed. */
export function checkOriginsApart(config: Config, resolvesLinks: boolean, faults: Fault[]): void {
  const { cachestore, disk, origins } = config;
  const s3 = cachestore.s3;
  if (s3?.bucket) checkBucket(s3, s3.bucket, origins, faults);
  const stores = [
    { path: "cachestore.posixfs.root", root: cachestore.posixfs?.root },
    { path: "disk.root", root: disk?.root },
  ];
  for (const { path, root } of stores) if (root) checkDirectory(path, root, origins, resolvesLinks, faults);
}

/** Whether a bucket of an origin with `"*"` holds the chunks of the cachestore: then it is none that clients may name. */
export function isOwnedByCachestore(
  { cachestore: { s3 } }: Config,
  origin: OriginConfig,
  bucket: string,
): boolean {
  if (!s3?.bucket || origin.driver !== "awss3" || s3.bucket !== bucket) return false;
  return isSamePlace(s3, bucket, origin.awss3, { bucket, prefix: "" });
}

function checkBucket(
  service: S3Service,
  bucket: string,
  origins: readonly OriginConfig[],
  faults: Fault[],
): void {
  for (const origin of origins) {
    if (origin.driver !== "awss3") continue;
    const taken = [...origin.buckets].find(([, place]) => isSamePlace(service, bucket, origin.awss3, place));
    if (taken === undefined) continue;
    const owner = `which origin ${quoted(origin.id)} serves as ${quoted(taken[0])}`;
    const message = `expected a bucket that no origin has, got ${quoted(bucket)}, ${owner}: Orca would write chunks between its objects. Give the cachestore a bucket of its own`;
    faults.push({ path: "cachestore.s3.bucket", message });
    return;
  }
}

function isSamePlace(
  store: S3Service,
  storeBucket: string,
  origin: S3Service,
  { bucket: originBucket }: BucketConfig,
): boolean {
  const [storePlace, storeOther] = placesOf(store, storeBucket);
  const [originPlace, originOther] = placesOf(origin, originBucket);
  // The second places are guesses. Two of them are equal for any two buckets of one host, and mean nothing.
  return storePlace === originPlace || storePlace === originOther || storeOther === originPlace;
}

/**
 * `<host>/<bucket>` of a bucket, and of the bucket that the first label of the host may name instead. An endpoint with a
 * bucket in its host has all requests go there, whatever the path is.
 */
function placesOf({ endpoint, region }: S3Service, bucket: string): [string, string | undefined] {
  // A host name has no upper case, and services with virtual hosts have no two buckets that differ in case alone.
  const name = bucket.toLowerCase();
  if (endpoint === undefined) return [`${awsPartition(region)}/${name}`, undefined];
  const { host, path } = serverOf(endpoint);
  const aws = awsHost(host);
  if (aws) return [`${aws.partition}/${name}`, aws.bucket && `${aws.partition}/${aws.bucket}`];
  const place = `${host}${path}/${name}`;
  const [label = "", ...parent] = host.split(".");
  const isName = parent.length > 0 && isIP(host.replace(/:\d+$/, "")) === 0;
  return [place, isName ? `${parent.join(".")}${path}/${label}` : undefined];
}

/** Without scheme, default port (of either scheme: both lead to one service), trailing dots and slashes. */
function serverOf(endpoint: string): { host: string; path: string } {
  const { hostname, port, pathname } = new URL(endpoint);
  const name = hostname.toLowerCase().replace(/\.+$/, "");
  const isDefaultPort = port === "" || port === "80" || port === "443";
  const loopback = name === "localhost" || name === "[::1]" ? "127.0.0.1" : name;
  return { host: isDefaultPort ? loopback : `${loopback}:${port}`, path: pathname.replace(/\/+$/, "") };
}

const awsDomain = /(?:^|\.)amazonaws\.(com|com\.cn|eu)$/;
/** `s3`, `s3-eu-west-1`, `s3-accelerate`, `s3-fips`, `s3-external-1` and the like: the label that ends a bucket's name. */
const awsService = /^(?:(.+?)\.)?(?:vpce-[\w-]+\.)?s3(?:-[\w-]+)?\./;

function awsHost(host: string): { partition: string; bucket: string | undefined } | undefined {
  const domain = awsDomain.exec(host);
  if (!domain) return undefined;
  const region =
    /\b(?:cn|us-gov|eusc)-/.exec(host)?.[0] ?? { com: "", "com.cn": "cn-", eu: "eusc-" }[domain[1] ?? ""];
  const partition = awsPartition(region ?? "");
  return { partition, bucket: awsService.exec(host)?.[1] };
}

function awsPartition(region: string): string {
  return /^(?:cn|us-gov|eusc)-/.exec(region)?.[0] ?? "aws";
}

function checkDirectory(
  path: string,
  root: string,
  origins: readonly OriginConfig[],
  resolvesLinks: boolean,
  faults: Fault[],
): void {
  for (const origin of origins) {
    if (origin.driver !== "file") continue;
    const [store, served] = [root, origin.file.root].map((each) =>
      resolvesLinks ? realPath(each) : resolve(each),
    );
    if (!isWithin(store ?? "", served ?? "") && !isWithin(served ?? "", store ?? "")) continue;
    const message = `expected a directory apart from ${quoted(origin.file.root)}, which origin ${quoted(origin.id)} serves, got ${quoted(root)}: Orca would write chunks between its files. Choose one that is neither inside nor above it`;
    faults.push({ path, message });
  }
}

function isWithin(inner: string, outer: string): boolean {
  const way = relative(outer, inner);
  return way !== ".." && !way.startsWith(`..${sep}`);
}

/** With the links of all parts that exist; a directory of Orca's may not exist yet. */
function realPath(path: string): string {
  const whole = resolve(path);
  try {
    return realpathSync(whole);
  } catch {
    const parent = dirname(whole);
    return parent === whole ? whole : join(realPath(parent), basename(whole));
  }
}
