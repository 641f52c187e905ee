/**
 * Handshake failures: mesh connections that were not established, counted by reason. A wrong authority is a
 * misconfigured or hostile replica, and an expired certificate is a renewal that failed. From outside they look the
 * same, and the person on call needs to know which it is.
 */
import type { Clock } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";
import { LruMap } from "../../base/lru-map.ts";
import { pages } from "../../base/pages.ts";

export const handshakeFailureReasons = [
  /** The other end presented none. */
  "no_certificate",
  /** The chain of the certificate does not end in the cluster's authority. */
  "unknown_authority",
  /** The certificate has expired, or is not valid yet. */
  "expired",
  /** The certificate is valid, but carries another cluster's identity. */
  "wrong_identity",
  /** The certificate may not be used for this end of TLS. */
  "wrong_purpose",
  /** The other end closed the connection after TLS, as one does that rejects the certificate. */
  "rejected",
  /** Another version of TLS, no HTTP/2, or no TLS at all. */
  "protocol",
  /** The handshake did not finish in time. */
  "timeout",
  /** The connection was not opened, or broke during the handshake. */
  "broken",
] as const;

export type HandshakeFailureReason = (typeof handshakeFailureReasons)[number];

/** The error code for a valid certificate that carries another cluster's identity. */
export const wrongIdentityCode = "ORCA_WRONG_IDENTITY";

/** The error code for a connection that the server closed between TLS and its SETTINGS. */
export const closedAfterTlsCode = "ORCA_CLOSED_AFTER_TLS";

/** By error code of Node.js or OpenSSL (https://nodejs.org/api/tls.html#x509-certificate-error-codes). */
const reasonByCode: Readonly<Record<string, HandshakeFailureReason>> = {
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: "no_certificate",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "no_certificate",
  UNABLE_TO_GET_ISSUER_CERT: "unknown_authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "unknown_authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "unknown_authority",
  DEPTH_ZERO_SELF_SIGNED_CERT: "unknown_authority",
  SELF_SIGNED_CERT_IN_CHAIN: "unknown_authority",
  CERT_SIGNATURE_FAILURE: "unknown_authority",
  CERT_UNTRUSTED: "unknown_authority",
  CERT_CHAIN_TOO_LONG: "unknown_authority",
  INVALID_CA: "unknown_authority",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: "unknown_authority",
  CERT_HAS_EXPIRED: "expired",
  CERT_NOT_YET_VALID: "expired",
  ERR_SSL_SSL_TLSV1_ALERT_CERTIFICATE_EXPIRED: "expired",
  [wrongIdentityCode]: "wrong_identity",
  [closedAfterTlsCode]: "rejected",
  INVALID_PURPOSE: "wrong_purpose",
  ERR_TLS_HANDSHAKE_TIMEOUT: "timeout",
  ERR_HTTP2_ERROR: "protocol",
  ERR_HTTP2_SESSION_ERROR: "protocol",
};

/** The reason for a handshake failure with this error code. */
export function handshakeFailureReason(code: unknown): HandshakeFailureReason {
  const known = reasonByCode[String(code)];
  if (known) return known;
  // OpenSSL's other errors are about versions, protocols and bytes that are not TLS.
  return String(code).startsWith("ERR_SSL_") ? "protocol" : "broken";
}

/** Reasons that no wait mends: a person must act, so they are shown in /readyz. */
const lastingReasons: ReadonlySet<HandshakeFailureReason> = new Set([
  "no_certificate",
  "unknown_authority",
  "expired",
  "wrong_identity",
  "wrong_purpose",
  "rejected",
  "protocol",
]);

/** Peers that are remembered. Any host that reaches the port can be one. */
const peersMax = 64;

/** Addresses that have answered: as many as a cluster has members. */
const answeredMax = 1024;

/** Lines in a minute about all peers together. */
const linesMax = 30;

/** Peers that a notice names; the others are counted. */
const peersShownMax = 3;

/** A failure of this age has ended: replicas try again every few seconds. */
const lastsMs = 120_000;

/** While a cluster starts, its replicas call others that do not listen yet. That is no alarm. */
const joiningMs = 60_000;

/** What a session tells of its attempts to connect. */
export type Handshakes = Pick<HandshakeFailures, "count" | "succeeded">;

export class HandshakeFailures {
  readonly counts = Object.fromEntries(handshakeFailureReasons.map((reason) => [reason, 0])) as Record<
    HandshakeFailureReason,
    number
  >;
  readonly #clock: Clock;
  readonly #pace: LogPace;
  readonly #paceOfAll: LogPace;
  readonly #logger: Logger;
  readonly #startedMs: number;
  /** Lasting failures, by peer. */
  readonly #recent = new LruMap<string, { readonly text: string; readonly atMs: number }>({
    entriesMax: peersMax,
  });
  readonly #answered = new LruMap<string, true>({ entriesMax: answeredMax });

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#pace = new LogPace(clock);
    this.#paceOfAll = new LogPace(clock, linesMax);
    this.#logger = logger;
    this.#startedMs = clock.monotonic();
  }

  /**
   * Counts a failure of `peer`, the address that was called or that called. Each reason is logged once a minute at most
   * for each peer, because a peer tries again and again, and must not hide the failure of another one. A peer that has
   * never answered while this replica joins is information, and a peer that has answered before is a warning.
   */
  count(reason: HandshakeFailureReason, peer: string, fields: object, message: string): void {
    this.counts[reason] += 1;
    const isLasting = lastingReasons.has(reason);
    const atMs = this.#clock.monotonic();
    if (isLasting) this.#recent.set(peer, { text: `${peer}: certificate (${reason})`, atMs });
    const isJoining = atMs - this.#startedMs < joiningMs && this.#answered.peek(peer) === undefined;
    const level = isLasting || !isJoining ? "warn" : "info";
    const suppressed = this.#pace.take(`${level} ${reason} ${peer}`);
    if (!suppressed || !this.#paceOfAll.isDue(level)) return;
    this.#logger[level]({ reason, ...fields, see: pages.doesNotJoin, ...suppressed }, message);
  }

  /** A session with `peer` was established. */
  succeeded(peer: string): void {
    this.#recent.delete(peer);
    this.#answered.set(peer, true);
  }

  /** For /readyz: failures that a person must mend, or null. */
  get notice(): string | null {
    const sinceMs = this.#clock.monotonic() - lastsMs;
    const texts: string[] = [];
    for (const { text, atMs } of this.#recent.values()) if (atMs > sinceMs) texts.push(`no TLS with ${text}`);
    if (texts.length === 0) return null;
    const more = texts.length - peersShownMax;
    return [...texts.slice(0, peersShownMax), ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
  }
}
