/**
 * What a hop costs: the first byte of a chunk that the asked replica has in memory, and of one that its peer has. Both are
 * asked for by the same client, object by object, so that what else goes on meets both alike.
 */
import { get } from "node:http";
import { ClusterCertificates } from "../support/cluster-certificates.ts";
import { type Contender, freePort } from "./contender.ts";
import { startOrca } from "./orca-config.ts";
import { median } from "./workload.ts";

export interface PeerFirstByte {
  /** Milliseconds, medians. */
  readonly localMs: number;
  readonly peerMs: number;
  readonly samples: number;
}

interface Answer {
  readonly firstByteMs: number;
  /** Where the first byte came from, by `Cache-Status`. */
  readonly source: string;
}

const objectBytes = 8 * 1024 * 1024;
const objects = 120;

function ask(port: number, path: string, method = "GET"): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const startedMs = performance.now();
  const request = get({ port, host: "127.0.0.1", path, method, agent: false }, (response) => {
    const source = /detail=(\w+)/.exec(response.headers["cache-status"] as string)?.[1] ?? "";
    let firstByteMs = 0;
    response.on("data", () => (firstByteMs ||= performance.now() - startedMs));
    response.on("end", () => resolve({ firstByteMs, source }));
  });
  request.on("error", reject);
  return promise;
}

/** Two replicas over mutual TLS in front of the bench origin. */
export async function peerFirstByte(
  origin: Contender,
  folder: string,
  running: Contender[],
): Promise<PeerFirstByte> {
  const certificates = await ClusterCertificates.create();
  try {
    const peerPorts = [await freePort(), await freePort()];
    const replicas: Contender[] = [];
    for (const [index, port] of peerPorts.entries()) {
      const files = await certificates.files(`r${index}`);
      const mesh = { replicaId: `r${index}`, port, peerPorts, files };
      const replica = await startOrca({ originPort: origin.port, folder, memory: "2GiB", mesh });
      running.push(replica);
      replicas.push(replica);
    }
    return await measure(replicas as [Contender, Contender]);
  } finally {
    certificates.remove();
  }
}

async function measure([first, second]: [Contender, Contender]): Promise<PeerFirstByte> {
  const local: number[] = [];
  const peer: number[] = [];
  for (let index = 0; index < objects; index += 1) {
    const path = `/bench/peer-${index}-${objectBytes}`;
    await ask(first.port, path);
    // The metadata beforehand: what is measured is the way of bytes.
    await ask(second.port, path, "HEAD");
    const near = await ask(first.port, path);
    const far = await ask(second.port, path);
    // The others are coordinated by the one that was asked second.
    if (far.source !== "peer" || near.source !== "memory") continue;
    local.push(near.firstByteMs);
    peer.push(far.firstByteMs);
  }
  return { localMs: median(local), peerMs: median(peer), samples: peer.length };
}
