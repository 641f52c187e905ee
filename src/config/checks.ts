/**
 * What is wrong about settings that are right each for themselves, and what this version cannot do. A setting that
 * asks for more than there is stops the start: a replica that came up without the authentication it was told to have
 * would be worse than none.
 */
import { createSecureContext } from "node:tls";
import { formatBytes } from "../base/units.ts";
import { isClustered } from "./cluster-config.ts";
import { type ListenAddress, printAddress } from "./codec.ts";
import { type Fault, quoted, reasonOf } from "./fault.ts";
import type { Settings } from "./schema.ts";
import type { ReadText } from "./secret.ts";

export function checkSettings(settings: Settings, readText: ReadText, faults: Fault[]): void {
  checkListeners(settings, faults);
  checkServerTls(settings, readText, faults);
  checkInternalTls(settings, readText, faults);
  checkChunking(settings, faults);
  checkRoom(settings, faults);
  checkWatermarks(settings, faults);
  checkCachestore(settings, faults);
  checkReplication(settings, faults);
  refuseWhatIsNotThere(settings, faults);
}

/** Port 0 is a free one each time. Without a cluster, nothing listens on `cluster.internal_listen`. */
function checkListeners({ server, cluster }: Settings, faults: Fault[]): void {
  const listeners: [string, ListenAddress][] = [
    ["server.listen", server.listen],
    ["server.ops_listen", server.opsListen],
  ];
  if (isClustered(cluster)) listeners.push(["cluster.internal_listen", cluster.internalListen]);
  const pathsByAddress = new Map<string, string>();
  for (const [path, listener] of listeners) {
    if (listener.port === 0) continue;
    const address = printAddress(listener);
    const taken = pathsByAddress.get(address);
    if (taken === undefined) pathsByAddress.set(address, path);
    else
      faults.push({
        path,
        message: `expected an address of its own, got ${quoted(address)}, which is ${taken}`,
      });
  }
}

function checkServerTls({ server: { tls } }: Settings, readText: ReadText, faults: Fault[]): void {
  if (tls === undefined) return;
  const ca = { key: "client_ca_file", file: tls.clientCaFile };
  checkTlsFiles({ path: "server.tls", ...tls, ca }, readText, faults);
}

/** Which of them are required is for {@link clusterConfig} to say. */
function checkInternalTls({ cluster }: Settings, readText: ReadText, faults: Fault[]): void {
  const { enabled, certFile = "", keyFile = "", caFile } = cluster.internalTls;
  if (!enabled || !isClustered(cluster)) return;
  const ca = { key: "ca_file", file: caFile };
  checkTlsFiles({ path: "cluster.internal_tls", certFile, keyFile, ca }, readText, faults);
}

interface TlsFilesGiven {
  /** Of the section that names the files. */
  readonly path: string;
  /** Empty where it is not given, as {@link keyFile}. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly ca: { readonly key: string; readonly file: string | undefined };
}

/** Whatever is wrong about a certificate is said now, in place of at the first handshake. */
function checkTlsFiles(given: TlsFilesGiven, readText: ReadText, faults: Fault[]): void {
  const { path } = given;
  const read = (key: string, file: string): string | undefined => {
    if (file === "") return undefined;
    try {
      return readText(file);
    } catch (thrown) {
      faults.push({ path: `${path}.${key}`, message: `cannot read ${quoted(file)}: ${reasonOf(thrown)}` });
      return undefined;
    }
  };
  const cert = read("cert_file", given.certFile);
  const key = read("key_file", given.keyFile);
  const ca = read(given.ca.key, given.ca.file ?? "");
  // Node takes a list of authorities without a certificate in it as it is, and would then trust nobody.
  if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----")) {
    const message = `expected certificates in PEM, ${quoted(given.ca.file)} holds none`;
    faults.push({ path: `${path}.${given.ca.key}`, message });
  }
  if (cert === undefined || key === undefined) return;
  try {
    createSecureContext({ cert, key, ca });
  } catch (thrown) {
    faults.push({ path, message: `cannot use these files: ${reasonOf(thrown)}` });
  }
}

function checkChunking({ chunking: { tiers } }: Settings, faults: Fault[]): void {
  let previousBytes = 0;
  for (const [index, { minObjectSizeBytes }] of tiers.entries()) {
    if (minObjectSizeBytes <= previousBytes) {
      const message = `expected more than ${formatBytes(previousBytes)}, as in the tier before, got ${formatBytes(minObjectSizeBytes)}`;
      faults.push({ path: `chunking.tiers[${index}].min_object_size`, message });
    }
    previousBytes = minObjectSizeBytes;
  }
}

/** One chunk is held while the next one is filled; with room for less than two, fills would wait for themselves. */
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

/** A section may be there for a driver that is not chosen; the one that is chosen says where the store is. */
function checkCachestore({ cachestore: { driver, s3, posixfs } }: Settings, faults: Fault[]): void {
  const message = `required, because cachestore.driver is ${driver}`;
  if (driver === "s3" && !s3?.bucket) faults.push({ path: "cachestore.s3.bucket", message });
  if (driver === "posixfs" && !posixfs?.root) faults.push({ path: "cachestore.posixfs.root", message });
}

/** Copies lie on disks of the replicas' own, and a store that all share has each chunk already. */
function checkReplication({ cluster: { replication }, cachestore, disk }: Settings, faults: Fault[]): void {
  if (replication === 1) return;
  const path = "cluster.replication";
  if (cachestore.driver !== "none") {
    const message = `expected 1, because cachestore.driver is ${cachestore.driver} and keeps each chunk for all, got ${replication}`;
    faults.push({ path, message });
  }
  if (disk === undefined) {
    faults.push({
      path,
      message: `expected 1, because there is no disk to keep copies on, got ${replication}`,
    });
  }
}

function checkWatermarks({ disk }: Settings, faults: Fault[]): void {
  if (disk === undefined || disk.lowWatermark < disk.highWatermark) return;
  const message = `expected less than disk.high_watermark (${disk.highWatermark}), got ${disk.lowWatermark}`;
  faults.push({ path: "disk.low_watermark", message });
}

function refuseWhatIsNotThere({ server, metadata }: Settings, faults: Fault[]): void {
  const refuse = (asked: boolean, path: string, message: string): void => {
    if (asked) faults.push({ path, message });
  };
  refuse(
    server.auth.enabled,
    "server.auth.enabled",
    "Orca cannot ask clients for credentials yet: set it to false, and let only trusted clients reach server.listen",
  );
  refuse(
    metadata.staleIfErrorMs > 0,
    "metadata.stale_if_error",
    "Orca cannot serve stale metadata yet: set it to 0s, or leave it out",
  );
}
