/**
 * Checks the Signature Version 4 of a request by computing it again from the request line as it came
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html). It is written apart from the
 * library that Orca signs with, so a key that is encoded in one way and signed in another is found here as at AWS.
 */
import { createHash, createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";

export interface S3Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
}

/** The S3 error code a request deserves, or undefined when its signature is right. */
export function signatureFault(request: IncomingMessage, credentials: S3Credentials): string | undefined {
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+\/aws4_request), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;
  const authorization = pattern.exec(request.headers.authorization ?? "");
  if (!authorization) return "AccessDenied";
  const [, accessKey = "", scope = "", signedHeaders = "", signature = ""] = authorization;
  if (accessKey !== credentials.accessKey) return "InvalidAccessKeyId";
  if (!signedHeaders.split(";").includes("host")) return "AccessDenied";

  const header = (name: string): string =>
    String(request.headers[name] ?? "")
      .trim()
      .replace(/ +/g, " ");
  const [path = "", query = ""] = (request.url ?? "").split("?", 2);
  const canonicalRequest = [
    request.method,
    decodeURIComponent(path).split("/").map(encodeStrictly).join("/"),
    canonicalQuery(query),
    ...signedHeaders.split(";").map((name) => `${name}:${header(name)}`),
    "",
    signedHeaders,
    header("x-amz-content-sha256"),
  ].join("\n");
  const digest = createHash("sha256").update(canonicalRequest).digest("hex");
  const stringToSign = ["AWS4-HMAC-SHA256", header("x-amz-date"), scope, digest].join("\n");
  let key: Buffer = Buffer.from(`AWS4${credentials.secretKey}`);
  for (const part of scope.split("/")) key = hmac(key, part);
  return hmac(key, stringToSign).toString("hex") === signature ? undefined : "SignatureDoesNotMatch";
}

export interface S3User {
  readonly secretKey: string;
  /** `text` is the key of an object, or the prefix of a list. */
  mayRead(text: string): boolean;
  /** The buckets that it may list; all by default. */
  readonly buckets?: readonly string[];
}

/** The S3 error code that one of several users deserves. The user named `` sends no signature. */
export function userFault(
  request: IncomingMessage,
  { key }: { readonly key: string },
  users: ReadonlyMap<string, S3User>,
): string | undefined {
  const { authorization = "" } = request.headers;
  const accessKey = /Credential=([^/]+)\//.exec(authorization)?.[1] ?? "";
  const user = users.get(accessKey);
  if (user === undefined) return accessKey === "" ? "AccessDenied" : "InvalidAccessKeyId";
  const { secretKey } = user;
  const fault = accessKey === "" ? undefined : signatureFault(request, { accessKey, secretKey });
  return fault ?? (user.mayRead(key) ? undefined : "AccessDenied");
}

function canonicalQuery(query: string): string {
  if (query === "") return "";
  return query
    .split("&")
    .map((pair) => {
      const [name = "", value = ""] = pair.split("=", 2);
      return [encodeStrictly(decodeURIComponent(name)), encodeStrictly(decodeURIComponent(value))] as const;
    })
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

/** RFC 3986: everything but letters, digits and `-._~`. */
function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
