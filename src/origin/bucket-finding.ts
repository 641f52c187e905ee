/**
 * What a look at an origin's bucket found, in words for the person who set Orca up: a code, the reason, and what to do.
 * It looks deeper into an error than anything that handles requests: at the origin's own code and at that of the system.
 */
import type { OrcaError } from "../base/orca-error.ts";
import { OriginAnswer } from "./error-of-status.ts";

export type FindingCode =
  | "no_credentials"
  | "no_such_bucket"
  | "denied"
  | "wrong_region"
  /** The origin speaks plain HTTP where the settings say https, or TLS where they say http. */
  | "wrong_scheme"
  | "bad_certificate"
  | "unknown_host"
  | "connection_refused"
  | "unreachable"
  | "timeout"
  | "throttled"
  /** The answer is none of a store of this kind. */
  | "unexpected_answer";

export interface Finding {
  readonly code: FindingCode;
  readonly reason: string;
  readonly remedy: string;
}

/** The bucket that was looked at, as settings name it. */
export interface LookedAt {
  readonly driver: "awss3" | "azureblob" | "file";
  /** Bucket, container or directory at the origin; `*` where all of them are listed. */
  readonly place: string;
  readonly isEveryBucket?: boolean;
  /** Path of the origin's section: `origin` or `origins[1]`. */
  readonly path: string;
  /** Address of the origin; undefined for a directory. */
  readonly url: URL | undefined;
  /** Of Azure. */
  readonly account?: string;
  readonly credentials: {
    /** Orca's own variables for them. */
    readonly variables: readonly string[];
    /** What is tried where the variables are not set. */
    readonly chain: string;
    readonly areSet: boolean;
  };
}

/** Whether the server at an address completes a TLS handshake; asked where an http origin gave no answer. */
export type SpeaksTls = (url: URL) => Promise<boolean>;

/** The finding of a look that failed with `error`. */
export async function findingOf(error: OrcaError, at: LookedAt, speaksTls: SpeaksTls): Promise<Finding> {
  switch (error.code) {
    case "origin_no_credentials":
      return noCredentials(at);
    case "no_such_bucket":
      return noSuchBucket(at);
    case "overloaded":
    case "origin_throttled":
      return {
        code: "throttled",
        reason: error.message,
        remedy: "Wait, or lower origin.target_global.",
      };
    default:
      break;
  }
  const isAnswer = error instanceof OriginAnswer;
  if (at.url?.protocol === "http:" && !isRefusal(error) && (!isAnswer || error.remoteCode === undefined)) {
    if (await speaksTls(at.url)) return wrongScheme(at, "speaks TLS", "https");
  }
  if (isAnswer) return findingOfAnswer(error, at);
  return error.code === "origin_denied"
    ? denied(error.message, rightsRemedy(at))
    : findingOfSystem(error, at);
}

function noCredentials({ credentials: { variables, chain } }: LookedAt): Finding {
  const names = variables.join(" and ");
  return {
    code: "no_credentials",
    reason: `there are no credentials: ${names} are not set, and neither the environment nor this host has others (tried: ${chain})`,
    remedy: `Set ${names}, or the same names with _FILE, or give one of the others.`,
  };
}

function noSuchBucket({ driver, place, path, url, account }: LookedAt): Finding {
  const code = "no_such_bucket";
  if (driver === "file") {
    const remedy = `Create or mount it, or correct ${path}.file.root.`;
    return { code, reason: `there is no directory "${place}"`, remedy };
  }
  const noun = driver === "awss3" ? "bucket" : "container";
  const setting = driver === "awss3" ? `${path}.awss3.bucket` : `${path}.azureblob.container`;
  const emulator =
    driver === "azureblob" && url?.pathname === "/" && !url.hostname.includes(".blob.")
      ? ` The endpoint of an emulator ends with the account: ${url.origin}/${account}.`
      : "";
  return {
    code,
    reason: `the origin has no ${noun} "${place}"`,
    remedy: `Create it, or correct ${setting} or the entry of ${path}.buckets.${emulator}`,
  };
}

function findingOfAnswer(error: OriginAnswer, at: LookedAt): Finding {
  const { status, remoteCode, region } = error;
  const reason = `the origin answered ${[status, remoteCode].filter((each) => each !== undefined).join(" ")}`;
  const isRedirect = status === 301 || status === 307 || remoteCode === "AuthorizationHeaderMalformed";
  if (isRedirect || remoteCode === "IllegalLocationConstraintException") {
    const where = region === undefined ? "another region" : `region "${region}"`;
    const value = region ?? "the bucket's region";
    return {
      code: "wrong_region",
      reason: `${reason}: the bucket is in ${where}`,
      remedy: `Set ${at.path}.awss3.region to ${value}, and leave ${at.path}.awss3.endpoint out or name that region there, too.`,
    };
  }
  if (error.code === "origin_denied") return denied(reason, remedyOfDenial(remoteCode, at));
  const remedy = `Check that ${at.path}.${at.driver}.endpoint is the address of such a service, and its own log.`;
  return { code: "unexpected_answer", reason, remedy };
}

function denied(reason: string, remedy: string): Finding {
  return { code: "denied", reason, remedy };
}

function remedyOfDenial(remoteCode: string | undefined, at: LookedAt): string {
  const { variables, areSet } = at.credentials;
  const [idVariable = "", secretVariable = idVariable] = areSet
    ? variables
    : ["the credentials that the SDK found, because Orca's own are not set"];
  switch (remoteCode) {
    case "SignatureDoesNotMatch":
      return `The secret key is wrong, or a proxy changes requests. Check ${secretVariable}.`;
    case "InvalidAccessKeyId":
      return `The service does not know the access key. Check ${idVariable}, and that the endpoint is the service that issued it.`;
    case "RequestTimeTooSkewed":
      return "The clocks differ by more than 15 minutes. Correct this host's clock.";
    case "ExpiredToken":
    case "InvalidToken":
      return "The session token has expired. Renew the credentials.";
    case "AuthenticationFailed":
    case "InvalidAuthenticationInfo":
      return `The account key or the token is wrong. Check ${secretVariable}, the account, and this host's clock.`;
    default:
      return rightsRemedy(at);
  }
}

function rightsRemedy({ driver, place, isEveryBucket }: LookedAt): string {
  if (isEveryBucket && driver !== "file") {
    const right =
      driver === "awss3"
        ? "s3:ListAllMyBuckets"
        : "the role Storage Blob Data Reader on the storage account, and not on single containers alone,";
    return `Grant ${right} to list the buckets. Without it ListBuckets is denied, and all other requests are served.`;
  }
  switch (driver) {
    case "awss3":
      return "Grant s3:ListBucket on the bucket and s3:GetObject on its objects. Without the first, objects may be served, and absent keys and listings are errors.";
    case "azureblob":
      return "Grant the role Storage Blob Data Reader on the container.";
    case "file":
      return `Let Orca's user read and enter "${place}".`;
  }
}

function wrongScheme({ path, driver, url }: LookedAt, what: string, scheme: string): Finding {
  return {
    code: "wrong_scheme",
    reason: `${url?.host} ${what}, and ${path}.${driver}.endpoint says ${url?.protocol}//`,
    remedy: `Write ${scheme}://${url?.host} there.`,
  };
}

function findingOfSystem(error: OrcaError, at: LookedAt): Finding {
  const codes = systemCodesOf(error);
  const has = (...wanted: readonly string[]): boolean => wanted.some((code) => codes.includes(code));
  const host = at.url?.host ?? at.place;
  const setting = `${at.path}.${at.driver}.${at.driver === "file" ? "root" : "endpoint"}`;
  if (has("ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG", "EPROTO"))
    return wrongScheme(at, "speaks plain HTTP", "http");
  if (codes.some((code) => /CERT|ISSUER|SELF_SIGNED|ALTNAME|VERIFY/.test(code))) {
    const remedy = `Name the authority's certificate in NODE_EXTRA_CA_CERTS, or correct the host name in ${setting}.`;
    return {
      code: "bad_certificate",
      reason: `the certificate of ${host} is not trusted: ${codes[0]}`,
      remedy,
    };
  }
  if (has("ENOTFOUND", "EAI_AGAIN")) {
    const remedy = `Correct ${setting}, or this host's DNS.`;
    return { code: "unknown_host", reason: `the name of ${host} cannot be resolved`, remedy };
  }
  if (has("ECONNREFUSED")) {
    const remedy = `Start the origin, or correct ${setting}.`;
    return { code: "connection_refused", reason: `nothing listens at ${host}`, remedy };
  }
  const isLate = has("ETIMEDOUT") || /within \d+ ms/.test(error.message);
  const remedy = `Check the origin, the network and ${setting}.`;
  return { code: isLate ? "timeout" : "unreachable", reason: error.message, remedy };
}

function isRefusal(error: OrcaError): boolean {
  return systemCodesOf(error).some((code) => ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"].includes(code));
}

/** An error can be its own cause. */
const causesMax = 8;

/** The codes of the errors behind `error`: of the system, and of OpenSSL. */
function systemCodesOf(error: Error): string[] {
  const codes: string[] = [];
  let cause: unknown = error.cause;
  for (let depth = 0; cause instanceof Error && depth < causesMax; depth += 1) {
    if ("code" in cause && typeof cause.code === "string") codes.push(cause.code);
    cause = cause.cause;
  }
  return codes;
}
