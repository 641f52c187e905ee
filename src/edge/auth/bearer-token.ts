/**
 * Bearer tokens: JSON Web Tokens (RFC 7519) with HMAC-SHA-256, which any JWT library can make and check. `HS256` is the
 * only algorithm, named in code and not taken from the token, and the key is never that of another algorithm. So a token
 * cannot choose how it is checked, and a token without a signature is none. What a token may read is in its claims.
 */
import { createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import { AuthError } from "./auth-error.ts";
import { Grant, type ReadAction } from "./grant.ts";
import type { Identity } from "./identity.ts";

/** The claims of a token that Orca accepts. `sub`, `exp` and `nbf` are those of RFC 7519. */
export interface TokenClaims {
  readonly sub: string;
  /** Seconds since the epoch. */
  readonly exp: number;
  readonly nbf?: number;
  /** Names that clients use, or `*`. */
  readonly buckets: readonly string[];
  /** Every key where left out. */
  readonly prefixes?: readonly string[];
  /** Both where left out. */
  readonly allow?: readonly ReadAction[];
}

const tokenLengthMax = 8192;
const namesMax = 1024;
const subjectLengthMax = 256;

export function makeToken(claims: TokenClaims, key: KeyObject): string {
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${signatureOf(signed, key).toString("base64url")}`;
}

/** The identity of a token that one of the keys has signed. Never throws. */
export function verifyToken(token: string, keys: readonly KeyObject[], nowMs: number): Identity | AuthError {
  const parts = token.length <= tokenLengthMax ? token.split(".") : [];
  const [header = "", payload = "", signature = ""] = parts;
  if (parts.length !== 3 || !isSignedBy(keys, `${header}.${payload}`, signature)) return invalidToken();
  const { alg, crit } = decode(header);
  // `crit` names extensions that must be understood (RFC 7515 §4.1.11), and none is.
  if (alg !== "HS256" || crit !== undefined) return invalidToken();
  const claims = decode(payload);
  if (!isTokenClaims(claims)) return invalidToken();
  const { sub, exp, nbf = 0, buckets, prefixes = [], allow = ["get", "list"] } = claims;
  if (nowMs >= exp * 1000) return new AuthError("expired_token", "The provided token has expired.");
  if (nowMs < nbf * 1000) return invalidToken();
  return { name: sub, grant: new Grant({ buckets, prefixes, actions: allow }) };
}

/** The claims, where a token may have them. */
export function tokenClaimsOf(claims: object): TokenClaims | undefined {
  return isTokenClaims(claims) ? claims : undefined;
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

/** An object without fields where the text is not the JSON of one. */
function decode(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString());
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function signatureOf(signed: string, key: KeyObject): Buffer {
  return createHmac("sha256", key).update(signed).digest();
}

function isSignedBy(keys: readonly KeyObject[], signed: string, signature: string): boolean {
  const given = Buffer.from(signature, "base64url");
  return keys.some((key) => {
    const made = signatureOf(signed, key);
    return given.length === made.length && timingSafeEqual(given, made);
  });
}

function isTokenClaims(claims: object): claims is TokenClaims {
  const { sub, exp, nbf, buckets, prefixes, allow } = claims as Record<keyof TokenClaims, unknown>;
  return (
    typeof sub === "string" &&
    sub !== "" &&
    sub.length <= subjectLengthMax &&
    isTime(exp) &&
    (nbf === undefined || isTime(nbf)) &&
    isNames(buckets) &&
    (prefixes === undefined || isNames(prefixes)) &&
    (allow === undefined ||
      (isNames(allow) && allow.every((action) => action === "get" || action === "list")))
  );
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= namesMax && value.every((name) => typeof name === "string");
}

function invalidToken(): AuthError {
  return new AuthError("invalid_token", "The provided token is malformed or otherwise invalid.");
}
