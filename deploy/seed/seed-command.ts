/**
 * What `npm run seed` does: it writes reproducible objects. Object N holds the pattern of the tests with the seed
 * `--seed` + N. So two runs write the same bytes, and any range can be checked without asking the store for it.
 *
 * A few objects are written at once, each with one part in memory. So memory depends neither on the number of objects nor
 * on their size.
 */
import { InvalidArgumentError } from "commander";
import { OrcaError } from "../../src/base/orca-error.ts";
import { formatBytes, GiB, MiB, parseBytes } from "../../src/base/units.ts";
import type { CommandContext } from "../../src/cli/command-context.ts";
import { OrcaCommand } from "../../src/cli/orca-command.ts";
import { Progress } from "../../src/cli/progress.ts";
import { counted } from "../../src/cli/table.ts";
import { patternBytes } from "../../test/support/pattern.ts";
import type { SeedStore } from "./seed-store.ts";

interface SeedFlags {
  readonly to: string;
  readonly count: number;
  readonly size: number;
  readonly seed: number;
  readonly endpoint?: string;
  readonly create: boolean;
  readonly json: boolean;
}

/** Keys have six digits. */
const countMax = 1_000_000;
const seedMax = 2 ** 31;
/** A larger object is uploaded in parts of this size. S3 allows 10,000 parts. */
const partSizeBytes = 16 * MiB;
const objectBytesMax = 128 * GiB;
const uploadsAtOnceMax = 4;

const details = `URL is one of
  s3://BUCKET[/PREFIX]
  azblob://ACCOUNT/CONTAINER[/PREFIX]

Object N is PREFIX/N, in six digits from 000000 on. Its bytes depend on the seed, on N and on their offset, and on nothing else. An object that exists is overwritten. Credentials come from where Orca takes them: ORCA_AWSS3_ACCESS_KEY and ORCA_AWSS3_SECRET_KEY, ORCA_AZUREBLOB_ACCOUNT_KEY, or where the SDKs of AWS and Azure find them.`;

export function seedCommand(context: CommandContext): OrcaCommand {
  return new OrcaCommand("npm run seed --", "Write reproducible objects to a bucket or a container")
    .usage("--to URL [options]")
    .details(details)
    .requiredOption("--to <URL>", "Write below URL")
    .optionWithDefault("--count <N>", `Write N objects, at most ${countMax}`, "10", wholeTo(countMax))
    .optionWithDefault(
      "--size <SIZE>",
      `Make each object SIZE long, at most ${formatBytes(objectBytesMax)}`,
      "1MiB",
      parseSize,
    )
    .optionWithDefault(
      "--seed <N>",
      "Seed the first object with N, and each next one with one more",
      "1",
      wholeTo(seedMax),
    )
    .optionWithDefault("--endpoint <URL>", "Call the store at URL", "that of AWS or Azure")
    .option("--create", "Create the bucket or container if it does not exist", false)
    .option("--json", "Print the result as JSON", false)
    .withExamples(
      "npm run seed -- --to s3://models/try --count 100 --size 64MiB",
      "npm run seed -- --to s3://models --endpoint http://127.0.0.1:9000 --create",
      "npm run seed -- --to azblob://account/data/try --seed 7 --json",
    )
    .runs((flags: Partial<SeedFlags> & Pick<SeedFlags, "to" | "create" | "json">) =>
      seedObjects({ count: 10, size: MiB, seed: 1, ...flags }, context),
    );
}

function wholeTo(max: number): (text: string) => number {
  return (text) => {
    if (/^\d{1,10}$/.test(text) && Number(text) <= max) return Number(text);
    throw new InvalidArgumentError(`expected a whole number from 0 to ${max}`);
  };
}

function parseSize(text: string): number {
  const bytes = parseBytes(text);
  if (bytes !== undefined && bytes <= objectBytesMax) return bytes;
  throw new InvalidArgumentError(`expected a size such as 64MiB, at most ${formatBytes(objectBytesMax)}`);
}

/** Resolves with the exit code. */
async function seedObjects(flags: SeedFlags, context: CommandContext): Promise<number> {
  const { to, count, size: sizeBytes, seed, json } = flags;
  const { clock, stdout, stderr } = context;
  const stopping = new AbortController();
  void context.stopSignal().then(() => stopping.abort(new Error("it was asked to stop")));
  // The clients of the stores take a second to load, which a mistyped option need not wait for.
  const { openSeedStore } = await import("./seed-store.ts");
  const store = openSeedStore(to, flags.endpoint, context.env);
  const progress = new Progress({ label: "seed", totalBytes: count * sizeBytes, output: stderr, clock });
  const startedMs = clock.monotonic();
  let written = 0;
  try {
    if (flags.create) await store.create(stopping.signal);
    let next = 0;
    const upload = async (): Promise<void> => {
      while (next < count) {
        const index = next;
        next += 1;
        const object = { key: store.keyOf(index), seed: seed + index, sizeBytes };
        await uploadObject(store, object, progress, stopping.signal);
        written += 1;
      }
    };
    await firstFailure(Array.from({ length: uploadsAtOnceMax }, upload), stopping);
  } catch (thrown) {
    const action = `Cannot write objects to "${to}": ${written} of ${count} are written`;
    throw OrcaError.from(thrown, "origin_unavailable", "origin", action);
  } finally {
    progress.finish();
    store.close();
  }
  const seconds = (clock.monotonic() - startedMs) / 1000;
  const result = { to, objects: count, size_bytes: sizeBytes, bytes: count * sizeBytes, seed, seconds };
  const text = `Wrote ${counted(count, "object")} of ${formatBytes(sizeBytes)} to ${to} with seed ${seed}`;
  stdout.write(`${json ? JSON.stringify(result) : text}\n`);
  return 0;
}

/** Resolves when all have ended. The first that fails ends the others, so that none is left behind. */
async function firstFailure(works: readonly Promise<void>[], stopping: AbortController): Promise<void> {
  for (const work of works) work.catch((thrown) => stopping.abort(thrown));
  const results = await Promise.allSettled(works);
  if (results.some(({ status }) => status === "rejected")) throw stopping.signal.reason;
}

interface SeedObject {
  readonly key: string;
  readonly seed: number;
  readonly sizeBytes: number;
}

async function uploadObject(
  store: SeedStore,
  { key, seed, sizeBytes }: SeedObject,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if (sizeBytes <= partSizeBytes) {
    await store.put(key, patternBytes(seed, 0, sizeBytes), signal);
    progress.add(sizeBytes);
    return;
  }
  const upload = await store.begin(key, signal);
  try {
    for (let offset = 0; offset < sizeBytes; offset += partSizeBytes) {
      const lengthBytes = Math.min(partSizeBytes, sizeBytes - offset);
      await upload.part(patternBytes(seed, offset, lengthBytes));
      progress.add(lengthBytes);
    }
    await upload.finish();
  } catch (thrown) {
    await upload.abandon();
    throw thrown;
  }
}
