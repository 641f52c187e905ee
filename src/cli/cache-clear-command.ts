/** `orca cache clear`: deletes what one replica holds. The replica does the work; this command shows the result. */
import { Option } from "commander";
import type { ClearDocument } from "../ops/endpoints/cache-endpoints.ts";
import { clearReport } from "./cache-report.ts";
import type { CommandContext } from "./command-context.ts";
import {
  has,
  type OpsCommandOptions,
  type OpsFlags,
  parseAnswer,
  readAnswer,
  withOps,
  withOpsOptions,
} from "./ops-call.ts";
import { OrcaCommand } from "./orca-command.ts";

interface ClearFlags extends OpsFlags {
  readonly prefix?: string;
  readonly cachestore: boolean;
  readonly match?: "key" | "prefix";
}

export function cacheClearCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  const command = new OrcaCommand("clear", "Delete what a replica holds, of all objects or of some")
    .details(
      "Deletes chunks in memory and on disk, and metadata. The next read fetches them from the origin again.",
    )
    .optionWithDefault(
      "--prefix <BUCKET/PREFIX>",
      "Delete objects whose keys begin with PREFIX",
      "all objects",
      withoutScheme,
    )
    .addOption(
      new Option(
        "--match <WHAT>",
        "Delete the object whose whole key is PREFIX (key), or all whose keys begin with it (prefix)",
      )
        .choices(["key", "prefix"])
        .default(undefined, "prefix; to be said where PREFIX is also a whole key"),
    )
    .option("--cachestore", "Delete chunks in the cachestore, too, which all replicas share", false);
  return withOpsOptions(command)
    .withExamples(
      "orca cache clear --prefix models",
      "orca cache clear --prefix models/llama/ --cachestore",
      "orca cache clear --ops http://cache-2.example.com:8442",
    )
    .runs((flags: ClearFlags) => cacheClear({ ...flags, clock, stdout, stderr }));
}

/** `s3://BUCKET/PREFIX` is how `orca inspect` and S3 clients name a place, so it counts here, too. */
function withoutScheme(prefix: string): string {
  return prefix.replace(/^s3:\/\//, "");
}

export interface CacheClearOptions extends OpsCommandOptions {
  /** `BUCKET` or `BUCKET/KEY-PREFIX`; all objects when left out. */
  readonly prefix?: string | undefined;
  /** Asked for where the prefix is a whole key and other keys begin with it. */
  readonly match?: "key" | "prefix" | undefined;
  /** Also deletes from the cachestore. */
  readonly cachestore: boolean;
}

/** To find a prefix, the replica reads the footers of all chunks: about a hundred a second on a hard disk. */
const clearTimeoutMs = 3_600_000;

/** Resolves with the exit code: 1 if no replica answers, it denies the action, or the cachestore was not cleared. */
export function cacheClear(options: CacheClearOptions): Promise<number> {
  const { prefix, cachestore, match } = options;
  const call = {
    path: "/cache/clear",
    action: "clear",
    query: {
      ...(prefix !== undefined && { prefix }),
      ...(match !== undefined && { match }),
      ...(cachestore && { cachestore: "true" }),
    },
  };
  return withOps(
    "clear the cache of",
    call,
    { ...options, timeoutMs: options.timeoutMs ?? clearTimeoutMs },
    async (url, deadline) => {
      const text = await readAnswer(url, call, deadline);
      const document = parseAnswer(text, isCleared);
      options.stdout.write(options.json ? text : clearReport(document, prefix));
      const fault = cachestore ? cachestoreFault(document) : undefined;
      if (fault === undefined) return 0;
      options.stderr.write(`${fault}\n`);
      return 1;
    },
  );
}

/** Why chunks may be left in the cachestore; undefined if all that were looked up are deleted. */
function cachestoreFault({ cachestore }: ClearDocument): string | undefined {
  if (cachestore === null)
    return "Nothing was deleted from a cachestore: this replica has none (cachestore.driver).";
  const { objects, chunks, failed } = cachestore;
  if (objects === 0) {
    return (
      "Nothing was looked up in the cachestore: this replica has no metadata of such objects, and names there are " +
      "hashes. Read the objects' heads through this replica first, then clear with --cachestore before anything else."
    );
  }
  if (failed === 0) return undefined;
  return `The cachestore did not delete ${failed} of ${chunks} chunks, see the log. Repeat this when it answers again.`;
}

function isCleared(value: unknown): value is ClearDocument {
  const cleared = { chunks: "number", bytes: "number" } as const;
  return (
    has(value, { objects: "number" }) &&
    has(value["memory"], cleared) &&
    (value["disk"] === null || has(value["disk"], cleared)) &&
    (value["cachestore"] === null ||
      has(value["cachestore"], { objects: "number", chunks: "number", failed: "number" }))
  );
}
