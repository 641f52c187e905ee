/**
 * The cluster's identity in a certificate: what a replica asks of the others' and, before it starts or takes up a
 * renewed one, of its own. A certificate that every peer will refuse is better refused here, where somebody can be told.
 */
import { X509Certificate } from "node:crypto";
import { OrcaError } from "../../base/orca-error.ts";
import type { TlsContent } from "../../base/tls-files.ts";

/** Whether `name` is among the DNS names of the certificate, letter by letter: no wildcard, and not its subject. */
export function carriesIdentity(certificate: X509Certificate, name: string): boolean {
  return certificate.checkHost(name, { subject: "never", wildcards: false }) !== undefined;
}

/** @throws OrcaError config_invalid when peers of the cluster `serverName` would refuse the certificate in `certFile`. */
export function checkOwnCertificate(
  { cert, ca }: TlsContent,
  certFile: string,
  serverName: string,
  nowMs: number,
): void {
  const chain = certificatesOf(cert);
  const [own] = chain;
  const refuse = (reason: string): OrcaError =>
    new OrcaError("config_invalid", "config", `Cannot use certificate "${certFile}" on the mesh: ${reason}`);
  if (!own) throw refuse("it holds none");
  if (!carriesIdentity(own, serverName)) {
    throw refuse(
      `"${serverName}" (cluster.internal_tls.server_name) is not among its names: ${own.subjectAltName ?? "none"}`,
    );
  }
  if (nowMs > own.validToDate.getTime()) throw refuse(`it ended at ${own.validToDate.toISOString()}`);
  if (!endsIn(certificatesOf(ca ?? Buffer.alloc(0)), chain)) {
    throw refuse("it was not issued by an authority in cluster.internal_tls.ca_file");
  }
}

/** Whether the first of `chain` was issued by one of `authorities`, or by the next of `chain` that was. */
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
