/**
 * Cross-origin reads by browsers (`server.cors`). A browser asks before it sends a request with headers such as Range: a
 * preflight, which is answered here and carries no credentials. In other answers the headers only tell the browser what
 * its page may see. They let nobody read what the request could not read without them.
 */
import { OrcaError } from "../../base/orca-error.ts";
import type { EdgeRequest, EdgeResponse } from "../lane/edge-request.ts";

export interface CorsOptions {
  /** `https://app.example.com`, or with one `*` in it; `*` alone is every origin. */
  readonly origins: readonly string[];
  readonly exposeHeaders: readonly string[];
  /** How long a browser may remember the answer to a preflight. */
  readonly maxAgeMs: number;
}

const methods = "GET, HEAD";

/** Answers differ by these. Caches in between must not give the answer for one page to another. */
const varyBy = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/** Names and commas: what a browser may ask to send. */
const headerList = /^[\w!#$%&'*+.^`|~, -]{0,8192}$/;

export class Cors {
  readonly #origins: readonly string[];
  readonly #exposed: string;
  readonly #maxAgeSeconds: string;

  constructor({ origins, exposeHeaders, maxAgeMs }: CorsOptions) {
    this.#origins = origins;
    this.#exposed = exposeHeaders.join(", ");
    this.#maxAgeSeconds = String(Math.floor(maxAgeMs / 1000));
  }

  /** Adds to whatever the request will be answered. */
  decorate({ headers }: EdgeRequest, response: EdgeResponse): void {
    response.setHeader("Vary", varyBy);
    const allowed = this.#allowedFor(headers.origin);
    if (allowed === undefined) return;
    response.setHeader("Access-Control-Allow-Origin", allowed);
    response.setHeader("Access-Control-Expose-Headers", this.#exposed);
  }

  /** The headers of the 200 to a preflight, which {@link decorate} has seen, or why it is denied, as S3 does. */
  preflight({ headers }: EdgeRequest): string[] | OrcaError {
    const { origin } = headers;
    const method = headers["access-control-request-method"];
    const asked = headers["access-control-request-headers"] ?? "";
    if (origin === undefined || method === undefined) {
      const missing = origin === undefined ? "Origin" : "Access-Control-Request-Method";
      const reason = `Insufficient information. ${missing} request header needed.`;
      return new OrcaError("invalid_request", "client", reason);
    }
    const isRead = method === "GET" || method === "HEAD";
    if (!isRead || this.#allowedFor(origin) === undefined || !headerList.test(asked)) {
      return new OrcaError("cors_denied", "client", "CORSResponse: This CORS request is not allowed.");
    }
    const granted = ["Access-Control-Allow-Methods", methods, "Access-Control-Max-Age", this.#maxAgeSeconds];
    if (asked !== "") granted.push("Access-Control-Allow-Headers", asked);
    return [...granted, "Content-Length", "0"];
  }

  #allowedFor(origin: string | undefined): string | undefined {
    if (origin === undefined) return undefined;
    for (const pattern of this.#origins) {
      if (pattern === "*") return "*";
      if (matches(pattern, origin)) return origin;
    }
    return undefined;
  }
}

function matches(pattern: string, origin: string): boolean {
  const star = pattern.indexOf("*");
  if (star < 0) return pattern === origin;
  const [head, tail] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return origin.length >= pattern.length && origin.startsWith(head) && origin.endsWith(tail);
}
