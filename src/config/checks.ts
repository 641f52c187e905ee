/**
 * Checks across settings that are each valid alone. A fault stops the start: a replica that ran without the
 * authentication that its configuration asks for would be worse than none.
 */

import { createSecureContext } from "node:tls";
import { tlsFaultOf } from "../base/tls-files.ts";
import { formatBytes } from "../base/units.ts";
import { isLoopback } from "./address-codec.ts";
import { checkAuth } from "./auth-checks.ts";
import { isClustered } from "./cluster-config.ts";
import { type ListenAddress, printAddress } from "./codec.ts";
import { type Fault, quoted, unreadable } from "./fault.ts";
import type { Settings } from "./schema.ts";
import type { ReadText } from "./secret.ts";

/** Whether a person has written anything at this path: in the file, in a variable or on the command line. */
export type IsWritten = (path: string) => boolean;

export function checkSettings(
  settings: Settings,
  isWritten: IsWritten,
  /** Undefined where files are not to be read. */
  readText: ReadText | undefined,
  faults: Fault[],
): void {
  checkNames(isWritten, faults);
  checkListeners(settings, faults);
  checkServerTls(settings, readText, faults);
  checkAuth(settings, readText, faults);
  checkInternalTls(settings, readText, faults);
  checkMeshWithoutTls(settings, isWritten, faults);
  checkBytesPort(settings, faults);
  checkChunking(settings, faults);
  checkRoom(settings, faults);
  checkWatermarks(settings, faults);
  checkCachestore(settings, faults);
  checkReplication(settings, faults);
  checkOriginShares(settings, faults);
}

/** A setting with two names is given by one of them. */
function checkNames(isWritten: IsWritten, faults: Fault[]): void {
  if (!isWritten("chunk_catalog.max_entries") || !isWritten("cachestore.max_hints")) return;
  const message = "set together with cachestore.max_hints, which means the same: keep only one of the two";
  faults.push({ path: "chunk_catalog.max_entries", message });
}

/** Port 0 takes a different port each time. In a cluster of one, nothing listens on the addresses of `cluster`. */
function checkListeners({ server, cluster }: Settings, faults: Fault[]): void {
  const listeners: [string, ListenAddress][] = [
    ["server.listen", server.listen],
    ["server.ops_listen", server.opsListen],
  ];
  if (isClustered(cluster)) listeners.push(["cluster.internal_listen", cluster.internalListen]);
  if (isClustered(cluster) && cluster.bytesListen)
    listeners.push(["cluster.bytes_listen", cluster.bytesListen]);
  const pathsByAddress = new Map<string, string>();
  for (const [path, listener] of listeners) {
    if (listener.port === 0) continue;
    const address = printAddress(listener);
    const taken = pathsByAddress.get(address);
    if (taken === undefined) pathsByAddress.set(address, path);
    else {
      const message = `expected an address of its own, got ${quoted(address)}, which ${taken} has: choose another port`;
      faults.push({ path, message });
    }
  }
}

function checkServerTls(
  { server: { tls } }: Settings,
  readText: ReadText | undefined,
  faults: Fault[],
): void {
  if (tls === undefined) return;
  const ca = { key: "client_ca_file", file: tls.clientCaFile };
  checkTlsFiles({ path: "server.tls", ...tls, ca }, readText, faults);
}

/** {@link clusterConfig} reports which of the files are missing. */
function checkInternalTls({ cluster }: Settings, readText: ReadText | undefined, faults: Fault[]): void {
  const { enabled, certFile = "", keyFile = "", caFile } = cluster.internalTls;
  if (!enabled || !isClustered(cluster)) return;
  const ca = { key: "ca_file", file: caFile };
  checkTlsFiles({ path: "cluster.internal_tls", certFile, keyFile, ca }, readText, faults);
}

/**
 * Without TLS, everybody who reaches the internal listener is a member and can make replicas serve wrong bytes. So nobody
 * gets that by leaving a line out, and with copies on disks nobody gets it at all: wrong bytes would outlive a restart.
 */
function checkMeshWithoutTls({ cluster }: Settings, isWritten: IsWritten, faults: Fault[]): void {
  const { internalTls, internalListen, replication } = cluster;
  if (internalTls.enabled || !isClustered(cluster) || isLoopback(internalListen.host)) return;
  const path = "cluster.internal_tls.enabled";
  const reached = `other machines reach cluster.internal_listen (${quoted(printAddress(internalListen))})`;
  if (replication > 1) {
    const message = `expected true, because cluster.replication is ${replication} and ${reached}: this replica would keep on its disk what any of them sends`;
    faults.push({ path, message });
  } else if (!isWritten(path)) {
    const message = `required, because ${reached}: set it to true, or to false where nobody but replicas can connect`;
    faults.push({ path, message });
  }
}

/** A policy that guards a mesh without TLS names the port of `internal_listen`, and no other. */
function checkBytesPort({ cluster }: Settings, faults: Fault[]): void {
  const { internalTls, bytesListen } = cluster;
  if (bytesListen === undefined || internalTls.enabled || !isClustered(cluster)) return;
  const message =
    "needs cluster.internal_tls.enabled: true, because without it any client that reaches this port reads chunks; else leave it out";
  faults.push({ path: "cluster.bytes_listen", message });
}

interface TlsFilesGiven {
  /** Of the section that names the files. */
  readonly path: string;
  /** Empty where it is not set, like {@link keyFile}. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly ca: { readonly key: string; readonly file: string | undefined };
}

/** Finds a bad certificate at the start, so that it does not fail the first handshake. */
function checkTlsFiles(given: TlsFilesGiven, readText: ReadText | undefined, faults: Fault[]): void {
  if (readText === undefined) return;
  const { path } = given;
  const read = (key: string, file: string): string | undefined => {
    if (file === "") return undefined;
    try {
      return readText(file);
    } catch (thrown) {
      faults.push({ path: `${path}.${key}`, message: unreadable(file, thrown) });
      return undefined;
    }
  };
  const cert = read("cert_file", given.certFile);
  const key = read("key_file", given.keyFile);
  const ca = read(given.ca.key, given.ca.file ?? "");
  // Node accepts a list of authorities that holds no certificate, and then trusts nobody.
  if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----")) {
    const message = `expected a file of PEM certificates, but ${quoted(given.ca.file)} holds none`;
    faults.push({ path: `${path}.${given.ca.key}`, message });
  }
  if (cert === undefined || key === undefined) return;
  try {
    createSecureContext({ cert, key, ca });
  } catch (thrown) {
    const pair = `certificate ${quoted(given.certFile)} with key ${quoted(given.keyFile)}`;
    faults.push({ path, message: `cannot use ${pair}: ${tlsFaultOf(thrown)}` });
  }
}

function checkChunking({ chunking: { tiers } }: Settings, faults: Fault[]): void {
  let previousBytes = 0;
  for (const [index, { minObjectSizeBytes }] of tiers.entries()) {
    if (minObjectSizeBytes <= previousBytes) {
      const message = `expected more than the ${formatBytes(previousBytes)} of the tier before, got ${formatBytes(minObjectSizeBytes)}`;
      faults.push({ path: `chunking.tiers[${index}].min_object_size`, message });
    }
    previousBytes = minObjectSizeBytes;
  }
}

/** Orca holds one chunk while it fills the next. With room for fewer than two, a fill would wait for itself. */
function checkRoom({ chunking, memory, disk }: Settings, faults: Fault[]): void {
  const largestBytes = Math.max(chunking.sizeBytes, ...chunking.tiers.map((tier) => tier.chunkSizeBytes));
  const check = (path: string, maxBytes: number): void => {
    if (maxBytes >= 2 * largestBytes) return;
    const least = formatBytes(2 * largestBytes);
    const message = `expected at least ${least}, twice the largest chunk (chunking.size, chunking.tiers), got ${formatBytes(maxBytes)}`;
    faults.push({ path, message });
  };
  check("memory.max_bytes", memory.maxBytes);
  if (disk) check("disk.max_bytes", disk.maxBytes);
}

/** {@link driverSection} checks that the sections of other drivers are empty. */
function checkCachestore({ cachestore: { driver, s3, posixfs } }: Settings, faults: Fault[]): void {
  const message = `required, because cachestore.driver is ${driver}`;
  if (driver === "s3" && !s3?.bucket) faults.push({ path: "cachestore.s3.bucket", message });
  if (driver === "posixfs" && !posixfs?.root) faults.push({ path: "cachestore.posixfs.root", message });
}

/** Copies need a disk on each replica, and a cachestore keeps each chunk for all replicas already. */
function checkReplication({ cluster: { replication }, cachestore, disk }: Settings, faults: Fault[]): void {
  if (replication === 1) return;
  const path = "cluster.replication";
  if (cachestore.driver !== "none") {
    const message = `expected 1, because cachestore.driver is ${cachestore.driver} and keeps each chunk for all replicas, got ${replication}`;
    faults.push({ path, message });
  }
  if (disk === undefined) {
    const message = `expected 1, because copies need a disk and disk.root is not set, got ${replication}`;
    faults.push({ path, message });
  }
}

/** Each replica may have at least one request in flight, so a lower bound would not hold. */
function checkOriginShares({ cluster, origin, origins }: Settings, faults: Fault[]): void {
  if (!isClustered(cluster)) return;
  const check = (path: string, targetGlobal: number): void => {
    if (targetGlobal >= cluster.targetReplicas) return;
    const message = `expected at least cluster.target_replicas (${cluster.targetReplicas}), got ${targetGlobal}`;
    faults.push({ path: `${path}.target_global`, message });
  };
  if (origin) check("origin", origin.targetGlobal);
  for (const [index, { targetGlobal }] of origins.entries()) check(`origins[${index}]`, targetGlobal);
}

function checkWatermarks({ disk }: Settings, faults: Fault[]): void {
  if (disk === undefined || disk.lowWatermark < disk.highWatermark) return;
  const message = `expected less than disk.high_watermark (${disk.highWatermark}), got ${disk.lowWatermark}`;
  faults.push({ path: "disk.low_watermark", message });
}
