/** What a caller is told of a replica that cannot be reached, broke off or fell silent. */
import { OrcaError } from "../../src/base/orca-error.ts";

export function unavailable(replicaId: string, reason: string): OrcaError {
  return new OrcaError("peer_unavailable", "mesh", `Cannot ask replica "${replicaId}": ${reason}`);
}
