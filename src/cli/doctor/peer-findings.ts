/**
 * Whether the other replicas can be reached at their internal listeners, with the certificate of this one. A connection is
 * made and closed again: nothing is joined. A peer's first bytes show that it took the certificate, because in TLS 1.3 a
 * server rejects one only after the client's part of the handshake has ended.
 */
import { lookup } from "node:dns/promises";
import { connect as connectTcp, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { connect as connectTls } from "node:tls";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { advertisedAddress } from "../../config/agreed-settings.ts";
import type { Config } from "../../config/config.ts";
import { ServiceSeeds } from "../../membership/seeds.ts";
import { MeshTls } from "../../mesh/session/mesh-tls.ts";
import { type DoctorFinding, Findings } from "./doctor-finding.ts";

const connectTimeoutMs = 3000;

/** More are not tried: a cluster has up to 1,024 replicas. */
const peersTriedMax = 64;

const findings = new Findings("peers");

export async function peerFindings(config: Config, clock: Clock, logger: Logger): Promise<DoctorFinding[]> {
  const { cluster } = config;
  if (!cluster.clustered) return [findings.skipped("No other replicas are configured")];
  const addresses = await addressesOf(config);
  if (!Array.isArray(addresses)) return [addresses];
  const own = advertisedAddress(cluster, cluster.internalListen.port, networkInterfaces());
  const others = addresses.filter((address) => address !== own && address !== "");
  if (others.length === 0)
    return [
      findings.warning(
        "There is no address but this replica's own",
        "Check cluster.peers and cluster.service.",
      ),
    ];
  let tls: MeshTls | undefined;
  try {
    tls = cluster.internalTls && (await MeshTls.load({ ...cluster.internalTls, clock, logger }));
  } catch (thrown) {
    if (!(thrown instanceof OrcaError)) throw thrown;
    return [
      findings.skipped("No peer is tried, because the certificate of cluster.internal_tls cannot be used"),
    ];
  }
  tls?.stop();
  const tried = others.slice(0, peersTriedMax);
  const faults = await Promise.all(tried.map((address) => faultOf(address, tls, clock)));
  return tried.map((address, index) => findingOf(address, faults[index], faults));
}

async function addressesOf({ cluster }: Config): Promise<string[] | DoctorFinding> {
  const { service, peers, internalListen } = cluster;
  if (service === undefined) return [...peers];
  const seeds = new ServiceSeeds(service, internalListen.port, async (name) =>
    (await lookup(name, { all: true })).map(({ address }) => address),
  );
  try {
    return [...peers, ...(await seeds.addresses())];
  } catch (thrown) {
    const { code = "unknown error" } = thrown as NodeJS.ErrnoException;
    const what = `Cannot resolve cluster.service "${service}": ${code}`;
    return findings.problem(
      what,
      "Check the name and the DNS. In Kubernetes it is a headless Service that publishes addresses that are not ready.",
    );
  }
}

/** One that is down is usual: the others serve. If none answers, it is this replica that cannot reach them. */
function findingOf(
  address: string,
  fault: string | undefined,
  faults: readonly (string | undefined)[],
): DoctorFinding {
  if (fault === undefined) return findings.ok(`${address} answers`);
  const what = `${address} does not answer: ${fault}`;
  const remedy = /certificate|alert|identity|TLS|SSL/i.test(fault)
    ? "Check that both certificates are from the authority in cluster.internal_tls.ca_file, carry server_name, and have not expired."
    : "Check that a replica runs there, and that its cluster.internal_listen can be reached from here.";
  return faults.every((each) => each !== undefined)
    ? findings.problem(what, remedy)
    : findings.warning(what, remedy);
}

/** Resolves with why a peer does not answer, or undefined. */
function faultOf(address: string, tls: MeshTls | undefined, clock: Clock): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const { hostname, port } = new URL(`tcp://${address}`);
  const place = { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) };
  const socket: Socket = tls ? connectTls({ ...place, ...tls.clientOptions }) : connectTcp(place);
  const timer = clock.timer(connectTimeoutMs, () => resolve(`nothing came within ${connectTimeoutMs} ms`));
  // The settings of HTTP/2, which a server sends first over TLS. Without TLS it waits for the client's.
  socket.once("data", () => resolve(undefined));
  if (!tls) socket.once("connect", () => resolve(undefined));
  socket.once("error", (error: NodeJS.ErrnoException) =>
    resolve(error.message || error.code || "unknown error"),
  );
  let isSecure = false;
  socket.once("secureConnect", () => {
    isSecure = true;
  });
  const rejected =
    "it closed the connection after the TLS handshake, so it rejects this replica's certificate";
  socket.once("close", () => resolve(isSecure ? rejected : "it closed the connection"));
  return promise.finally(() => {
    timer.cancel();
    socket.destroy();
  });
}
