/**
 * What a hop costs: the first byte of a chunk that the asked replica has in memory, and of one that only its peer has. Both
 * are asked of the same replica by the same client, object by object, so that what else goes on meets both alike. The
 * peer shares a core with the client, which is idle meanwhile: on one core with the asked replica it would make it wait.
 */
import { get } from "node:http";
import { ClusterCertificates } from "../support/cluster-certificates.ts";
import { type Contender, clientCore, freePort } from "./contender.ts";
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
      const core = index === 0 ? { core: clientCore } : {};
      const mesh = { replicaId: `r${index}`, port, peerPorts, files, ...core };
      const replica = await startOrca({ originPort: origin.port, folder, memory: "2GiB", mesh });
      running.push(replica);
      replicas.push(replica);
    }
    const measured = await measure(replicas as [Contender, Contender]);
    for (const replica of replicas) await replica.stop();
    return measured;
  } finally {
    certificates.remove();
  }
}

async function measure([peer, asked]: [Contender, Contender]): Promise<PeerFirstByte> {
  const local: number[] = [];
  const far: number[] = [];
  for (let index = 0; index < objects; index += 1) {
    const path = `/bench/peer-${index}-${objectBytes}`;
    await ask(peer.port, path);
    // The metadata beforehand: what is measured is the way of bytes.
    await ask(asked.port, path, "HEAD");
    const first = await ask(asked.port, path);
    const second = await ask(asked.port, path);
    // The others are coordinated by the replica that is asked.
    if (first.source !== "peer" || second.source !== "memory") continue;
    far.push(first.firstByteMs);
    local.push(second.firstByteMs);
  }
  return { localMs: median(local), peerMs: median(far), samples: far.length };
}
