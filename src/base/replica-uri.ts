/**
 * The URI in a mesh certificate that names the replica for which it was issued. `orca certs` writes it, and the mesh reads
 * it: a sender that claims the id of another replica is rejected.
 */
import type { X509Certificate } from "node:crypto";

const prefix = "urn:orca:replica:";

export function replicaUri(replicaId: string): string {
  return `${prefix}${replicaId}`;
}

/** The replicas for which the certificate was issued. Undefined if it names none. */
export function replicaIdsOf({ subjectAltName }: X509Certificate): ReadonlySet<string> | undefined {
  // Node quotes a value that holds a comma, so a name cannot look like two.
  const names = (subjectAltName ?? "").split(", ");
  const ids = names.filter((name) => name.startsWith(`URI:${prefix}`));
  if (ids.length === 0) return undefined;
  return new Set(ids.map((name) => name.slice(`URI:${prefix}`.length)));
}
