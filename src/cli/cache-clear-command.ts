/** `orca cache clear`: letting go of what one replica holds. The replica does the work; here it is asked for and shown. */
import type { ClearDocument } from "../ops/endpoints/cache-endpoints.ts";
import { clearReport } from "./cache-report.ts";
import { has, type OpsCommandOptions, parseAnswer, readAnswer, withOps } from "./ops-call.ts";

export interface CacheClearOptions extends OpsCommandOptions {
  /** `BUCKET` or `BUCKET/KEY-PREFIX`; everything where left out. */
  readonly prefix?: string | undefined;
  /** From the store that all replicas share, too. */
  readonly cachestore: boolean;
}

/** Footers of all chunks are read to find a prefix: on a hard disk, a hundred a second. */
const clearTimeoutMs = 3_600_000;

/** Resolves with the exit code: 1 where no replica answers, or it refuses. */
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
