/**
 * Finds out who sent a request, by the modes of `server.auth.mode`. The credentials that a client sends in its request
 * come before its certificate. If they are wrong, the request is denied: it does not fall back to another identity. The
 * credentials of a mode that is off are ignored, because SDKs always sign, with any key.
 */

import type { KeyObject } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import type { EdgeRequest } from "../lane/edge-request.ts";
import { AuthError } from "./auth-error.ts";
import { verifyToken } from "./bearer-token.ts";
import { type QueryPair, queryPairs } from "./canonical-request.ts";
import { ClientCertificates } from "./client-certificates.ts";
import type { AccessKey, Identity } from "./identity.ts";
import { presignedCredentials, Sigv4Headers, sigv4Algorithm } from "./sigv4-credentials.ts";
import { type SignedRequest, Sigv4Verifier } from "./sigv4-verifier.ts";

export type AuthMode = "sigv4" | "bearer" | "mtls";

export interface AuthenticatorOptions {
  readonly modes: readonly AuthMode[];
  readonly clock: Clock;
}

/** Everything that a file can change while the replica runs. */
export interface Credentials {
  readonly accessKeys: readonly AccessKey[];
  /** By the name of the certificate, as ClientCertificates reads it. */
  readonly certificates: ReadonlyMap<string, Identity>;
  readonly tokenKeys: readonly KeyObject[];
}

const bearerScheme = /^Bearer +([\w.~+/=-]+) *$/i;

export class Authenticator {
  readonly #clock: Clock;
  readonly #verifier: Sigv4Verifier | undefined;
  readonly #headers = new Sigv4Headers();
  readonly #certificates: ClientCertificates | undefined;
  readonly #readsTokens: boolean;
  #tokenKeys: readonly KeyObject[] = [];

  constructor({ modes, clock }: AuthenticatorOptions) {
    this.#clock = clock;
    this.#verifier = modes.includes("sigv4") ? new Sigv4Verifier({ clock }) : undefined;
    this.#certificates = modes.includes("mtls") ? new ClientCertificates(clock) : undefined;
    this.#readsTokens = modes.includes("bearer");
  }

  use({ accessKeys, certificates, tokenKeys }: Credentials): void {
    this.#verifier?.use(new Map(accessKeys.map((key) => [key.id, key])));
    this.#certificates?.use(certificates);
    this.#tokenKeys = tokenKeys;
  }

  /** Undefined for a request without credentials. Never throws. `target` is path and query, as node:http gives them. */
  authenticate(message: EdgeRequest, target: string): Identity | AuthError | undefined {
    const { authorization } = message.headers;
    const question = target.indexOf("?");
    const rawQuery = question < 0 ? "" : target.slice(question + 1);
    if (this.#verifier) {
      // Percent-encoded letters would hide the names of parameters from this look, and no client encodes letters.
      const isPresigned = rawQuery.includes("X-Amz-") || rawQuery.includes("AWSAccessKeyId=");
      const isSigned = authorization?.startsWith(sigv4Algorithm) ?? false;
      if (isPresigned || isSigned) {
        const path = question < 0 ? target : target.slice(0, question);
        const { method = "", headers, rawHeaders } = message;
        const request = { method, path, rawQuery, headers, rawHeaders };
        if (isPresigned) {
          const found = presignedIdentity(this.#verifier, request, authorization);
          if (found) return found;
        }
        if (isSigned) return this.#signedIdentity(this.#verifier, request, authorization as string);
      }
    }
    if (authorization !== undefined) {
      const found = this.#identityOfHeader(authorization);
      if (found) return found;
    }
    return this.#certificates?.identityOf(message.socket);
  }

  #signedIdentity(
    verifier: Sigv4Verifier,
    request: SignedRequest,
    authorization: string,
  ): Identity | AuthError {
    const credentials = this.#headers.read(authorization, request.headers);
    return credentials instanceof AuthError ? credentials : verifier.verify(request, credentials, undefined);
  }

  /** Of an Authorization header without SigV4. */
  #identityOfHeader(authorization: string): Identity | AuthError | undefined {
    if (this.#readsTokens && /^Bearer\b/i.test(authorization)) {
      const token = bearerScheme.exec(authorization)?.[1] ?? "";
      return verifyToken(token, this.#tokenKeys, this.#clock.now());
    }
    if (!this.#verifier || authorization.startsWith(sigv4Algorithm)) return undefined;
    if (/^AWS/i.test(authorization)) return unsupportedMechanism();
    return this.#readsTokens || !/^Bearer\b/i.test(authorization)
      ? new AuthError("invalid_argument", "Unsupported Authorization Type")
      : undefined;
  }
}

/** Undefined where the query holds no credentials. */
function presignedIdentity(
  verifier: Sigv4Verifier,
  request: SignedRequest,
  authorization: string | undefined,
): Identity | AuthError | undefined {
  const pairs = queryPairs(request.rawQuery);
  if (pairs === undefined) {
    return new AuthError(
      "invalid_uri",
      "Cannot read the query of the request: it is not percent-encoded UTF-8",
    );
  }
  const parameters = new Map<string, string>();
  for (const [name, value] of pairs) {
    if (name === "AWSAccessKeyId") return unsupportedMechanism();
    if (!name.startsWith("X-Amz-")) continue;
    if (parameters.has(name)) {
      return new AuthError("authorization_query_malformed", `The parameter ${name} appears twice`);
    }
    parameters.set(name, value);
  }
  if (!isCredentialQuery(parameters)) return undefined;
  if (authorization !== undefined) {
    return new AuthError(
      "invalid_argument",
      "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified",
    );
  }
  const credentials = presignedCredentials(parameters);
  return credentials instanceof AuthError ? credentials : verifier.verify(request, credentials, pairs);
}

function isCredentialQuery(parameters: ReadonlyMap<QueryPair[0], string>): boolean {
  return ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"].some((name) => parameters.has(name));
}

function unsupportedMechanism(): AuthError {
  const message =
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
  return new AuthError("invalid_request", message);
}
