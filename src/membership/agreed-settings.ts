/**
 * The settings that must be equal on all replicas of a cluster: its name, and the settings that decide which bytes form a
 * chunk and which replica owns it. Two replicas that cut objects differently would each fill everything, without an
 * error that says why. So a replica with a different setting is rejected at first contact, with the setting named.
 */
import { createHash } from "node:crypto";
import { OrcaError } from "../base/orca-error.ts";
import type { Member } from "./member.ts";

export interface AgreedSettings {
  /** `cluster.internal_tls.server_name`. */
  readonly name: string;
  /** The value of each agreed setting as text, by its path. No secrets. */
  readonly settings: Readonly<Record<string, string>>;
}

/** The path that a mismatch of the cluster's name reports. */
const namePath = "cluster.internal_tls.server_name";
const valueLengthMax = 256;

/** A setting differs, so this replica and a peer cannot be in one cluster. */
export class ConfigurationMismatch extends OrcaError {
  /** The path of the setting that differs, such as `chunking.size`. */
  readonly setting: string;
  readonly selfValue: string;
  readonly peerValue: string;
  /** This replica. */
  readonly selfId: string;

  constructor(peer: Member, setting: string, selfValue: string, peerValue: string, selfId = "") {
    super(
      "config_invalid",
      "membership",
      `Cannot be in one cluster with "${peer.replicaId}" at ${peer.address}: ${setting} is "${peerValue}" there and ` +
        `"${selfValue}" here. Set it to the same value on all replicas.`,
    );
    this.setting = setting;
    this.selfValue = selfValue;
    this.peerValue = peerValue;
    this.selfId = selfId;
  }
}

/** A peer answered that this replica cannot be in its cluster, because a setting differs. */
export class RejectedByPeer extends OrcaError {
  readonly setting: string;
  /** Empty where the peer did not say. */
  readonly peerId: string;

  constructor(message: string, setting: string, peerId: string, cause?: unknown) {
    super("config_invalid", "membership", message, { cause });
    this.setting = setting;
    this.peerId = peerId;
  }
}

/** Hex SHA-256 over the settings in the order of their paths. The name is not included: it is compared separately. */
export function fingerprintOf({ settings }: AgreedSettings): string {
  const ordered = Object.entries(settings).sort(([left], [right]) => (left < right ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(ordered)).digest("hex");
}

/**
 * The reason why `peer` cannot be in the cluster of `self`, or undefined. A ping carries only the fingerprint. A sync also
 * carries `peerSettings`, with which the setting can be named.
 */
export function mismatch(
  self: Member,
  { name, settings }: AgreedSettings,
  peer: Member,
  peerSettings?: Readonly<Record<string, string>>,
): ConfigurationMismatch | undefined {
  if (peer.clusterName !== name)
    return new ConfigurationMismatch(peer, namePath, name, peer.clusterName, self.replicaId);
  if (peer.fingerprint === self.fingerprint) return undefined;
  const paths = peerSettings
    ? [...new Set([...Object.keys(settings), ...Object.keys(peerSettings)])].sort()
    : [];
  const path = paths.find((each) => settings[each] !== peerSettings?.[each]);
  if (path === undefined) {
    return new ConfigurationMismatch(peer, "fingerprint", self.fingerprint, peer.fingerprint, self.replicaId);
  }
  const peerValue = (peerSettings?.[path] ?? "").slice(0, valueLengthMax);
  const setting = path.slice(0, valueLengthMax);
  return new ConfigurationMismatch(peer, setting, settings[path] ?? "", peerValue, self.replicaId);
}
