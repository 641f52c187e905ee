/**
 * What `orca verify-reads` does. The origin is listed twice: once to know how much there is to read, and once more while
 * it is read. So memory depends neither on the number of objects nor on their size. Each client takes the next read when
 * it is done with one, so several clients read parts of one object at once.
 */
import { OrcaError } from "../../base/orca-error.ts";
import { type Random, SeededRandom } from "../../base/random.ts";
import { KiB, MiB } from "../../base/units.ts";
import type { Config } from "../../config/config.ts";
import { loadConfig } from "../../config/load.ts";
import type { BucketConfig, OriginConfig } from "../../config/origin-config.ts";
import type { GuardedOrigin } from "../../origin/guarded-origin.ts";
import type { ListedObject } from "../../origin/origin.ts";
import { lifetimeOf } from "../../replica/metadata-lifetimes.ts";
import { openOrigin } from "../../replica/origins.ts";
import type { CommandContext } from "../command-context.ts";
import { Progress } from "../progress.ts";
import type { ConfigSource } from "../serve-command.ts";
import { type ComparedObject, ReadComparison } from "./read-comparison.ts";
import { type PlannedRead, readPlan } from "./read-plan.ts";
import { ServedObjects } from "./served-objects.ts";
import { verifyListings } from "./verify-listings.ts";
import { type VerifyResult, verifyReadsJson, verifyReadsReport } from "./verify-report.ts";
import { VerifyTally } from "./verify-tally.ts";

export interface VerifyReadsOptions {
  readonly url: string;
  /** As clients name it, as the prefix. */
  readonly bucket: string;
  readonly prefix: string;
  readonly endpoints: readonly string[];
  readonly source: ConfigSource;
  readonly clients: number;
  /** Of each object. */
  readonly ranges: number;
  /** Undefined for all. */
  readonly objects: number | undefined;
  readonly seed: number;
  /** Compares listings, and reads no object. */
  readonly listings?: boolean;
  readonly json: boolean;
}

/** Pieces of the origin that all clients hold together. */
const piecesBytesMax = 256 * MiB;
const pieceBytesMax = 4 * MiB;
const pieceBytesMin = 64 * KiB;

/** Where the bucket that clients name is. */
interface Place {
  readonly origin: OriginConfig;
  readonly bucket: BucketConfig;
}

/** Resolves with the exit code: 0, or 1 if there is a difference or it was stopped. */
export async function verifyReads(options: VerifyReadsOptions, context: CommandContext): Promise<number> {
  const { clock, random, env, stdout, stderr } = context;
  const { file, overrides } = options.source;
  const config = loadConfig({ file, env, overrides });
  const place = placeIn(config, options.bucket);
  const stopping = new AbortController();
  void context.stopSignal().then(
    () => stopping.abort(),
    () => {},
  );
  const origin = openOrigin(place.origin, { config, clock, random });
  const served = options.endpoints.map((each) => new ServedObjects(each, options.clients, env));
  try {
    if (options.listings)
      return await verifyListings(
        options,
        { config, place: place.bucket, origin, served, stopping },
        context,
      );
    const run = new VerifyRun(options, context, { config, place, origin, served, stopping });
    const result = await run.finish();
    stdout.write(options.json ? verifyReadsJson(result) : verifyReadsReport(result));
    if (options.json && result.tally.differing > 0) stderr.write(verifyReadsReport(result));
    return result.tally.differing === 0 && result.stopped === undefined ? 0 : 1;
  } finally {
    for (const each of served) each.close();
    origin.close();
  }
}

/** @throws OrcaError `invalid_argument` */
function placeIn({ origins }: Config, name: string): Place {
  for (const origin of origins) {
    const bucket = origin.buckets.get(name);
    if (bucket) return { origin, bucket };
  }
  const open = origins.find(({ otherBuckets }) => otherBuckets !== undefined);
  if (open?.otherBuckets) return { origin: open, bucket: { bucket: name, ...open.otherBuckets } };
  const known = origins.flatMap(({ buckets }) => [...buckets.keys()]).slice(0, 20);
  const message = `Cannot read bucket "${name}": the configuration serves ${known.map((each) => `"${each}"`).join(", ")}`;
  throw new OrcaError("invalid_argument", "config", message);
}

interface RunParts {
  readonly config: Config;
  readonly place: Place;
  readonly origin: GuardedOrigin;
  readonly served: readonly ServedObjects[];
  readonly stopping: AbortController;
}

interface NextRead {
  readonly object: ComparedObject;
  readonly read: PlannedRead;
}

class VerifyRun {
  readonly #options: VerifyReadsOptions;
  readonly #context: CommandContext;
  readonly #parts: RunParts;
  readonly #tally = new VerifyTally();
  #bytes = 0;

  constructor(options: VerifyReadsOptions, context: CommandContext, parts: RunParts) {
    this.#options = options;
    this.#context = context;
    this.#parts = parts;
  }

  /** @throws OrcaError where the origin cannot be listed. */
  async finish(): Promise<VerifyResult> {
    const { clock, stderr } = this.#context;
    const { clients, url, endpoints, seed } = this.#options;
    const { signal } = this.#parts.stopping;
    const startedMs = clock.monotonic();
    if (!this.#options.json) stderr.write(`Listing ${url} at the origin\n`);
    const { sample, totalBytes } = await this.#survey();
    const progress = new Progress({ label: "verify-reads", totalBytes, output: stderr, clock });
    const reads = this.#reads(sample ?? this.#listed());
    const work = Array.from({ length: clients }, (_, client) => this.#client(client, reads, progress));
    try {
      await Promise.all(work);
    } catch (thrown) {
      this.#parts.stopping.abort();
      await Promise.allSettled(work);
      throw thrown;
    } finally {
      progress.finish();
    }
    const isFull = this.#tally.isFull;
    const stopped = isFull ? "differences" : signal.aborted ? "asked" : undefined;
    const seconds = (clock.monotonic() - startedMs) / 1000;
    return { url, endpoints, clients, seed, bytes: this.#bytes, seconds, stopped, tally: this.#tally };
  }

  /** How much there is to read and, where not all objects are read, which. */
  async #survey(): Promise<{ sample: readonly ListedObject[] | undefined; totalBytes: number }> {
    const { objects, seed } = this.#options;
    const random = new SeededRandom(seed);
    let totalBytes = 0;
    const picked: ListedObject[] = [];
    let seen = 0;
    for await (const object of this.#listed()) {
      seen += 1;
      if (objects === undefined) totalBytes += this.#bytesOf(object);
      else pick(picked, object, { seen, max: objects, random });
    }
    if (objects === undefined) return { sample: undefined, totalBytes };
    return { sample: picked, totalBytes: picked.reduce((sum, object) => sum + this.#bytesOf(object), 0) };
  }

  #bytesOf({ key, sizeBytes }: ListedObject): number {
    return readPlan(key, sizeBytes, this.#options).reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  }

  async *#listed(): AsyncGenerator<ListedObject> {
    const { place, origin, stopping } = this.#parts;
    const prefix = place.bucket.prefix + this.#options.prefix;
    let continuationToken = "";
    do {
      const { bucket } = place.bucket;
      const page = await origin.list({
        bucket,
        prefix,
        delimiter: "",
        maxKeys: 1000,
        startAfter: "",
        continuationToken,
      });
      for (const object of page.objects) {
        if (stopping.signal.aborted) return;
        yield object;
      }
      continuationToken = page.nextContinuationToken;
    } while (continuationToken !== "");
  }

  async *#reads(
    objects: AsyncIterable<ListedObject> | Iterable<ListedObject>,
  ): AsyncGenerator<NextRead, void, void> {
    const { bucket, prefix } = this.#parts.place.bucket;
    for await (const { key, sizeBytes } of objects) {
      const object = { key: key.slice(prefix.length), location: { bucket, key } };
      this.#tally.objects += 1;
      for (const read of readPlan(key, sizeBytes, this.#options)) yield { object, read };
    }
  }

  async #client(client: number, reads: AsyncGenerator<NextRead>, progress: Progress): Promise<void> {
    const { config, place, origin, served, stopping } = this.#parts;
    const { bucket, clients } = this.#options;
    const { signal } = stopping;
    const share = Math.floor(piecesBytesMax / clients);
    const comparison = new ReadComparison({
      served: served[client % served.length] as ServedObjects,
      bucket,
      origin,
      lifetime: lifetimeOf(config.metadata, place.bucket.metadata),
      pieceBytes: Math.max(pieceBytesMin, Math.min(pieceBytesMax, share)),
      clock: this.#context.clock,
      onBytes: (bytes) => {
        this.#bytes += bytes;
        progress.add(bytes);
      },
    });
    for (;;) {
      const next = await reads.next();
      if (next.done === true || signal.aborted) return;
      const { object, read } = next.value;
      try {
        this.#tally.add(await comparison.compare(object, read, signal), read.isWhole);
      } catch (thrown) {
        if (!signal.aborted) throw thrown;
        return;
      }
      if (this.#tally.isFull) stopping.abort();
    }
  }
}

/** Keeps `max` of all objects seen, each with the same chance (Vitter 1985, Algorithm R). */
function pick(
  picked: ListedObject[],
  object: ListedObject,
  { seen, max, random }: { readonly seen: number; readonly max: number; readonly random: Random },
): void {
  if (picked.length < max) {
    picked.push(object);
    return;
  }
  const place = Math.floor(random.next() * seen);
  if (place < max) picked[place] = object;
}
