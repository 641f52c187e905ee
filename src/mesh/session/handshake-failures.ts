/**
 * Connections of the mesh that did not come to be, counted by reason. A wrong authority is a misconfigured or hostile
 * replica and an expired certificate is a renewal that failed; they look the same from the outside, and whoever is woken
 * by them needs to know which it is.
 */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";

export const handshakeFailureReasons = [
  /** The other end showed none. */
  "no_certificate",
  /** Its chain does not end in the cluster's authority. */
  "unknown_authority",
  /** It is past its end, or before its beginning. */
  "expired",
  /** It is good, and for another cluster. */
  "wrong_identity",
  /** It may not be used for this end of TLS. */
  "wrong_purpose",
  /** Another version of TLS, no HTTP/2, or no TLS at all. */
  "protocol",
  /** The handshake was not finished in time. */
  "timeout",
  /** The connection could not be made, or broke before the handshake was over. */
  "broken",
] as const;

export type HandshakeFailureReason = (typeof handshakeFailureReasons)[number];

/** The code of the error with which an end refuses a good certificate that is not of its cluster. */
export const wrongIdentityCode = "ORCA_WRONG_IDENTITY";

/** By error code of Node.js and OpenSSL (https://nodejs.org/api/tls.html#x509-certificate-error-codes). */
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
  INVALID_PURPOSE: "wrong_purpose",
  ERR_TLS_HANDSHAKE_TIMEOUT: "timeout",
  ERR_HTTP2_ERROR: "protocol",
  ERR_HTTP2_SESSION_ERROR: "protocol",
};

/** Why a handshake failed with an error of this code. */
export function handshakeFailureReason(code: unknown): HandshakeFailureReason {
  const known = reasonByCode[String(code)];
  if (known) return known;
  // What is left of OpenSSL's own are other versions, other protocols and bytes that are no TLS.
  return String(code).startsWith("ERR_SSL_") ? "protocol" : "broken";
}

const logIntervalMs = 60_000;

export class HandshakeFailures {
  readonly counts = Object.fromEntries(handshakeFailureReasons.map((reason) => [reason, 0])) as Record<
    HandshakeFailureReason,
    number
  >;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #loggedMs = new Map<HandshakeFailureReason, number>();

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Counts, and logs the first of its reason in a minute: a peer that tries again and again is one line, not a flood. */
  count(reason: HandshakeFailureReason, fields: object, message: string): void {
    this.counts[reason] += 1;
    const nowMs = this.#clock.monotonic();
    if (nowMs - (this.#loggedMs.get(reason) ?? -Infinity) < logIntervalMs) return;
    this.#loggedMs.set(reason, nowMs);
    this.#logger.warn({ reason, ...fields }, message);
  }
}
