/**
 * The calling end of mutual TLS between replicas: in the engine's thread a part of {@link MeshTls}, which reads the files,
 * and in a thread that receives chunks on what the engine sends of them.
 */
import { X509Certificate } from "node:crypto";
import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type TLSSocket,
} from "node:tls";
import { replicaIdsOf } from "../../base/replica-uri.ts";
import { carriesIdentity } from "./certificate-identity.ts";
import { wrongIdentityCode } from "./handshake-failures.ts";

export class MeshClientTls {
  /** The certificate identity. */
  readonly serverName: string;
  #files: SecureContextOptions;
  /** To make it costs more than all else that a connection that is refused costs. */
  #context: SecureContext | undefined;

  constructor(serverName: string, files: SecureContextOptions) {
    this.serverName = serverName;
    this.#files = files;
  }

  /** New connections use the renewed files. */
  renew(files: SecureContextOptions): void {
    this.#files = files;
    this.#context = undefined;
  }

  /** For one connection to a peer, with the current files. */
  get clientOptions(): ConnectionOptions {
    this.#context ??= createSecureContext(this.#files);
    return {
      secureContext: this.#context,
      servername: this.serverName,
      rejectUnauthorized: true,
      ALPNProtocols: ["h2"],
      checkServerIdentity: (_host, { raw }) => {
        if (carriesIdentity(new X509Certificate(raw), this.serverName)) return undefined;
        const error = new Error(`the peer's certificate does not carry the identity "${this.serverName}"`);
        return Object.assign(error, { code: wrongIdentityCode });
      },
    };
  }

  /** The replicas for which the peer's certificate was issued. Undefined if it names none. */
  replicaIdsOf(socket: TLSSocket): ReadonlySet<string> | undefined {
    const certificate = socket.getPeerX509Certificate();
    return certificate && replicaIdsOf(certificate);
  }
}
