/** `orca cache clear`: deletes what one replica holds. The replica does the work; this command shows the result. */
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

export interface CacheClearOptions extends OpsCommandOptions {
  /** `BUCKET` or `BUCKET/KEY-PREFIX`; all objects when left out. */
  readonly prefix?: string | undefined;
  /** Also deletes from the cachestore. */
  readonly cachestore: boolean;
}

/** To find a prefix, the replica reads the footers of all chunks: about a hundred a second on a hard disk. */
const clearTimeoutMs = 3_600_000;

/** Resolves with the exit code: 1 if no replica answers, or it denies the action. */
export function cacheClear(options: CacheClearOptions): Promise<number> {
  const { prefix, cachestore } = options;
  const call = {
    path: "/cache/clear",
    action: "clear",
    query: { ...(prefix !== undefined && { prefix }), ...(cachestore && { cachestore: "true" }) },
  };
  return withOps(
    "clear the cache of",
    call,
    { ...options, timeoutMs: options.timeoutMs ?? clearTimeoutMs },
    async (url, deadline) => {
      const text = await readAnswer(url, call, deadline);
      const document = parseAnswer(text, isCleared);
      options.stdout.write(options.json ? text : clearReport(document, prefix));
      return 0;
    },
  );
}

function isCleared(value: unknown): value is ClearDocument {
  const cleared = { chunks: "number", bytes: "number" } as const;
  return (
    has(value, { objects: "number" }) &&
    has(value["memory"], cleared) &&
    (value["disk"] === null || has(value["disk"], cleared)) &&
    (value["cachestore"] === null || has(value["cachestore"], { chunks: "number" }))
  );
}
