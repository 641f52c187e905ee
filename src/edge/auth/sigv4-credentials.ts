/**
 * Reads the credentials of a request that is signed with AWS Signature Version 4, from its Authorization header or, in a
 * presigned URL, from its query. Nothing is believed here: what the request claims is checked in sigv4-verifier.ts.
 */
import type { IncomingHttpHeaders } from "node:http";
import { LruMap } from "../../base/lru-map.ts";
import { AuthError } from "./auth-error.ts";
import { SignedHeaders } from "./signed-headers.ts";

export interface Sigv4Credentials {
  readonly isPresigned: boolean;
  readonly accessKey: string;
  /** `day/region/service/aws4_request`. */
  readonly scope: string;
  /** `x-amz-date` as sent: `20260102T030405Z`. */
  readonly date: string;
  readonly dateMs: number;
  readonly signedHeaders: SignedHeaders;
  /** 64 lower-case hex digits. */
  readonly signature: string;
  readonly sessionToken: string | undefined;
  /** How long a presigned URL is valid; 0 for a header. */
  readonly expiresSeconds: number;
}

export const sigv4Algorithm = "AWS4-HMAC-SHA256";

const accessKeyLengthMax = 128;
const prefixForm = /^AWS4-HMAC-SHA256 +Credential=([^\s,]+) *, *SignedHeaders=([^\s,]+) *, *Signature=$/;
const signatureForm = /^[0-9a-f]{64}$/;
const signatureLength = 64;
const scopeForm = /^\d{8}\/[\w-]{1,64}\/s3\/aws4_request$/;
const dateForm = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;

/** What a client sends with each request of a day: everything but the signature. */
interface HeaderPrefix {
  readonly accessKey: string;
  readonly scope: string;
  readonly signedHeaders: SignedHeaders;
}

/** Together at most a few MiB. A client sends about 200 characters; a longer prefix is parsed each time. */
const prefixesMax = 1024;
const prefixLengthMax = 1024;

/** Reads Authorization headers, and remembers the parts that a client sends again with its next request. */
export class Sigv4Headers {
  /** A client has one for each list of headers that it signs. To parse one takes four times as long as to find it. */
  readonly #prefixes = new LruMap<string, HeaderPrefix>({ entriesMax: prefixesMax });
  #date = "";
  #dateMs: number | undefined;

  /** `authorization` begins with {@link sigv4Algorithm}. */
  read(authorization: string, headers: IncomingHttpHeaders): Sigv4Credentials | AuthError {
    const text = authorization.trimEnd();
    const signature = text.slice(-signatureLength);
    const start = text.slice(0, -signatureLength);
    const prefix =
      this.#prefixes.get(start) ?? (signatureForm.test(signature) ? this.#prefixOf(start) : undefined);
    if (prefix === undefined) {
      return malformedHeader("it is not Credential=..., SignedHeaders=..., Signature=... with 64 hex digits");
    }
    if (prefix === "credential") {
      return malformedHeader("its Credential is not ACCESS_KEY/YYYYMMDD/REGION/s3/aws4_request");
    }
    const { "x-amz-date": amzDate, date: httpDate } = headers;
    const date = typeof amzDate === "string" ? amzDate : dateOfHttpDate(httpDate);
    const dateMs = date === undefined ? undefined : this.#millisecondsOf(date);
    if (date === undefined || dateMs === undefined) {
      return new AuthError("access_denied", "AWS authentication requires a valid Date or x-amz-date header");
    }
    const { accessKey, scope, signedHeaders } = prefix;
    if (!scope.startsWith(date.slice(0, 8))) {
      return malformedHeader("the day of its Credential is not that of x-amz-date");
    }
    const token = headers["x-amz-security-token"];
    return {
      isPresigned: false,
      accessKey,
      scope,
      date,
      dateMs,
      signedHeaders,
      signature,
      sessionToken: typeof token === "string" ? token : undefined,
      expiresSeconds: 0,
    };
  }

  /** Keeps what it has read. Undefined for one without the right form, `credential` for one whose credential has not. */
  #prefixOf(text: string): HeaderPrefix | "credential" | undefined {
    const match = prefixForm.exec(text);
    if (match === null) return undefined;
    const [, credentialText = "", signedHeaders = ""] = match;
    const credential = credentialOf(credentialText);
    if (credential === undefined) return "credential";
    const prefix = { ...credential, signedHeaders: new SignedHeaders(signedHeaders) };
    if (text.length <= prefixLengthMax) this.#prefixes.set(text, prefix);
    return prefix;
  }

  /** Requests of one second have the same date. */
  #millisecondsOf(date: string): number | undefined {
    if (date !== this.#date) {
      this.#date = date;
      this.#dateMs = millisecondsOf(date);
    }
    return this.#dateMs;
  }
}

const expiresSecondsMax = 604_800;

/** `parameters` are the decoded parameters of the query whose names begin with `X-Amz-`, each name once. */
export function presignedCredentials(parameters: ReadonlyMap<string, string>): Sigv4Credentials | AuthError {
  const algorithm = parameters.get("X-Amz-Algorithm");
  const credentialText = parameters.get("X-Amz-Credential");
  const signature = parameters.get("X-Amz-Signature");
  const date = parameters.get("X-Amz-Date");
  const signedHeaders = parameters.get("X-Amz-SignedHeaders");
  const expires = parameters.get("X-Amz-Expires");
  if (!algorithm || !credentialText || !signature || !date || !signedHeaders || !expires) {
    return malformedQuery(
      "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters",
    );
  }
  if (algorithm !== sigv4Algorithm)
    return malformedQuery(`X-Amz-Algorithm only supports "${sigv4Algorithm}"`);
  const credential = credentialOf(credentialText);
  if (credential === undefined) {
    return malformedQuery("The X-Amz-Credential is not ACCESS_KEY/YYYYMMDD/REGION/s3/aws4_request");
  }
  const dateMs = millisecondsOf(date);
  if (dateMs === undefined) {
    return malformedQuery("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  }
  if (!credential.scope.startsWith(date.slice(0, 8))) {
    return malformedQuery("The day of X-Amz-Credential is not that of X-Amz-Date");
  }
  if (!/^\d{1,9}$/.test(expires) || Number(expires) < 1 || Number(expires) > expiresSecondsMax) {
    return malformedQuery(`X-Amz-Expires must be a number of seconds from 1 to ${expiresSecondsMax}`);
  }
  return {
    isPresigned: true,
    ...credential,
    date,
    dateMs,
    signedHeaders: new SignedHeaders(signedHeaders),
    signature,
    sessionToken: parameters.get("X-Amz-Security-Token"),
    expiresSeconds: Number(expires),
  };
}

/** The access key may hold slashes, so the scope is counted from the end. */
function credentialOf(text: string): { readonly accessKey: string; readonly scope: string } | undefined {
  let end = text.length;
  for (let parts = 0; parts < 4; parts += 1) end = text.lastIndexOf("/", end - 1);
  if (end < 1 || end > accessKeyLengthMax) return undefined;
  const scope = text.slice(end + 1);
  return scopeForm.test(scope) ? { accessKey: text.slice(0, end), scope } : undefined;
}

/** Milliseconds since the epoch; undefined for a date that does not exist. */
function millisecondsOf(date: string): number | undefined {
  const match = dateForm.exec(date);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const valueMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(valueMs) ? undefined : valueMs;
}

/** Clients that send no `x-amz-date` sign their Date header. */
function dateOfHttpDate(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (dateForm.test(text)) return text;
  const valueMs = Date.parse(text);
  if (Number.isNaN(valueMs)) return undefined;
  const iso = new Date(valueMs).toISOString();
  return iso.length === 24 ? `${iso.slice(0, 19).replaceAll(/[-:]/g, "")}Z` : undefined;
}

function malformedHeader(reason: string): AuthError {
  return new AuthError("authorization_header_malformed", `The authorization header is malformed; ${reason}`);
}

function malformedQuery(message: string): AuthError {
  return new AuthError("authorization_query_malformed", message);
}
