/**
 * A rehearsal before a start: a second set of the parts that answer a client reads small cold objects from an origin in
 * this process. V8 compiles a function when it is first called, and to faster code after some more calls. Without a
 * rehearsal the first client of a replica waits for that, and so do some dozens after it.
 *
 * Each thread has code of its own. So with `server.threads` above 1, the threads that will serve clients have those parts
 * that are theirs, and read each object a second time: that is a hit in shared memory.
 *
 * It leaves nothing: no byte is kept, no count is one of the replica's, and the origin is not asked. Its reads end after
 * {@link rehearsalMsMax} at the latest, and whatever fails in it is logged at level debug and no more.
 */
import { connect } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Random } from "../../base/random.ts";
import type { Config } from "../../config/config.ts";
import { loadConfig } from "../../config/load.ts";
import type { OriginConfig } from "../../config/origin-config.ts";
import { secretVariables } from "../../config/secret.ts";
import { EdgeStats } from "../../edge/edge-stats.ts";
import { EngineBodies } from "../../fill/bodies.ts";
import { Trace } from "../../trace/trace.ts";
import { closeMetadata, openMetadata } from "../metadata.ts";
import { openOrigins } from "../origins.ts";
import { ReplicaReadPath } from "../read-path.ts";
import { ReleaseStack, step } from "../release-stack.ts";
import { bucketPlacesOf, bucketsOf } from "../replica-buckets.ts";
import type { EdgeThreads } from "../threads/edge-threads.ts";
import { s3ListenerOf } from "../threads/s3-listener.ts";
import { openTiers } from "../tiers.ts";
import { RehearsalOrigin, rehearsedBytes } from "./rehearsal-origin.ts";

export interface RehearsalOptions {
  /** Of the replica: its first origin that is not a directory says which driver is rehearsed. */
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** @see EdgeThreads.rehearse Left out where this thread serves clients. */
  readonly rehearseThreads?: EdgeThreads["rehearse"] | undefined;
}

/** Measured: the first request after 20 reads is as fast as the tenth. 40 reads gain no more. */
const readsMax = 20;

/** Of all threads together: each costs the one engine some 0.5 ms. */
const threadReadsMax = 160;

/** A quiet machine takes about 80 ms. */
export const rehearsalMsMax = 500;

const name = "rehearsal";

/** Lines about objects that do not exist would mislead. */
const silent: Logger = { isDebug: false, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Resolves with the number of reads. Never rejects. */
export async function rehearse(options: RehearsalOptions): Promise<number> {
  const { config, clock, logger } = options;
  const driver = config.origins.map((origin) => origin.driver).find((each) => each !== "file");
  // A directory answers at once, and is not worth the time.
  if (driver === undefined) return 0;
  const startedMs = clock.monotonic();
  const held = new ReleaseStack(silent, clock);
  const tooLong = new AbortController();
  let reads = 0;
  let fault: string | undefined;
  const faulty = (thrown: unknown): void => {
    fault = thrown instanceof Error ? thrown.message : String(thrown);
  };
  try {
    const ports = await open(driver, options, held);
    // Threads take longer to begin. The start waits for them in any case.
    const timer = clock.timer(rehearsalMsMax, () => tooLong.abort(new Error(`took ${rehearsalMsMax} ms`)));
    held.add(step("cancel the timer", () => timer.cancel()));
    const paths = pathsOf(ports.length, options.rehearseThreads !== undefined);
    const readAll = async (port: number, thread: number): Promise<void> => {
      for (const path of paths) {
        await read(port, `/${name}/${thread}-${path}`, tooLong.signal);
        reads += 1;
      }
    };
    await Promise.all(ports.map((port, thread) => readAll(port, thread).catch(faulty)));
  } catch (thrown) {
    faulty(thrown);
  }
  await held.unwind().catch(() => {});
  const fields = { reads, ms: Math.round(clock.monotonic() - startedMs), ...(fault && { fault }) };
  logger.debug(fields, "Rehearsed reads before the start");
  return reads;
}

/** The objects that a listener serves, one after the other. */
function pathsOf(listeners: number, twice: boolean): number[] {
  const count = Math.min(readsMax, Math.ceil(threadReadsMax / listeners));
  return Array.from({ length: count }, (_, object) => (twice ? [object, object] : [object])).flat();
}

/** The parts between a client and the origin, as a replica has them. Resolves with the ports of the listeners. */
async function open(
  driver: OriginConfig["driver"],
  { config: { server }, clock, random, rehearseThreads }: RehearsalOptions,
  held: ReleaseStack,
): Promise<number[]> {
  const origin = new RehearsalOrigin();
  held.add(step("stop the origin", () => origin.stop()));
  const config = configOf(driver, await origin.start(), rehearseThreads ? server.threads : 1);
  const trace = new Trace(silent, clock);
  const options = { config, clock, random, logger: silent, trace };
  const origins = openOrigins(options, held);
  const tiers = openTiers(options, held);
  const { metadataHeap, memory, shared, replicaId } = tiers;
  const readPath = new ReplicaReadPath({ ...options, tiers, origins, meshClient: undefined });
  held.add(step("end fills", () => readPath.stopFlights()));
  const metadataParts = {
    ...options,
    metadataHeap,
    places: readPath.places,
    revocations: shared?.revocations,
  };
  const opened = origins.map((each, index) =>
    openMetadata(each, config.origins[index] as OriginConfig, metadataParts, undefined, [memory]),
  );
  held.add(step("close the caches of metadata", () => closeMetadata(opened, metadataHeap)));
  const engine = {
    config,
    replicaId,
    buckets: bucketsOf(config, opened, clock),
    bodies: new EngineBodies(readPath.forReaders),
    warmRequests: { add: () => "full" as const },
  };
  if (rehearseThreads && shared) {
    const threadEngine = {
      ...engine,
      ...shared,
      origins: new Map(opened.map((each) => [each.origin.id, each])),
      places: bucketPlacesOf(opened),
      traceContexts: trace.contexts,
    };
    return rehearseThreads(threadEngine, held);
  }
  const listener = s3ListenerOf({
    ...options,
    ...engine,
    access: undefined,
    stats: new EdgeStats(),
    tls: undefined,
    accessLogger: silent,
    onDied: () => {},
  });
  held.add(step("close the S3 listener", () => listener.close()));
  return [(await listener.start()).port];
}

function configOf(driver: OriginConfig["driver"], endpoint: string, threads: number): Config {
  const [bucket, region] = [name, "us-east-1"];
  return loadConfig({
    env: {
      [secretVariables.awss3AccessKey]: name,
      [secretVariables.awss3SecretKey]: name,
      [secretVariables.azureblobAccountKey]: Buffer.from(name).toString("base64"),
    },
    overrides: {
      server: { listen: "127.0.0.1:0", threads },
      origin:
        driver === "awss3"
          ? { id: name, driver, awss3: { bucket, endpoint, region, use_path_style: true } }
          : { id: name, driver, azureblob: { account: name, container: bucket, endpoint } },
      // The smallest. A rehearsal uses one slab of it.
      memory: { max_bytes: "256MiB" },
    },
  });
}

/** One object on a connection of its own. @throws Error where it does not come, or `signal` aborts. */
function read(port: number, path: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host: "127.0.0.1", port, noDelay: true, signal });
  let receivedBytes = 0;
  socket.on("data", ({ length }) => {
    receivedBytes += length;
    // The head is more than nothing, and a smaller answer is an error.
    if (receivedBytes > rehearsedBytes) socket.destroy();
  });
  socket.on("error", reject);
  socket.once("close", () => {
    if (receivedBytes > rehearsedBytes) resolve();
    else reject(new Error(`"${path}" was answered with ${receivedBytes} bytes`));
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${name}\r\n\r\n`);
  return promise;
}
