/**
 * The token of the operators (`server.ops_token_file`): which requests to the ops listener need it, and whether a request
 * has it. Probes never need it: a supervisor that cannot send one would end a healthy replica.
 */
import { hash, timingSafeEqual } from "node:crypto";
import type { OpsEndpoint } from "./ops-endpoint.ts";

/** `server.ops_token_for`. */
export type TokenScope = "actions" | "all";

const probePaths: ReadonlySet<string> = new Set(["/healthz", "/readyz"]);

export class TokenGuard {
  readonly #scope: TokenScope;
  /** Only its hash is compared, and in constant time. */
  #tokenHash: Buffer;

  constructor(token: string, scope: TokenScope) {
    this.#scope = scope;
    this.#tokenHash = hash("sha256", token, "buffer");
  }

  /** Takes another token, in place of the one before. */
  use(token: string): void {
    this.#tokenHash = hash("sha256", token, "buffer");
  }

  /** Whether a request with this Authorization header may go on. `endpoint` is undefined for a path that does not exist. */
  admits(authorization: string | undefined, endpoint: OpsEndpoint | undefined): boolean {
    const isAction = endpoint?.method === "POST";
    const isOpen =
      endpoint?.method === "GET" && (probePaths.has(endpoint.path) || endpoint.isPublic === true);
    if (isOpen || (this.#scope === "actions" && !isAction)) return true;
    const token = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
    return token !== undefined && timingSafeEqual(hash("sha256", token, "buffer"), this.#tokenHash);
  }
}
