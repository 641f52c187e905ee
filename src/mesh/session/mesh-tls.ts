/**
 * Mutual TLS 1.3 between replicas. Each end presents a certificate that the cluster's own authority issued and that
 * carries the certificate identity (`internal_tls.server_name`) as a DNS name. The identity names the cluster and not a
 * host, because replicas and their addresses change. The authority alone is not enough: one authority may sign for
 * several clusters, and their replicas must not connect to each other.
 *
 * TLS sessions are not resumed: a resumed one would rest on a certificate that was checked long ago. A renewed
 * certificate applies to new connections. Existing connections keep theirs, so that no stream is cut.
 */
import type { ConnectionOptions, SecureContextOptions } from "node:tls";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { type TlsContent, TlsFiles } from "../../base/tls-files.ts";
import { checkOwnCertificate } from "./certificate-identity.ts";
import { MeshClientTls } from "./mesh-client-tls.ts";
import { MeshServerTls } from "./mesh-server-tls.ts";

export interface MeshTlsOptions {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  /** `internal_tls.server_name`, the certificate identity. */
  readonly serverName: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Time between two checks of the files. */
  readonly pollIntervalMs?: number;
}

/** This replica's certificate, as it was checked last, and its id when it is known. */
interface OwnCertificate {
  readonly check: (content: TlsContent) => void;
  content?: TlsContent;
  replicaId?: string;
}

export class MeshTls extends MeshServerTls {
  readonly #files: TlsFiles;
  readonly #own: OwnCertificate;
  /** For connections to peers. */
  readonly #client: MeshClientTls;

  private constructor(serverName: string, files: TlsFiles, own: OwnCertificate) {
    super(serverName, files);
    this.#files = files;
    this.#own = own;
    this.#client = new MeshClientTls(serverName, this.contextOptions);
  }

  /**
   * Reads the files and begins to watch them.
   * @throws OrcaError config_invalid for unusable files, and for a certificate that the peers would reject.
   */
  static async load({ serverName, caFile, clock, ...options }: MeshTlsOptions): Promise<MeshTls> {
    const own: OwnCertificate = {
      check: (content) => {
        checkOwnCertificate({ ...content, ...options, serverName, replicaId: own.replicaId }, clock.now());
        own.content = content;
      },
    };
    const files = await TlsFiles.load({
      ...options,
      clock,
      clientCaFile: caFile,
      minVersion: "TLSv1.3",
      check: own.check,
    });
    const tls = new MeshTls(serverName, files, own);
    files.watch(() => {
      tls.#client.renew(tls.contextOptions);
    });
    return tls;
  }

  /**
   * Tells the id of this replica, which the certificate must carry if it names replicas at all.
   * @throws OrcaError config_invalid if it names others only. The same holds for a renewed one, which is not loaded.
   */
  bindTo(replicaId: string): void {
    this.#own.replicaId = replicaId;
    if (this.#own.content) this.#own.check(this.#own.content);
  }

  /** Counts the reloads of the files, and those that failed. */
  get stats(): TlsFiles["stats"] {
    return this.#files.stats;
  }

  /** When this replica's certificate expires, in milliseconds since the epoch. */
  get expiresMs(): number {
    return this.#files.expiresMs;
  }

  /** For one connection to a peer, with the current files. */
  get clientOptions(): ConnectionOptions {
    return this.#client.clientOptions;
  }

  /** Calls `onChange` with {@link contextOptions} of each renewed certificate, until {@link stop}. */
  watch(onChange: (context: SecureContextOptions) => void): void {
    this.#files.watch(() => onChange(this.contextOptions));
  }

  stop(): void {
    this.#files.stop();
  }
}
