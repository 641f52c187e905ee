/**
 * TLS of a listener for other replicas: its certificate, as `source` has it at any moment, and who may connect. In the
 * engine's thread the source is the files (mesh-tls.ts), and in another thread what the engine has read in them.
 */
import { constants } from "node:crypto";
import type { Http2SecureServer } from "node:http2";
import type { SecureContextOptions, TLSSocket, TlsOptions } from "node:tls";
import { replicaIdsOf } from "../../base/replica-uri.ts";
import type { TlsSource } from "../../base/tls-files.ts";
import { carriesIdentity } from "./certificate-identity.ts";

export class MeshServerTls {
  /** The certificate identity. */
  readonly serverName: string;
  readonly source: TlsSource;

  constructor(serverName: string, source: TlsSource) {
    this.serverName = serverName;
    this.source = source;
  }

  /** For the listening end. {@link serve} keeps them current. */
  get serverOptions(): TlsOptions {
    return { ...this.contextOptions, requestCert: true, rejectUnauthorized: true };
  }

  /** Complete each time: `setSecureContext` drops every option that it does not receive. */
  get contextOptions(): SecureContextOptions {
    return { ...this.source.secureContextOptions, secureOptions: constants.SSL_OP_NO_TICKET };
  }

  /** Gives each renewed certificate to `server`, until the source is stopped. */
  serve(server: Http2SecureServer): void {
    this.source.watch(() => server.setSecureContext(this.contextOptions));
  }

  /** Whether the peer of this connection belongs to the cluster. TLS has verified the chain of its certificate. */
  isMember(socket: TLSSocket): boolean {
    const certificate = socket.getPeerX509Certificate();
    return certificate !== undefined && carriesIdentity(certificate, this.serverName);
  }

  /** The replicas for which the peer's certificate was issued. Undefined if it names none. */
  replicaIdsOf(socket: TLSSocket): ReadonlySet<string> | undefined {
    const certificate = socket.getPeerX509Certificate();
    return certificate && replicaIdsOf(certificate);
  }
}
