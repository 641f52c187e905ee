/**
 * What a replica tells others about its configuration: the settings that all of a cluster must share, and the address
 * at which it is reached. Shared is what decides which bytes a chunk holds and how it is named; two replicas that
 * differ in that would fill everything twice and pass each other chunks that neither can use.
 */
import type { NetworkInterfaceInfo } from "node:os";
import { resolve } from "node:path";
import { isWildcard } from "./address-codec.ts";
import type { ClusterConfig } from "./cluster-config.ts";
import { bytes, printAddress } from "./codec.ts";
import type { Config } from "./config.ts";
import type { OriginConfig } from "./origin-config.ts";

/** The name of a cluster, and what is the same in all its replicas. No secrets: every replica is told it. */
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
    // By id and not by place: a list in another order is the same one.
    for (const [key, value] of Object.entries(placeOf(origin)))
      settings[`origins[${origin.id}].${key}`] = value;
  }
  return { name: cluster.internalTls?.serverName ?? "", settings };
}

/** Where an origin's objects are. What it is asked with (region, retries, limits) may differ from replica to replica. */
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
    case "file":
      return { driver: origin.driver, root: resolve(origin.file.root) };
  }
}

/** `http://host` and `http://host/` are one place. */
function normalized(endpoint: string | undefined): string {
  return endpoint === undefined ? "" : new URL(endpoint).href;
}

/** What node:os knows of the machine's network. */
export type NetworkInterfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/**
 * `host:port` at which other replicas reach this one, whose internal listener has `port`: the first that is known of
 * `cluster.advertise`, `cluster.self_pod_ip`, the host of `cluster.internal_listen` if it is not every one, an IPv4
 * address of `interfaces` that leads outside, and loopback.
 */
export function advertisedAddress(
  { advertise, selfPodIp, internalListen }: ClusterConfig,
  port: number,
  interfaces: NetworkInterfaces,
): string {
  if (advertise !== undefined) return advertise;
  const listening = isWildcard(internalListen.host) ? undefined : internalListen.host;
  const outward = Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal);
  return printAddress({ host: selfPodIp ?? listening ?? outward?.address ?? "127.0.0.1", port });
}
