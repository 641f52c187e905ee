/** Whether each certificate that the settings name can be loaded, and how long it is valid. */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { TlsFiles } from "../../base/tls-files.ts";
import type { Config } from "../../config/config.ts";
import { MeshTls } from "../../mesh/session/mesh-tls.ts";
import { type DoctorFinding, Findings } from "./doctor-finding.ts";

const dayMs = 86_400_000;
/** As the alert OrcaCertificateExpires. */
const noticeMs = 14 * dayMs;

const findings = new Findings("certificates");

/** Where a certificate is named, and how it is read. */
interface NamedCertificate {
  readonly setting: string;
  readonly certFile: string;
  /** Resolves with its end. @throws OrcaError for one that cannot be used. */
  readonly expiresMs: () => Promise<number>;
}

export async function certificateFindings(
  config: Config,
  clock: Clock,
  logger: Logger,
): Promise<DoctorFinding[]> {
  const named = certificatesOf(config, clock, logger);
  if (named.length === 0) return [findings.skipped("No certificates are configured")];
  return Promise.all(named.map((each) => findingOf(each, clock.now())));
}

function certificatesOf({ server, cluster }: Config, clock: Clock, logger: Logger): NamedCertificate[] {
  const named: NamedCertificate[] = [];
  const { tls } = server;
  if (tls) {
    const expiresMs = async (): Promise<number> => (await TlsFiles.load({ ...tls, clock, logger })).expiresMs;
    named.push({ setting: "server.tls", certFile: tls.certFile, expiresMs });
  }
  const { internalTls, replicaId } = cluster;
  if (cluster.clustered && internalTls) {
    const expiresMs = async (): Promise<number> => {
      const mesh = await MeshTls.load({ ...internalTls, clock, logger });
      mesh.stop();
      if (replicaId !== undefined) mesh.bindTo(replicaId);
      return mesh.expiresMs;
    };
    named.push({ setting: "cluster.internal_tls", certFile: internalTls.certFile, expiresMs });
  }
  return named;
}

async function findingOf(
  { setting, certFile, expiresMs }: NamedCertificate,
  nowMs: number,
): Promise<DoctorFinding> {
  const name = `The certificate of ${setting} ("${certFile}")`;
  const remedy = `Write a new certificate and its key over the files of ${setting}. A running replica loads them within 5 seconds.`;
  try {
    const endMs = await expiresMs();
    const end = new Date(endMs).toISOString();
    if (endMs <= nowMs) return findings.problem(`${name} expired at ${end}`, remedy);
    const days = Math.floor((endMs - nowMs) / dayMs);
    const left = `${name} is valid until ${end}, ${days} days from now`;
    return endMs - nowMs < noticeMs ? findings.warning(left, remedy) : findings.ok(left);
  } catch (thrown) {
    if (!(thrown instanceof OrcaError)) throw thrown;
    return findings.problem(thrown.message, remedy);
  }
}
