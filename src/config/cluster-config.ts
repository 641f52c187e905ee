/**
 * The configuration of the cluster, as the parts read it: whether there is one, where to find peers, and TLS either
 * complete or absent. In a cluster of one nothing of it is required, so that a file can name certificates before it
 * names a peer.
 */
import type { ListenAddress } from "./codec.ts";
import { type Fault, quoted } from "./fault.ts";
import type { Settings } from "./schema.ts";

export type ClusterSettings = Settings["cluster"];

/** PEM files, and the certificate identity. */
export interface InternalTlsConfig {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  /** The name that every replica's certificate must carry. */
  readonly serverName: string;
}

export interface ClusterConfig extends Omit<ClusterSettings, "internalTls"> {
  /** Peers or a service are set. Without them this replica is a cluster of one and has no internal listener. */
  readonly clustered: boolean;
  /** `host:port` of replicas that may be running, this one perhaps among them. */
  readonly peers: readonly string[];
  /** The port is not 0 where `service` is set. */
  readonly internalListen: ListenAddress;
  /** Undefined for a mesh without TLS, where everybody who reaches the internal listener is a member. */
  readonly internalTls: InternalTlsConfig | undefined;
}

/** Whether any way to find peers is set. */
export function isClustered({ peers, service }: Pick<ClusterSettings, "peers" | "service">): boolean {
  return peers.length > 0 || service !== undefined;
}

/** The cluster that `settings` describe. Adds to `faults` what is missing or contradictory. */
export function clusterConfig(settings: ClusterSettings, faults: Fault[]): ClusterConfig {
  const { internalTls: tls, peers, service, internalListen } = settings;
  const clustered = isClustered(settings);
  if (clustered && tls.enabled) requireAll(tls, faults);
  const scheme = schemeOf(tls.enabled);
  for (const [index, peer] of peers.entries()) {
    if (peer === "" || peer.startsWith(scheme)) continue;
    const message = `expected ${scheme}…, because cluster.internal_tls.enabled is ${tls.enabled}, got ${quoted(peer)}`;
    faults.push({ path: `cluster.peers[${index}]`, message });
  }
  if (service !== undefined && internalListen.port === 0) {
    const message =
      "expected a port other than 0, because replicas found by cluster.service are contacted at this port";
    faults.push({ path: "cluster.internal_listen", message });
  }
  return {
    ...settings,
    clustered,
    peers: peers.map((peer) => peer.slice(peer.indexOf("//") + 2)),
    internalTls: internalTlsConfig(tls),
  };
}

/** The settings from which {@link clusterConfig} makes `config` again. */
export function clusterSettings(config: ClusterConfig): ClusterSettings {
  const { clustered: _, peers, internalTls, ...rest } = config;
  const noFiles = { certFile: undefined, keyFile: undefined, caFile: undefined, serverName: undefined };
  const enabled = internalTls !== undefined;
  return {
    ...rest,
    peers: peers.map((peer) => schemeOf(enabled) + peer),
    internalTls: { ...noFiles, ...internalTls, enabled },
  };
}

function schemeOf(tlsEnabled: boolean): "https://" | "http://" {
  return tlsEnabled ? "https://" : "http://";
}

function internalTlsConfig(tls: ClusterSettings["internalTls"]): InternalTlsConfig | undefined {
  const { enabled, certFile, keyFile, caFile, serverName } = tls;
  if (!enabled || !certFile || !keyFile || !caFile || !serverName) return undefined;
  return { certFile, keyFile, caFile, serverName };
}

function requireAll(tls: ClusterSettings["internalTls"], faults: Fault[]): void {
  const needed = {
    cert_file: tls.certFile,
    key_file: tls.keyFile,
    ca_file: tls.caFile,
    server_name: tls.serverName,
  };
  for (const [key, value] of Object.entries(needed)) {
    if (value !== undefined) continue;
    const message = "required, because cluster.internal_tls.enabled is true";
    faults.push({ path: `cluster.internal_tls.${key}`, message });
  }
}
