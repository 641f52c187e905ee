/**
 * Turns the certificate of a TLS client into an identity. TLS has verified the chain against `server.tls.client_ca_file`.
 * The names are read once for each connection, and the validity with each request, since a connection may outlive its
 * certificate.
 */
import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Clock } from "../../base/clock.ts";
import { AuthError } from "./auth-error.ts";
import type { Identity } from "./identity.ts";

/** What a connection has shown. */
interface ShownCertificate {
  readonly names: readonly string[];
  readonly expiresMs: number;
}

export class ClientCertificates {
  readonly #clock: Clock;
  readonly #shown = new WeakMap<Socket, ShownCertificate | null>();
  #identities: ReadonlyMap<string, Identity> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes other identities, by the names of certificates. */
  use(identities: ReadonlyMap<string, Identity>): void {
    this.#identities = identities;
  }

  /** Undefined for a client without a certificate that TLS has verified. */
  identityOf(socket: Socket): Identity | AuthError | undefined {
    let shown = this.#shown.get(socket);
    if (shown === undefined) {
      shown = certificateOf(socket);
      this.#shown.set(socket, shown);
    }
    if (shown === null) return undefined;
    if (this.#clock.now() >= shown.expiresMs) {
      return new AuthError("expired_token", "The client certificate has expired.");
    }
    for (const name of shown.names) {
      const identity = this.#identities.get(name);
      if (identity) return identity;
    }
    return new AuthError("access_denied", "The client certificate has no name that may read");
  }
}

function certificateOf(socket: Socket): ShownCertificate | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
  const certificate = socket.getPeerX509Certificate();
  return certificate ? { names: namesOf(certificate), expiresMs: certificate.validToDate.getTime() } : null;
}

/** As the access keys file names them. Alternative names come before the common name. */
function namesOf({ subject, subjectAltName }: X509Certificate): string[] {
  // Node quotes a value that holds a comma, and escapes a line end, so a name cannot look like two.
  const names = (subjectAltName ?? "").split(", ").filter((name) => name !== "");
  const commonNames = (subject ?? "").split("\n").filter((line) => line.startsWith("CN="));
  // Several common names are ambiguous, so none of them counts.
  const [commonName] = commonNames;
  if (commonName !== undefined && commonNames.length === 1) names.push(`CN:${commonName.slice(3)}`);
  return names;
}
