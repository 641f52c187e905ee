/**
 * `/cache/warm` of the ops listener. A POST starts a warm-up and answers with a line of JSON twice a second, the last one
 * when it has ended (warm-document.ts has the fields). A caller that disconnects ends it. A GET shows those that run.
 *
 *     POST /cache/warm?prefix=models/llama/            all below a prefix, in the names that clients use
 *     POST /cache/warm?manifest=true                   the objects in the body, one `s3://BUCKET/KEY` a line
 *     POST /cache/warm?resume=ID[&manifest=true]       goes on where the one with that id was; a manifest is sent again
 *       &bytes_per_second=104857600                    from the origin, for the whole cluster; no limit by default
 *       &dry_run=true                                  fills nothing, and tells what is held
 *       &pin_seconds=86400                             keeps it from being evicted from disk until then
 *     GET  /cache/warm?run=RUN-ID                      follows one that runs here, or was handed on to here and has ended
 *     POST /cache/warm?cancel=RUN-ID                   ends one, and answers with its last document
 */
import { type Clock, sleep } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { formatBytes, GiB, MiB } from "../../base/units.ts";
import { manifestBytesMax } from "../../fill/warming/handed-warm-up.ts";
import type { Buckets } from "../../object/buckets.ts";
import { allowOnly } from "../endpoints/cache-endpoints.ts";
import { flagOf } from "../endpoints/place-query.ts";
import { jsonPage, type OpsEndpoint, type OpsRequest } from "../ops-endpoint.ts";
import type { WarmDocument } from "./warm-document.ts";
import { warmPositionOf } from "./warm-id.ts";
import { ManifestSource, PrefixSource, type WarmSource } from "./warm-source.ts";
import type { WarmPlan } from "./warm-up.ts";
import type { LedWarmUp, WarmUps } from "./warm-ups.ts";

export interface WarmEndpointsOptions {
  readonly warmUps: WarmUps;
  readonly buckets: Buckets;
}

/** The answer to a GET. */
export interface WarmUpsDocument {
  readonly warm_ups: readonly WarmDocument[];
  /** Of those that other replicas have handed on to this one, the last 16 that have ended. */
  readonly ended: readonly WarmDocument[];
}

const progressIntervalMs = 500;
const pinSecondsMax = 365 * 24 * 3600;
const bytesPerSecondMax = 1024 * GiB;

export function warmEndpoints({ warmUps, buckets }: WarmEndpointsOptions): OpsEndpoint[] {
  const path = "/cache/warm";
  return [
    {
      method: "GET",
      path,
      help: "the warm-ups that this replica leads, as JSON",
      answer: async ({ query, signal }) => {
        allowOnly(query, ["run"]);
        const runId = query.get("run");
        const { running, ended } = warmUps;
        if (runId !== null) {
          const before = ended.find(({ run_id: id }) => id === runId);
          return before
            ? jsonPage(200, before)
            : { documents: following(warmUps.led(runId), warmUps, signal) };
        }
        return jsonPage(200, { warm_ups: running, ended } satisfies WarmUpsDocument);
      },
    },
    {
      method: "POST",
      path,
      action: "warm",
      help: 'fetches objects into the cluster before they are read; "orca warm" does it',
      answer: async (request) => {
        const runId = request.query.get("cancel");
        if (runId !== null) {
          allowOnly(request.query, ["cancel"]);
          return jsonPage(200, await warmUps.cancel(runId));
        }
        const warmUp = await warmUps.start(() => planOf(request, buckets, warmUps.clock), request.signal);
        return { documents: following(warmUp, warmUps, request.signal) };
      },
    },
  ];
}

async function* following(
  warmUp: LedWarmUp,
  { clock }: WarmUps,
  signal: AbortSignal,
): AsyncGenerator<WarmDocument> {
  const stop = AbortSignal.any([warmUp.over, signal]);
  while (!stop.aborted) {
    yield warmUp.document;
    await sleep(clock, progressIntervalMs, stop).catch(() => undefined);
  }
  // A caller that leaves ends it, and one that only follows does not.
  if (warmUp.over.aborted) yield warmUp.document;
}

/** @throws OrcaError `invalid_argument`, `no_such_bucket`. */
async function planOf({ query, body }: OpsRequest, buckets: Buckets, clock: Clock): Promise<WarmPlan> {
  allowOnly(query, ["prefix", "manifest", "resume", "bytes_per_second", "dry_run", "pin_seconds"]);
  const resume = query.get("resume");
  const position = resume === null ? undefined : warmPositionOf(resume);
  const hasManifest = flagOf(query, "manifest", "Cannot warm");
  const resumed = position?.source.startsWith("p") ? position.source.slice(1) : undefined;
  const prefix = query.get("prefix") ?? resumed;
  if (hasManifest === (prefix !== undefined))
    throw invalid(
      position ? "the manifest of that id is missing" : "give a prefix or a manifest, and not both",
    );
  const bytesPerSecond = bytesPerSecondOf(query);
  const isDryRun = flagOf(query, "dry_run", "Cannot warm");
  const pinMs = pinMsOf(query);
  if (isDryRun && pinMs > 0) throw invalid("dry_run changes nothing, so it cannot go with pin_seconds");
  const source: WarmSource =
    prefix === undefined
      ? new ManifestSource((await body?.(manifestBytesMax)) ?? Buffer.alloc(0), buckets)
      : new PrefixSource(prefix, buckets);
  if (position && position.source !== source.name) throw invalid("the id is that of other objects");
  return {
    source,
    after: position?.after ?? "",
    isDryRun,
    bytesPerSecond,
    pinUntilMs: pinMs > 0 ? clock.now() + pinMs : 0,
  };
}

function bytesPerSecondOf(query: URLSearchParams): number | undefined {
  const name = "bytes_per_second";
  const text = query.get(name);
  if (text === null) return undefined;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value >= MiB && value <= bytesPerSecondMax) return value;
  throw invalid(
    `${name} is "${text}", expected ${MiB} (1 MiB) to ${bytesPerSecondMax} (${formatBytes(bytesPerSecondMax)})`,
  );
}

function pinMsOf(query: URLSearchParams): number {
  const text = query.get("pin_seconds");
  if (text === null) return 0;
  const seconds = /^\d{1,8}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= pinSecondsMax) return seconds * 1000;
  throw invalid(`pin_seconds is "${text}", expected 1 to ${pinSecondsMax} (365 days)`);
}

function invalid(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "client", `Cannot warm: ${reason}`);
}
