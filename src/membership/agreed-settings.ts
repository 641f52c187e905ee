/**
 * What replicas must have in common to be one cluster: its name, and the settings that decide which bytes a chunk is
 * and who owns it. Two replicas that cut objects differently would each fill everything, and neither would say why;
 * so a differing one is refused when it knocks, with the setting named.
 */
import { createHash } from "node:crypto";
import { OrcaError } from "../base/orca-error.ts";
import type { Member } from "./member.ts";

export interface AgreedSettings {
  /** `cluster.internal_tls.server_name`. */
  readonly name: string;
  /** Path of each setting that must be the same everywhere, and its value as text. No secrets. */
  readonly settings: Readonly<Record<string, string>>;
}

/** The path under which the cluster's name is reported. */
const namePath = "cluster.internal_tls.server_name";
const valueLengthMax = 256;

/** These two replicas cannot be in one cluster. */
export class ConfigurationMismatch extends OrcaError {
  /** Path of a setting that differs, such as `chunking.size`. */
  readonly setting: string;
  readonly ourValue: string;
  readonly theirValue: string;

  constructor(peer: Member, setting: string, ourValue: string, theirValue: string) {
    super(
      "config_invalid",
      "membership",
      `Cannot be in one cluster with "${peer.replicaId}" at ${peer.address}: ` +
        `${setting} is "${theirValue}" there and "${ourValue}" here`,
    );
    this.setting = setting;
    this.ourValue = ourValue;
    this.theirValue = theirValue;
  }
}

/** Hex SHA-256 over the settings, in the order of their paths. The name is compared by itself. */
export function fingerprintOf({ settings }: AgreedSettings): string {
  const ordered = Object.entries(settings).sort(([left], [right]) => (left < right ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(ordered)).digest("hex");
}

/**
 * The reason why `peer` cannot be in the cluster of `self`, or undefined. A ping brings only the fingerprint; with
 * `theirs`, which a sync brings, the setting can be named.
 */
export function mismatch(
  self: Member,
  ours: AgreedSettings,
  peer: Member,
  theirs?: Readonly<Record<string, string>>,
): ConfigurationMismatch | undefined {
  if (peer.clusterName !== ours.name) {
    return new ConfigurationMismatch(peer, namePath, ours.name, peer.clusterName);
  }
  if (peer.fingerprint === self.fingerprint) return undefined;
  const paths = theirs ? [...new Set([...Object.keys(ours.settings), ...Object.keys(theirs)])].sort() : [];
  const path = paths.find((each) => ours.settings[each] !== theirs?.[each]);
  if (path === undefined) {
    return new ConfigurationMismatch(peer, "fingerprint", self.fingerprint, peer.fingerprint);
  }
  const theirValue = (theirs?.[path] ?? "").slice(0, valueLengthMax);
  return new ConfigurationMismatch(
    peer,
    path.slice(0, valueLengthMax),
    ours.settings[path] ?? "",
    theirValue,
  );
}
