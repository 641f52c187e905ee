/** The token of the ops listener, out of `server.ops_token_file`, which is read again while the replica runs. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { OrcaError } from "../base/orca-error.ts";
import { opsTokenOf } from "../config/token-keys.ts";
import { TokenGuard } from "../ops/token-guard.ts";
import type { AccessFilesOptions } from "./access/access-files.ts";
import { type Read, Reloaded } from "./reloaded.ts";

export interface OpsToken {
  readonly guard: TokenGuard;
  /** Ends the watch on the file. */
  stop(): void;
}

/** Undefined where the setting is not set. @throws OrcaError config_invalid for a file that cannot be used. */
export async function loadOpsToken({
  config,
  clock,
  logger,
}: AccessFilesOptions): Promise<OpsToken | undefined> {
  const { opsTokenFile: path, opsTokenFor } = config.server;
  if (path === undefined) return undefined;
  const token = await Reloaded.load({ what: "ops token", path, read: () => tokenIn(path), clock, logger });
  const guard = new TokenGuard(token.value, opsTokenFor);
  token.watch((changed) => guard.use(changed));
  return { guard, stop: () => token.stop() };
}

async function tokenIn(path: string): Promise<Read<string>> {
  const action = `Cannot load server.ops_token_file "${path}"`;
  try {
    const value = opsTokenOf(await readFile(path, "utf8"));
    if (typeof value === "string")
      return { value, fingerprint: createHash("sha256").update(value).digest("hex") };
    throw new OrcaError("config_invalid", "config", `${action}: expected ${value.expected}`);
  } catch (thrown) {
    throw OrcaError.from(thrown, "config_invalid", "config", action);
  }
}
