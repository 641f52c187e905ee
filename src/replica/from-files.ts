/** The parts of a replica that are read from files, and watch them. */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { TlsFiles } from "../base/tls-files.ts";
import type { Config } from "../config/config.ts";
import type { MeshTls } from "../mesh/session/mesh-tls.ts";
import { AccessFiles } from "./access/access-files.ts";
import { MeshClient } from "./mesh-client.ts";
import { loadOpsToken, type OpsToken } from "./ops-token.ts";
import { type ReleaseStack, step } from "./release-stack.ts";

export interface FromFiles {
  /** The S3 listener watches it, and stops that when it closes. */
  readonly server: TlsFiles | undefined;
  readonly mesh: MeshTls | undefined;
  /** Undefined where clients do not authenticate. */
  readonly access: AccessFiles | undefined;
  readonly opsToken: OpsToken | undefined;
}

interface FileOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** @throws OrcaError config_invalid for a file that cannot be used. */
export async function loadFiles(options: FileOptions, held: ReleaseStack): Promise<FromFiles> {
  const { config, clock, logger } = options;
  const server = config.server.tls && (await TlsFiles.load({ ...config.server.tls, clock, logger }));
  const mesh = await MeshClient.loadTls(config, clock, logger);
  if (mesh) held.add(step("stop watching the files of cluster.internal_tls", () => mesh.stop()));
  const access = await AccessFiles.load(options);
  if (access) held.add(step("stop watching the files of server.auth", () => access.stop()));
  const opsToken = await loadOpsToken(options);
  if (opsToken) held.add(step("stop watching server.ops_token_file", () => opsToken.stop()));
  return { server, mesh, access, opsToken };
}
