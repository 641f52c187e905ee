/**
 * A rehearsal before a start: a second set of the parts that answer a client reads small cold objects from an origin in
 * this process. V8 compiles a function when it is first called, and to faster code after some more calls. Without a
 * rehearsal the first client of a replica waits for that, and so do some dozens after it.
 *
 * It leaves nothing: no byte is kept, no count is one of the replica's, and the origin is not asked. It ends after
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
import { bucketsOf } from "../replica-buckets.ts";
import { s3ListenerOf } from "../threads/s3-listener.ts";
import { openTiers } from "../tiers.ts";
import { RehearsalOrigin, rehearsedBytes } from "./rehearsal-origin.ts";

export interface RehearsalOptions {
  /** Of the replica: its first origin that is not a directory says which driver is rehearsed. */
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Measured: the first request after 20 reads is as fast as the tenth. 40 reads gain no more. */
const readsMax = 20;

/** A quiet machine takes about 80 ms. */
export const rehearsalMsMax = 500;

const name = "rehearsal";

/** Lines about objects that do not exist would mislead. */
const silent: Logger = { isDebug: false, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Resolves with the number of objects that were read. Never rejects. */
export async function rehearse(options: RehearsalOptions): Promise<number> {
  const { config, clock, logger } = options;
  const driver = config.origins.map((origin) => origin.driver).find((each) => each !== "file");
  // A directory answers at once, and is not worth the time.
  if (driver === undefined) return 0;
  const startedMs = clock.monotonic();
  const held = new ReleaseStack(silent, clock);
  const tooLong = new AbortController();
  const timer = clock.timer(rehearsalMsMax, () => tooLong.abort(new Error(`took ${rehearsalMsMax} ms`)));
  let reads = 0;
  let fault: string | undefined;
  try {
    const port = await open(driver, options, held);
    for (; reads < readsMax; reads += 1) await read(port, `/${name}/${reads}`, tooLong.signal);
  } catch (thrown) {
    fault = thrown instanceof Error ? thrown.message : String(thrown);
  }
  timer.cancel();
  await held.unwind().catch(() => {});
  const fields = { reads, ms: Math.round(clock.monotonic() - startedMs), ...(fault && { fault }) };
  logger.debug(fields, "Rehearsed reads before the start");
  return reads;
}

/** The parts between a client and the origin, as a replica has them. Resolves with the port of the listener. */
async function open(
  driver: OriginConfig["driver"],
  { clock, random }: RehearsalOptions,
  held: ReleaseStack,
): Promise<number> {
  const origin = new RehearsalOrigin();
  held.add(step("stop the origin", () => origin.stop()));
  const config = configOf(driver, await origin.start());
  const options = { config, clock, random, logger: silent, trace: new Trace(silent, clock) };
  const origins = openOrigins(options, held);
  const tiers = openTiers(options, held);
  const { metadataHeap, memory, replicaId } = tiers;
  const readPath = new ReplicaReadPath({ ...options, tiers, origins, meshClient: undefined });
  held.add(step("end fills", () => readPath.stopFlights()));
  const metadataParts = { ...options, metadataHeap, places: readPath.places, revocations: undefined };
  const opened = origins.map((each, index) =>
    openMetadata(each, config.origins[index] as OriginConfig, metadataParts, undefined, [memory]),
  );
  held.add(step("close the caches of metadata", () => closeMetadata(opened, metadataHeap)));
  const listener = s3ListenerOf({
    ...options,
    replicaId,
    buckets: bucketsOf(config, opened, clock),
    access: undefined,
    bodies: new EngineBodies(readPath.forReaders),
    warmRequests: undefined,
    stats: new EdgeStats(),
    tls: undefined,
    accessLogger: silent,
    onDied: () => {},
  });
  held.add(step("close the S3 listener", () => listener.close()));
  return (await listener.start()).port;
}

function configOf(driver: OriginConfig["driver"], endpoint: string): Config {
  const [bucket, region] = [name, "us-east-1"];
  return loadConfig({
    env: {
      [secretVariables.awss3AccessKey]: name,
      [secretVariables.awss3SecretKey]: name,
      [secretVariables.azureblobAccountKey]: Buffer.from(name).toString("base64"),
    },
    overrides: {
      server: { listen: "127.0.0.1:0" },
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
