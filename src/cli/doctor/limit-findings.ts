/**
 * Whether the limits hold together: of the settings among each other, and against what this host and its container give.
 * The sum of file descriptors is that of docs/operations/sizing.md.
 */
import { readFileSync } from "node:fs";
import { formatBytes } from "../../base/units.ts";
import type { Config } from "../../config/config.ts";
import { ownBytesOf, roomOf, roomWarnings } from "../../config/room-warnings.ts";
import { warningsOf } from "../../config/warnings.ts";
import { type DoctorFinding, Findings } from "./doctor-finding.ts";

/** What the process may use. Undefined: unknown on this host, or unlimited. */
export interface HostLimits {
  readonly openFilesMax: number | undefined;
  /** Of the control group, which a container is. */
  readonly memoryMaxBytes: number | undefined;
}

const diskDescriptors = 512;
const posixDescriptors = 512;
const peerDescriptors = 4;
/** Where chunks go to a port of their own. */
const bytesPortDescriptors = 2;
/** Of each thread where several serve clients: its event loop, and its listeners. */
const threadDescriptors = 6;
const otherDescriptors = 100;
/** `cluster.service` does not tell how many there are. */
const peersAssumed = 16;

/** Of this process: Node has raised the soft limit to the hard one, as it does for `orca serve`. */
export function hostLimits(): HostLimits {
  const limit = /^Max open files\s+(\d+)/m.exec(textOf("/proc/self/limits"))?.[1];
  const memory = textOf("/sys/fs/cgroup/memory.max").trim();
  return {
    openFilesMax: limit === undefined ? undefined : Number(limit),
    memoryMaxBytes: /^\d+$/.test(memory) ? Number(memory) : undefined,
  };
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

export function limitFindings(config: Config, limits: HostLimits): DoctorFinding[] {
  return [...settingFindings(config), memoryFinding(config, limits), descriptorFinding(config, limits)];
}

function settingFindings(config: Config): DoctorFinding[] {
  const findings = new Findings("limits");
  const warnings = [...warningsOf(config), ...roomWarnings(config, roomOf(config))];
  if (warnings.length === 0) return [findings.ok("The settings hold together")];
  // The last sentence of a warning says what to do.
  return warnings.map((warning) => {
    const end = warning.lastIndexOf(". ");
    return findings.warning(warning.slice(0, end), `${warning.slice(end + 2)}.`);
  });
}

function memoryFinding({ memory, server }: Config, { memoryMaxBytes }: HostLimits): DoctorFinding {
  const findings = new Findings("memory");
  const ownBytes = ownBytesOf(server);
  const neededBytes = memory.maxBytes + ownBytes;
  const needed = `memory.max_bytes (${formatBytes(memory.maxBytes)}) and ${formatBytes(ownBytes)} for the process`;
  if (memoryMaxBytes === undefined)
    return findings.ok(`No control group limits the memory; needed are ${needed}`);
  const limit = `The control group of this process allows ${formatBytes(memoryMaxBytes)}`;
  if (memoryMaxBytes >= neededBytes) return findings.ok(`${limit}; needed are ${needed}`);
  const fitBytes = memoryMaxBytes - ownBytes;
  const orLower = fitBytes > 0 ? `, or set memory.max_bytes to ${formatBytes(fitBytes)} or less` : "";
  return findings.problem(
    `${limit}, and needed are ${needed}: the kernel kills Orca when they are in use`,
    `Raise the limit of the container to ${formatBytes(neededBytes)}${orLower}.`,
  );
}

/** The descriptors that a replica may need at once. */
function descriptorsNeeded({ server, origins, disk, cachestore, cluster }: Config): number {
  const permits = origins.reduce((total, { targetGlobal }) => total + targetGlobal, 0);
  const s3 = cachestore.driver === "s3" ? cachestore.s3 : undefined;
  const ofStore = s3
    ? s3.maxRequests + s3.maxCommits
    : cachestore.driver === "posixfs"
      ? posixDescriptors
      : 0;
  const peers = cluster.service === undefined ? cluster.peers.length : peersAssumed;
  const perPeer = peerDescriptors + (cluster.bytesListen ? bytesPortDescriptors : 0);
  return (
    server.maxConnections +
    permits +
    (disk ? diskDescriptors : 0) +
    ofStore +
    (cluster.clustered ? peers * perPeer : 0) +
    (server.threads > 1 ? server.threads * threadDescriptors : 0) +
    otherDescriptors
  );
}

function descriptorFinding(config: Config, { openFilesMax }: HostLimits): DoctorFinding {
  const findings = new Findings("file descriptors");
  const needed = descriptorsNeeded(config);
  if (openFilesMax === undefined)
    return findings.skipped(`The limit of this host is unknown; needed are ${needed}`);
  if (openFilesMax >= needed) return findings.ok(`${openFilesMax} are allowed, and ${needed} needed`);
  const beside = needed - config.server.maxConnections;
  const fewer =
    openFilesMax > beside ? `, or set server.max_connections to ${openFilesMax - beside} or less` : "";
  return findings.problem(
    `${openFilesMax} are allowed to a process started here, and ${needed} needed: server.max_connections is ${config.server.maxConnections}, and all else takes ${beside}`,
    `Raise the hard limit of open files (LimitNOFILE, ulimit -Hn) to ${needed}${fewer}.`,
  );
}
