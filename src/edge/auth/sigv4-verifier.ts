/**
 * Verifies AWS Signature Version 4. A signature that is right costs one hash and one HMAC. Only where it is wrong, the
 * other ways are tried in which clients are known to sign the same request: the path and the query as they were sent, and
 * the host as URL parsers write it. All of them name the same object, so none gives a right that the others do not.
 *
 * The signature is compared in constant time, and before anything that depends on the secret's entry but its existence:
 * a client without the secret does not learn whether a key has expired.
 */
import { hash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { Clock } from "../../base/clock.ts";
import type { ErrorElement } from "../errors/explained-error.ts";
import { AuthError } from "./auth-error.ts";
import { canonicalQuery, canonicalUri, type QueryPair, queryPairs } from "./canonical-request.ts";
import type { AccessKey, Identity } from "./identity.ts";
import { deriveSigningKey, type SigningKey, SigningKeys, stringToSign } from "./signing-keys.ts";
import type { Sigv4Credentials } from "./sigv4-credentials.ts";

/** A request as node:http parsed it. The target is in two parts, without the `?`. */
export interface SignedRequest {
  readonly method: string;
  readonly path: string;
  readonly rawQuery: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
}

export interface Sigv4VerifierOptions {
  readonly clock: Clock;
}

/** How far the clocks of client and replica may differ. */
const skewMsMax = 15 * 60_000;
/** More are no request of a client, and each is searched in all headers. */
const signedHeadersMax = 64;
/** Of each text in the body of a SignatureDoesNotMatch, in characters. */
const shownTextMax = 8192;

const emptyPayloadHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const unsignedPayload = "UNSIGNED-PAYLOAD";
const payloadHashForm = /^(?:[0-9a-fA-F]{64}|UNSIGNED-PAYLOAD|STREAMING-[A-Z0-9-]{1,64})$/;

export class Sigv4Verifier {
  readonly #clock: Clock;
  readonly #signingKeys = new SigningKeys();
  #keys: ReadonlyMap<string, AccessKey> = new Map();

  constructor({ clock }: Sigv4VerifierOptions) {
    this.#clock = clock;
  }

  /** Takes other access keys, by their ids. Signatures of keys that are gone are denied from now on. */
  use(keys: ReadonlyMap<string, AccessKey>): void {
    this.#keys = keys;
    this.#signingKeys.clear();
  }

  /** `pairs` are those of the query where the caller has them already. Never throws. */
  verify(
    request: SignedRequest,
    credentials: Sigv4Credentials,
    pairs: readonly QueryPair[] | undefined,
  ): Identity | AuthError {
    const key = this.#keys.get(credentials.accessKey);
    if (key === undefined) return unknownKey();
    const nowMs = this.#clock.now();
    const late = timeFault(credentials, nowMs);
    if (late) return late;
    const fault = this.#signatureFault(request, credentials, key, pairs);
    if (fault) return fault;
    return tokenFault(credentials, key, nowMs) ?? key.identity;
  }

  #signatureFault(
    request: SignedRequest,
    credentials: Sigv4Credentials,
    key: AccessKey,
    pairs: readonly QueryPair[] | undefined,
  ): AuthError | undefined {
    const { scope, signedHeaders } = credentials;
    if (signedHeaders.names.length > signedHeadersMax) {
      return new AuthError(malformedCode(credentials), `More than ${signedHeadersMax} headers are signed`);
    }
    const payloadHash = payloadHashOf(request, credentials, pairs);
    if (payloadHash instanceof AuthError) return payloadHash;
    const target = canonicalTarget(request, pairs);
    if (target === undefined) {
      return new AuthError(
        "invalid_uri",
        "Cannot read the target of the request: it is not percent-encoded UTF-8",
      );
    }
    const canonical = signedHeaders.canonicalRequest(target, request.rawHeaders, payloadHash);
    if (typeof canonical !== "string") return notSigned(canonical);
    const cached = this.#signingKeys.get(key, scope);
    const signingKey = cached ?? deriveSigningKey(key.secret, scope);
    const isRight =
      isSignatureOf(canonical, credentials, signingKey) ||
      otherForms(request, target, canonical).some((form) => isSignatureOf(form, credentials, signingKey));
    if (!isRight) return mismatch(canonical, credentials);
    if (cached === undefined) this.#signingKeys.keep(key, scope, signingKey);
    return undefined;
  }
}

/** Method, path and query, each on a line. Undefined where the target does not decode. */
function canonicalTarget(
  { method, path, rawQuery }: SignedRequest,
  pairs: readonly QueryPair[] | undefined,
): string | undefined {
  const uri = canonicalUri(path);
  if (uri === undefined) return undefined;
  if (rawQuery === "") return `${method}\n${uri}\n`;
  // One plain parameter, as the SDKs append, is its own canonical form.
  if (pairs === undefined && /^[\w.~-]+=[\w.~-]*$/.test(rawQuery)) return `${method}\n${uri}\n${rawQuery}`;
  const decoded = pairs ?? queryPairs(rawQuery);
  return decoded && `${method}\n${uri}\n${canonicalQuery(decoded)}`;
}

/** Canonical requests of clients that sign in another form. Nearly always there are none. */
function otherForms({ method, path, rawQuery }: SignedRequest, target: string, canonical: string): string[] {
  const forms: string[] = [];
  const rest = canonical.slice(target.length);
  const sentQuery = rawQuery
    .split("&")
    .filter((pair) => pair !== "" && !pair.startsWith("X-Amz-Signature="))
    .sort()
    .join("&");
  const sentTarget = `${method}\n${path}\n${sentQuery}`;
  const asSent = sentTarget !== target;
  if (asSent) forms.push(sentTarget + rest);
  const plainHost = rest.replace(/^host:(.*)$/m, (_, host: string) => `host:${hostOfUrl(host)}`);
  if (plainHost !== rest) {
    forms.push(target + plainHost);
    if (asSent) forms.push(sentTarget + plainHost);
  }
  return forms;
}

/** Lower case, without the dot of a full name and without a port that is the default of HTTP or HTTPS. */
function hostOfUrl(host: string): string {
  const [, name = "", port = ""] = /^(.*?)\.?(:\d+)?$/.exec(host.toLowerCase()) ?? [];
  return port === ":80" || port === ":443" ? name : name + port;
}

function isSignatureOf(canonical: string, { signature, date }: Sigv4Credentials, key: SigningKey): boolean {
  return key.isSignature(signature, date, hashOf(canonical));
}

/** Node gives header bytes as Latin-1, and clients have signed the bytes. Nearly always they are ASCII: the same in UTF-8. */
function hashOf(canonical: string): string {
  const isAscii = Buffer.byteLength(canonical) === canonical.length;
  return hash("sha256", isAscii ? canonical : Buffer.from(canonical, "latin1"));
}

function payloadHashOf(
  { headers }: SignedRequest,
  credentials: Sigv4Credentials,
  pairs: readonly QueryPair[] | undefined,
): string | AuthError {
  const header = headers["x-amz-content-sha256"];
  const given =
    typeof header === "string" ? header : pairs?.find(([name]) => name === "X-Amz-Content-Sha256")?.[1];
  if (given !== undefined) {
    if (given === emptyPayloadHash || payloadHashForm.test(given)) return given;
    const message =
      "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- value, or a valid sha256 value";
    return new AuthError("invalid_argument", message);
  }
  if (credentials.isPresigned) return unsignedPayload;
  const length = headers["content-length"];
  if ((length === undefined || length === "0") && headers["transfer-encoding"] === undefined) {
    return emptyPayloadHash;
  }
  return new AuthError(
    "missing_security_header",
    "Your request was missing a required header: x-amz-content-sha256",
  );
}

function timeFault(credentials: Sigv4Credentials, nowMs: number): AuthError | undefined {
  const { isPresigned, date, dateMs, expiresSeconds } = credentials;
  if (isPresigned) {
    if (dateMs - nowMs > skewMsMax) return new AuthError("access_denied", "Request is not yet valid");
    const expiresMs = dateMs + expiresSeconds * 1000;
    if (nowMs <= expiresMs) return undefined;
    return new AuthError("access_denied", "Request has expired", [
      ["X-Amz-Expires", String(expiresSeconds)],
      ["Expires", new Date(expiresMs).toISOString()],
      ["ServerTime", new Date(nowMs).toISOString()],
    ]);
  }
  if (Math.abs(nowMs - dateMs) <= skewMsMax) return undefined;
  const message = "The difference between the request time and the current time is too large.";
  return new AuthError("request_time_skewed", message, [
    ["RequestTime", date],
    ["ServerTime", new Date(nowMs).toISOString()],
    ["MaxAllowedSkewMilliseconds", String(skewMsMax)],
  ]);
}

function tokenFault(
  { sessionToken: given }: Sigv4Credentials,
  { sessionToken: expected, expiresMs }: AccessKey,
  nowMs: number,
): AuthError | undefined {
  // As S3: a temporary key without its token is no key.
  if (given === undefined && expected !== undefined) return unknownKey();
  if (given !== undefined && (expected === undefined || !isSameText(given, expected))) {
    return new AuthError("invalid_token", "The provided token is malformed or otherwise invalid.");
  }
  if (nowMs < expiresMs) return undefined;
  return new AuthError("expired_token", "The provided token has expired.");
}

/** In constant time, of texts of any lengths. */
function isSameText(left: string, right: string): boolean {
  return timingSafeEqual(hash("sha256", left, "buffer"), hash("sha256", right, "buffer"));
}

function unknownKey(): AuthError {
  const message = "The AWS Access Key Id you provided does not exist in our records.";
  return new AuthError("invalid_access_key_id", message);
}

function malformedCode({ isPresigned }: Sigv4Credentials): AuthError["code"] {
  return isPresigned ? "authorization_query_malformed" : "authorization_header_malformed";
}

function notSigned(names: readonly string[]): AuthError {
  const message = "There were headers present in the request which were not signed";
  return new AuthError("access_denied", message, [["HeadersNotSigned", cut(names.join(", "))]]);
}

function mismatch(canonical: string, credentials: Sigv4Credentials): AuthError {
  const text = stringToSign(credentials.date, credentials.scope, hashOf(canonical));
  const elements: ErrorElement[] = [
    ["AWSAccessKeyId", credentials.accessKey],
    ["StringToSign", text],
    ["SignatureProvided", cut(credentials.signature)],
    ["StringToSignBytes", cut(bytesOf(text))],
    ["CanonicalRequest", cut(canonical)],
    ["CanonicalRequestBytes", cut(bytesOf(canonical))],
  ];
  const message =
    "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
  return new AuthError("signature_mismatch", message, elements);
}

/** As S3 prints them: `47 45 54`. */
function bytesOf(text: string): string {
  return Buffer.from(text.slice(0, shownTextMax / 3), "latin1")
    .toString("hex")
    .replace(/..(?=.)/g, "$& ");
}

function cut(text: string): string {
  return text.length <= shownTextMax ? text : `${text.slice(0, shownTextMax)}…`;
}
