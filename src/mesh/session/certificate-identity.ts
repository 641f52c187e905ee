/**
 * The certificate identity: the name that a mesh certificate must carry. A replica checks it in the certificates of its
 * peers, and in its own before it starts or loads a renewed one. A certificate that every peer would reject is rejected
 * here first, because here the operator reads the reason.
 */
import { X509Certificate } from "node:crypto";
import { OrcaError } from "../../base/orca-error.ts";
import { replicaIdsOf } from "../../base/replica-uri.ts";
import type { TlsContent } from "../../base/tls-files.ts";

/** Whether `name` is exactly one of the certificate's DNS names. Wildcards and the subject do not count. */
export function carriesIdentity(certificate: X509Certificate, name: string): boolean {
  return certificate.checkHost(name, { subject: "never", wildcards: false }) !== undefined;
}

interface OwnCertificateCheck extends TlsContent {
  readonly certFile: string;
  readonly serverName: string;
  /** Undefined while it is not known. */
  readonly replicaId: string | undefined;
}

/** @throws OrcaError config_invalid if peers with the identity `serverName` would reject this certificate. */
export function checkOwnCertificate(
  { cert, ca, certFile, serverName, replicaId }: OwnCertificateCheck,
  nowMs: number,
): void {
  const chain = certificatesOf(cert);
  const [own] = chain;
  const rejected = (reason: string): OrcaError =>
    new OrcaError("config_invalid", "config", `Cannot use certificate "${certFile}" on the mesh: ${reason}`);
  if (!own) throw rejected("the file holds no certificate");
  if (!carriesIdentity(own, serverName)) {
    throw rejected(
      `"${serverName}" (cluster.internal_tls.server_name) is not among its names: ${own.subjectAltName ?? "none"}`,
    );
  }
  const replicaIds = replicaIdsOf(own);
  if (replicaIds && replicaId !== undefined && !replicaIds.has(replicaId)) {
    const ids = [...replicaIds].join('", "');
    throw rejected(`it is that of "${ids}", and this replica is "${replicaId}" (cluster.replica_id)`);
  }
  if (nowMs > own.validToDate.getTime()) throw rejected(`it expired at ${own.validToDate.toISOString()}`);
  if (!endsIn(certificatesOf(ca ?? Buffer.alloc(0)), chain)) {
    throw rejected("it was not issued by an authority in cluster.internal_tls.ca_file");
  }
}

/** Whether one of `authorities` issued the first of `chain`, directly or through the certificates that follow it. */
function endsIn(authorities: readonly X509Certificate[], chain: readonly X509Certificate[]): boolean {
  for (const [index, certificate] of chain.entries()) {
    if (authorities.some((authority) => isIssuer(authority, certificate))) return true;
    const next = chain[index + 1];
    if (!next || !isIssuer(next, certificate)) return false;
  }
  return false;
}

function isIssuer(authority: X509Certificate, certificate: X509Certificate): boolean {
  return authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

function certificatesOf(pem: Buffer): X509Certificate[] {
  const blocks = pem.toString().match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
