/**
 * Whether each bucket of the origins can be read, as `orca config check --connect` looks at it, and whether this host's
 * clock and the origin's agree. A signature is valid for 15 minutes only, and metadata compares times.
 */
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Random } from "../../base/random.ts";
import type { Config } from "../../config/config.ts";
import type { GuardedOrigin } from "../../origin/guarded-origin.ts";
import { type BucketLook, bucketLooksOf, runLooks } from "../../replica/bucket-looks.ts";
import { type OriginsOptions, openOrigin } from "../../replica/origins.ts";
import { Deadline } from "../ops-call.ts";
import { type DoctorFinding, Findings } from "./doctor-finding.ts";

const clockTimeoutMs = 5000;

/** Beyond the first, S3 and Azure reject what Orca signs. Beyond the second, something is wrong with a clock. */
const skewMaxMs = 15 * 60_000;
const skewNoticeMs = 30_000;

/** The header `Date` has whole seconds. */
const halfSecondMs = 500;

export async function originFindings(config: Config, clock: Clock, random: Random): Promise<DoctorFinding[]> {
  const origins: GuardedOrigin[] = [];
  try {
    const fault = openAll({ config, clock, random }, origins);
    if (fault) return [fault];
    const looks = bucketLooksOf(config, origins, clock);
    const found = await runLooks(looks, new AbortController().signal);
    const buckets = looks.map((each, index) => bucketFinding(each, found[index]));
    return [...buckets, ...(await clockFindings(looks, clock))];
  } finally {
    for (const origin of origins) origin.close();
  }
}

/** Adds the origins to `opened`. Returns why one cannot be opened, if so: then no replica starts. */
function openAll(options: OriginsOptions, opened: GuardedOrigin[]): DoctorFinding | undefined {
  try {
    for (const each of options.config.origins) opened.push(openOrigin(each, options));
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof OrcaError)) throw thrown;
    const remedy = "Correct the settings of the origin, or its credentials in this environment.";
    return new Findings("origin").problem(thrown.message, remedy);
  }
}

function bucketFinding(
  { originId, what, at }: BucketLook,
  found: Awaited<ReturnType<BucketLook["run"]>>,
): DoctorFinding {
  const findings = new Findings("origin");
  const name = `${what} of origin "${originId}"`;
  if (!found) return findings.ok(`Read ${name} ("${at.place}")`);
  return findings.problem(`Cannot read ${name} (${found.code}): ${found.reason}`, found.remedy);
}

/** Each address once. */
async function clockFindings(looks: readonly BucketLook[], clock: Clock): Promise<DoctorFinding[]> {
  const addresses = new Set(looks.flatMap(({ at }) => (at.url ? [at.url.origin] : [])));
  return Promise.all([...addresses].map((address) => clockFinding(address, clock)));
}

async function clockFinding(address: string, clock: Clock): Promise<DoctorFinding> {
  const findings = new Findings("clock");
  const deadline = new Deadline(clock, clockTimeoutMs);
  try {
    const sentMs = clock.now();
    const { headers } = await fetch(address, { method: "HEAD", redirect: "manual", signal: deadline.signal });
    const date = Date.parse(headers.get("date") ?? "");
    if (Number.isNaN(date)) return findings.skipped(`${address} does not say what time it is`);
    const skewMs = (sentMs + clock.now()) / 2 - (date + halfSecondMs);
    return skewFinding(address, Math.round(skewMs / 1000));
  } catch {
    return findings.skipped(`${address} did not answer, so its clock is unknown`);
  } finally {
    deadline.cancel();
  }
}

function skewFinding(address: string, skewSeconds: number): DoctorFinding {
  const findings = new Findings("clock");
  const skewMs = Math.abs(skewSeconds) * 1000;
  const side = skewSeconds > 0 ? "ahead of" : "behind";
  const what = `The clock of this host is ${Math.abs(skewSeconds)} s ${side} that of ${address}`;
  const remedy = "Set the clock, and let a time service such as chrony keep it.";
  if (skewMs >= skewMaxMs) return findings.problem(`${what}: signed requests are rejected`, remedy);
  if (skewMs >= skewNoticeMs) return findings.warning(what, remedy);
  return findings.ok(`The clock of this host agrees with that of ${address}`);
}
