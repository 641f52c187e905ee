/**
 * Who may speak on the mesh: TLS 1.3, both ends with a certificate of the cluster's own authority that carries the
 * cluster's identity (`internal_tls.server_name`) as a DNS name. The name is the cluster's and not the host's, because
 * replicas come and go with their addresses; and it is asked for besides the authority, because one authority may sign
 * for several clusters, and their replicas must not meet.
 *
 * Sessions are not resumed: a resumed one would be believed on the strength of a certificate that was checked long ago.
 * A renewed certificate is for new connections; those that run keep theirs, so that no stream is dropped for it.
 */
import { constants, X509Certificate } from "node:crypto";
import type { Http2SecureServer } from "node:http2";
import type { ConnectionOptions, SecureContextOptions, TLSSocket, TlsOptions } from "node:tls";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { type TlsContent, TlsFiles } from "../../base/tls-files.ts";
import { carriesIdentity, checkOwnCertificate } from "./certificate-identity.ts";
import { wrongIdentityCode } from "./handshake-failures.ts";

export interface MeshTlsOptions {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  /** `internal_tls.server_name`, the cluster's identity. */
  readonly serverName: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Time between two looks at the files. */
  readonly pollIntervalMs?: number;
}

export class MeshTls {
  /** The cluster's identity. */
  readonly serverName: string;
  readonly #files: TlsFiles;
  #server: Http2SecureServer | undefined;

  private constructor(serverName: string, files: TlsFiles) {
    this.serverName = serverName;
    this.#files = files;
  }

  /**
   * Reads the files and begins to watch them.
   * @throws OrcaError config_invalid for files that cannot be used, and for a certificate that the peers would refuse.
   */
  static async load({ serverName, caFile, clock, ...options }: MeshTlsOptions): Promise<MeshTls> {
    const check = (content: TlsContent): void =>
      checkOwnCertificate(content, options.certFile, serverName, clock.now());
    const files = await TlsFiles.load({
      ...options,
      clock,
      clientCaFile: caFile,
      minVersion: "TLSv1.3",
      check,
    });
    const tls = new MeshTls(serverName, files);
    files.watch(() => tls.#server?.setSecureContext(tls.#context()));
    return tls;
  }

  /** Reloads of the files, and files that could not be taken up. */
  get stats(): TlsFiles["stats"] {
    return this.#files.stats;
  }

  /** When this replica's certificate ends, milliseconds since the epoch. */
  get expiresMs(): number {
    return this.#files.expiresMs;
  }

  /** For the side that listens, which {@link serve} keeps current. */
  get serverOptions(): TlsOptions {
    return { ...this.#context(), requestCert: true, rejectUnauthorized: true };
  }

  /** For one connection to a peer, with the files as they are now. */
  get clientOptions(): ConnectionOptions {
    return {
      ...this.#context(),
      servername: this.serverName,
      rejectUnauthorized: true,
      ALPNProtocols: ["h2"],
      checkServerIdentity: (_host, { raw }) => {
        if (carriesIdentity(new X509Certificate(raw), this.serverName)) return undefined;
        const error = new Error(`the peer's certificate is not for "${this.serverName}"`);
        return Object.assign(error, { code: wrongIdentityCode });
      },
    };
  }

  /** Renewed certificates are for `server` from here on, until {@link stop}. */
  serve(server: Http2SecureServer): void {
    this.#server = server;
  }

  /** Whether the other end of a connection whose chain was found good belongs to this cluster. */
  isMember(socket: TLSSocket): boolean {
    const certificate = socket.getPeerX509Certificate();
    return certificate !== undefined && carriesIdentity(certificate, this.serverName);
  }

  stop(): void {
    this.#files.stop();
    this.#server = undefined;
  }

  /** All of it each time: `setSecureContext` forgets what it is not given. */
  #context(): SecureContextOptions {
    return { ...this.#files.secureContextOptions, secureOptions: constants.SSL_OP_NO_TICKET };
  }
}
