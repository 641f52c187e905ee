/**
 * Handshake failures: mesh connections that were not established, counted by reason. A wrong authority is a
 * misconfigured or hostile replica, and an expired certificate is a renewal that failed. From outside they look the
 * same, and the person on call needs to know which it is.
 */
import type { Clock } from "../../base/clock.ts";
import { LogPace } from "../../base/log-pace.ts";
import type { Logger } from "../../base/logger.ts";

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

export class HandshakeFailures {
  readonly counts = Object.fromEntries(handshakeFailureReasons.map((reason) => [reason, 0])) as Record<
    HandshakeFailureReason,
    number
  >;
  readonly #pace: LogPace;
  readonly #logger: Logger;

  constructor(clock: Clock, logger: Logger) {
    this.#pace = new LogPace(clock);
    this.#logger = logger;
  }

  /** Counts a failure. Each reason is logged once a minute at most, because a peer tries again and again. */
  count(reason: HandshakeFailureReason, fields: object, message: string): void {
    this.counts[reason] += 1;
    if (this.#pace.isDue(reason)) this.#logger.warn({ reason, ...fields }, message);
  }
}
