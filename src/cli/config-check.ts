/**
 * What `orca config check` does: it loads a configuration as the next start would, and prints every fault, or what would
 * be served. With `--connect` it looks at each bucket of the origins, once, from this host and with the credentials of
 * this environment.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { Random } from "../base/random.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import type { Environment } from "../config/secret.ts";
import { warningsOf } from "../config/warnings.ts";
import type { Finding } from "../origin/bucket-finding.ts";
import type { TextOutput } from "./command-context.ts";
import { configSummary } from "./config-report.ts";
import { counted, formatTable, printable } from "./table.ts";

export interface ConfigCheckOptions {
  readonly file: string;
  /** Look at the buckets of the origins. */
  readonly connect: boolean;
  /** Read certificates, keys and secrets that settings and variables name. */
  readonly files: boolean;
  readonly json: boolean;
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  readonly stdout: TextOutput;
  /** Where faults go, unless the report is JSON. */
  readonly stderr: TextOutput;
}

/** A bucket as the report shows it; in JSON the names are these, in lower case with underscores. */
interface CheckedBucket {
  readonly origin: string;
  /** As clients name it; `*` for the list of all buckets. */
  readonly bucket: string;
  /** The bucket, container or directory at the origin. */
  readonly place: string;
  /** `ok`, or what is wrong. */
  readonly result: "ok" | Finding["code"];
  /** Why, and what to do; empty if nothing is wrong. */
  readonly reason: string;
  readonly remedy: string;
}

/** Resolves with the exit code: 0, or 1 for a fault of the configuration or a bucket that cannot be read. */
export async function configCheck(options: ConfigCheckOptions): Promise<number> {
  const { file, env, files, connect, json, stdout, stderr } = options;
  if (connect && !files) {
    const message = "Cannot connect without files: leave out either --connect or --no-files";
    throw new OrcaError("invalid_argument", "config", message);
  }
  let config: Config;
  try {
    config = loadConfig({ file, env, readsFiles: files });
  } catch (thrown) {
    if (!(thrown instanceof OrcaError)) throw thrown;
    if (json) {
      const [message, ...faults] = thrown.message.split("\n").map((line) => line.trim());
      stdout.write(`${JSON.stringify({ valid: false, message, faults }, undefined, 2)}\n`);
    } else stderr.write(`${thrown.message}\n`);
    return 1;
  }
  const warnings = warningsOf(config);
  const buckets = connect ? await checkedBuckets(config, options) : undefined;
  if (json) stdout.write(`${JSON.stringify({ valid: true, warnings, buckets }, undefined, 2)}\n`);
  else {
    stdout.write(`${file} is valid: ${configSummary(config)}\n`);
    for (const warning of warnings) stdout.write(`warning: ${warning}\n`);
    if (buckets) stdout.write(bucketsReport(buckets));
  }
  return buckets?.some(({ result }) => result !== "ok") ? 1 : 0;
}

async function checkedBuckets(
  config: Config,
  { clock, random }: ConfigCheckOptions,
): Promise<readonly CheckedBucket[]> {
  // The drivers load the SDKs, which a check without --connect does not need.
  const { openOrigin } = await import("../replica/origins.ts");
  const { bucketLooksOf, runLooks } = await import("../replica/bucket-looks.ts");
  const origins = config.origins.map((each) => openOrigin(each, { config, clock, random }));
  try {
    const looks = bucketLooksOf(config, origins, clock);
    const findings = await runLooks(looks, new AbortController().signal);
    return looks.map(({ originId, name, at }, index) => {
      const { code = "ok", reason = "", remedy = "" } = findings[index] ?? {};
      return { origin: originId, bucket: name, place: at.place, result: code, reason, remedy };
    });
  } finally {
    for (const origin of origins) origin.close();
  }
}

/** A table, then a sentence for each bucket that cannot be read: sentences are too long for a column. */
function bucketsReport(buckets: readonly CheckedBucket[]): string {
  const rows = buckets.map(({ origin, bucket, place, result }) => [origin, bucket, place, result]);
  const table = formatTable(["origin", "bucket", "at the origin", "result"], rows);
  const bad = buckets.filter(({ result }) => result !== "ok");
  const sentences = bad.map(({ origin, bucket, reason, remedy }) => {
    const what = bucket === "*" ? "the list of buckets" : `bucket "${bucket}"`;
    return `\nCannot read ${what} of origin "${origin}": ${printable(reason)}. ${printable(remedy)}\n`;
  });
  const named = counted(buckets.filter(({ bucket }) => bucket !== "*").length, "bucket");
  const all = buckets.some(({ bucket }) => bucket === "*") ? `${named} and the list of buckets` : named;
  const verdict = bad.length === 0 ? `${all} can be read` : `${bad.length} of ${all} cannot be read`;
  return `\n${table}\n\n${verdict}\n${sentences.join("")}`;
}
