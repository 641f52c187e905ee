/**
 * What a replica tells others about its configuration: the agreed settings, and the address at which it is reached.
 * Agreed settings decide which bytes a chunk holds and how it is named. Two replicas that differ in one of them would
 * fetch everything twice, and send each other chunks that the other cannot use.
 */
import type { NetworkInterfaceInfo } from "node:os";
import { resolve } from "node:path";
import { isWildcard } from "./address-codec.ts";
import type { ClusterConfig } from "./cluster-config.ts";
import { bytes, printAddress } from "./codec.ts";
import type { Config } from "./config.ts";
import type { OriginConfig } from "./origin-config.ts";

/** The name of a cluster, and the settings that are equal on all its replicas. They hold no secrets: peers read them. */
export interface AgreedSettings {
  /** `cluster.internal_tls.server_name`; empty without TLS. */
  readonly name: string;
  /** By path, each value as text. */
  readonly settings: Readonly<Record<string, string>>;
}

const size = bytes();

export function agreedSettingsOf({ chunking, origins, cluster }: Config): AgreedSettings {
  const [smallest, ...larger] = chunking.tiers;
  const settings: Record<string, string> = {
    "chunking.size": `${size.print(smallest?.chunkSizeBytes ?? 0)}`,
    "chunking.tiers": larger
      .map((tier) => `${size.print(tier.chunkSizeBytes)} from ${size.print(tier.minObjectSizeBytes)} on`)
      .join(", "),
  };
  for (const origin of origins) {
    // By id and not by index, because the order of the list does not matter.
    for (const [key, value] of Object.entries(placeOf(origin)))
      settings[`origins[${origin.id}].${key}`] = value;
  }
  return { name: cluster.internalTls?.serverName ?? "", settings };
}

/** Where an origin's objects are. Region, retries and limits may differ between replicas. */
function placeOf(origin: OriginConfig): Readonly<Record<string, string>> {
  switch (origin.driver) {
    case "awss3": {
      const { endpoint, bucket } = origin.awss3;
      return { driver: origin.driver, endpoint: normalized(endpoint), bucket: bucket ?? "" };
    }
    case "azureblob": {
      const { account, container, endpoint } = origin.azureblob;
      return {
        driver: origin.driver,
        endpoint: normalized(endpoint),
        account,
        container: container ?? "",
      };
    }
    case "file": {
      // The same files are other objects where each directory in the root is a bucket.
      const root = resolve(origin.file.root);
      return { driver: origin.driver, root: origin.otherBuckets ? `${root}/*` : root };
    }
  }
}

/** `http://host` and `http://host/` are the same endpoint. */
function normalized(endpoint: string | undefined): string {
  return endpoint === undefined ? "" : new URL(endpoint).href;
}

/** The machine's networks, as node:os lists them. */
export type NetworkInterfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/**
 * `host:port` at which other replicas reach this one, whose internal listener has `port`. The host is the first of these
 * that is known: `cluster.advertise`, `cluster.self_pod_ip`, the host of `cluster.internal_listen` unless it is a
 * wildcard, an external IPv4 address of `interfaces`, loopback.
 */
export function advertisedAddress(
  { advertise, selfPodIp, internalListen }: ClusterConfig,
  port: number,
  interfaces: NetworkInterfaces,
): string {
  if (advertise !== undefined) return advertise;
  const listening = isWildcard(internalListen.host) ? undefined : internalListen.host;
  const external = Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal);
  return printAddress({ host: selfPodIp ?? listening ?? external?.address ?? "127.0.0.1", port });
}
