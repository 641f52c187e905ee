/**
 * The certificate and key of one end of TLS. They are read from files, again and again while the process runs: a tool that
 * renews a certificate replaces the files and need not know Orca. The content is compared, not a time stamp or an event of
 * the file system. A few kB every few seconds cost nothing, and this notices every way to replace a file (rename, rewrite
 * in place, the swapped symbolic links of Kubernetes).
 *
 * A renewal replaces two files, and a read may come in between:
 * 1. the certificate is replaced; 2. we read the new certificate and the old key; 3. the key is replaced.
 * A key that does not fit its certificate is ignored. The old pair stays in use, and the next read after step 3 finds the
 * new one. The same holds for a file that is read while it is written.
 *
 * Invariant: #content is a certificate and the key that fits it.
 */

import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions, type SecureVersion } from "node:tls";
import { assert } from "./assert.ts";
import type { Clock, Timer } from "./clock.ts";
import type { Logger } from "./logger.ts";
import { OrcaError } from "./orca-error.ts";
import { pages } from "./pages.ts";

export interface TlsFilesOptions {
  /** PEM: the certificate, then the intermediate certificates. */
  readonly certFile: string;
  /** PEM. */
  readonly keyFile: string;
  /** PEM: the certificate authorities that the other end's certificate may come from. */
  readonly clientCaFile?: string | undefined;
  /** TLS 1.2 by default. */
  readonly minVersion?: SecureVersion;
  /** Throws an OrcaError for a pair that fits but must not be used. Called before a pair comes into use. */
  readonly check?: (content: TlsContent) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Time between two reads of the files. */
  readonly pollIntervalMs?: number;
}

/** What the files hold: PEM. */
export interface TlsContent {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | undefined;
}

/** What a listener needs: the files, or in another thread what the main thread reads in them. */
export type TlsSource = Pick<TlsFiles, "secureContextOptions" | "watch" | "stop">;

export class TlsFiles {
  readonly stats = { reloads: 0, reloadFailures: 0 };
  readonly #options: TlsFilesOptions;
  #content: TlsContent;
  readonly #watchers: ((options: SecureContextOptions) => void)[] = [];
  #timer: Timer | undefined;
  #stopped = false;
  /** The last failure that was logged, so that a lasting fault is one line and not one for each poll. */
  #loggedFailure = "";

  private constructor(options: TlsFilesOptions, content: TlsContent) {
    this.#options = options;
    this.#content = content;
  }

  /** @throws OrcaError config_invalid for a file that cannot be read or is not PEM, or a key of another certificate. */
  static async load(options: TlsFilesOptions): Promise<TlsFiles> {
    return new TlsFiles(options, await readContent(options));
  }

  /**
   * For `https.createServer` and `server.setSecureContext`. The latter resets every option that it does not get, so the
   * lowest protocol version is one of them.
   */
  get secureContextOptions(): SecureContextOptions {
    const { cert, key, ca } = this.#content;
    return { cert, key, ...(ca && { ca }), minVersion: this.#options.minVersion ?? "TLSv1.2" };
  }

  /** When the certificate in use expires, in milliseconds since the epoch. */
  get expiresMs(): number {
    return new X509Certificate(this.#content.cert).validToDate.getTime();
  }

  /** Calls `onChange` with each new pair in the files, until {@link stop}. Each listener that shows the pair calls it once. */
  watch(onChange: (options: SecureContextOptions) => void): void {
    assert(!this.#stopped, "stopped TLS files are not watched");
    this.#watchers.push(onChange);
    // The listener was made with a pair from before.
    if (this.stats.reloads > 0) onChange(this.secureContextOptions);
    if (this.#timer) return;
    const { clock, pollIntervalMs = 5000 } = this.#options;
    const timer = clock.timer(pollIntervalMs, () => {
      // The next delay starts when this poll has ended, so that polls of a slow disk do not overtake each other.
      void this.#poll().finally(() => {
        if (!this.#stopped) timer.refresh();
      });
    });
    this.#timer = timer;
  }

  /** After this `onChange` is not called. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #poll(): Promise<void> {
    const { certFile, logger } = this.#options;
    try {
      const content = await readContent(this.#options);
      this.#loggedFailure = "";
      if (this.#stopped || sameContent(content, this.#content)) return;
      this.#content = content;
      for (const onChange of this.#watchers) onChange(this.secureContextOptions);
      this.stats.reloads += 1;
      logger.info(
        { certFile, expires: new Date(this.expiresMs).toISOString() },
        "Loaded a changed certificate",
      );
    } catch (error) {
      this.stats.reloadFailures += 1;
      if (String(error) === this.#loggedFailure) return;
      this.#loggedFailure = String(error);
      logger.warn(
        { error, see: pages.certificates },
        "Cannot use a changed certificate; the certificate before stays in use",
      );
    }
  }
}

async function readContent({ certFile, keyFile, clientCaFile, check }: TlsFilesOptions): Promise<TlsContent> {
  const [cert, key, ca] = await Promise.all([
    readPem("certificate", certFile),
    readPem("key", keyFile),
    clientCaFile === undefined ? undefined : readPem("client CA", clientCaFile),
  ]);
  try {
    // OpenSSL checks here that both are PEM and that the key belongs to the certificate.
    createSecureContext({ cert, key, ...(ca && { ca }) });
  } catch (thrown) {
    const action = `Cannot use certificate "${certFile}" with key "${keyFile}"`;
    throw new OrcaError("config_invalid", "config", `${action}: ${tlsFaultOf(thrown)}`, { cause: thrown });
  }
  const content = { cert, key, ca };
  check?.(content);
  return content;
}

async function readPem(what: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (thrown) {
    throw OrcaError.from(thrown, "config_invalid", "config", `Cannot read ${what} "${path}"`);
  }
}

function sameContent(left: TlsContent, right: TlsContent): boolean {
  const sameCa =
    left.ca === undefined ? right.ca === undefined : right.ca !== undefined && left.ca.equals(right.ca);
  return sameCa && left.cert.equals(right.cert) && left.key.equals(right.key);
}

/** Why OpenSSL cannot use a certificate with its key, in words: its own name a routine of its code. */
export function tlsFaultOf(thrown: unknown): string {
  const { code = "", message = String(thrown) } = thrown as { code?: string; message?: string };
  switch (code) {
    case "ERR_OSSL_PEM_NO_START_LINE":
    case "ERR_OSSL_UNSUPPORTED":
    case "ERR_OSSL_PEM_BAD_BASE64_DECODE":
    case "ERR_OSSL_PEM_BAD_END_LINE":
      return "one of the two is not a whole PEM file, which has lines -----BEGIN ...----- and -----END ...-----";
    case "ERR_OSSL_X509_KEY_VALUES_MISMATCH":
    case "ERR_OSSL_X509_KEY_TYPE_MISMATCH":
      return "the key does not belong to the certificate";
    case "ERR_OSSL_BAD_DECRYPT":
    case "ERR_OSSL_CRYPTO_INTERRUPTED_OR_CANCELLED":
    case "ERR_MISSING_PASSPHRASE":
      return "the key is encrypted: give a key without a passphrase";
    default:
      return message;
  }
}
