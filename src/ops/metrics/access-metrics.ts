/** Metrics of access control: requests that were denied, what origins were asked about rights, and the files of keys. */
import { labelled, type MetricsRegistry } from "./metrics.ts";

/** Only where `server.auth.enabled` is true. */
export interface AccessCounters {
  /** By the code of the error. */
  readonly denials: ReadonlyMap<string, number>;
  /** Undefined for `authorize: keys`. */
  readonly verdicts:
    | {
        readonly hits: number;
        readonly questions: number;
        readonly joined: number;
        readonly failures: number;
      }
    | undefined;
  /** Of the access keys file and the file of keys for tokens, together. */
  readonly files: { readonly reloads: number; readonly reloadFailures: number };
}

export function registerAccessMetrics(metrics: MetricsRegistry, access: AccessCounters): void {
  metrics.counter(
    "orca_requests_denied_total",
    {
      meaning:
        "Requests that were denied because of their credentials or rights, by the code of the error. Only with server.auth.",
      watch:
        "A jump of signature_mismatch: a client or a proxy changed. Of expired_token: a key ran out. Of access_denied: a client lost a right, or somebody tries.",
    },
    () => labelled("code", Object.fromEntries(access.denials)),
  );
  metrics.counter(
    "orca_access_reloads_total",
    {
      meaning: "Times a changed file of access keys or token keys was loaded. Only with server.auth.",
      watch: "Grows by one with each change.",
    },
    () => access.files.reloads,
  );
  metrics.counter(
    "orca_access_reload_failures_total",
    {
      meaning:
        "Times such a file could not be used. The keys from before stay in use. Only with server.auth.",
      watch: "Should not grow. The log names the fault.",
    },
    () => access.files.reloadFailures,
  );
  if (access.verdicts === undefined) return;
  const { verdicts } = access;
  metrics.counter(
    "orca_authorize_verdicts_total",
    {
      meaning:
        "Requests that needed the origin's verdict, by result: hit (it was known), asked (a HEAD or a LIST), joined (another request had asked). Only with server.auth.authorize origin.",
      watch: "The larger the part of hit, the better. Raise server.auth.authorize_ttl for fewer questions.",
    },
    () => labelled("result", { hit: verdicts.hits, asked: verdicts.questions, joined: verdicts.joined }),
  );
  metrics.counter(
    "orca_authorize_failures_total",
    {
      meaning:
        "Questions about a right that the origin did not answer. The client gets an error. Only with server.auth.authorize origin.",
      watch: "Should not grow.",
    },
    () => verdicts.failures,
  );
}
