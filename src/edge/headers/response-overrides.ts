/**
 * The `response-*` parameters, with which the author of a link chooses headers of the response. S3 takes them only in a
 * signed request: otherwise everybody could make a link to a public object that a browser shows as HTML.
 */

import { OrcaError } from "../../base/orca-error.ts";
import type { Identity } from "../auth/identity.ts";
import { isHeaderValue } from "../header-value.ts";
import type { EdgeRequest } from "../lane/edge-request.ts";
import type { Query } from "../query.ts";

export const noOverrides: readonly string[] = [];

/**
 * Why the overrides of a request are rejected, if it has any. `identity` is undefined where clients do not authenticate:
 * there a signature is enough, and is not verified.
 */
export function faultOfOverrides(
  { overrides = noOverrides }: { readonly kind: string; readonly overrides?: readonly string[] },
  message: EdgeRequest,
  identity: Pick<Identity, "isAnonymous"> | undefined,
): OrcaError | undefined {
  if (overrides.length === 0) return undefined;
  if (identity ? !identity.isAnonymous : isSigned(message)) return undefined;
  const reason = "Request specific response headers cannot be used for anonymous GET requests.";
  return new OrcaError("invalid_request", "client", reason);
}

/** Whether there is a signature, of whatever version, in the headers or the query. */
function isSigned({ headers: { authorization }, url = "" }: EdgeRequest): boolean {
  if (authorization?.startsWith("AWS")) return true;
  return /[?&](?:X-Amz-Signature|Signature)=./.test(url);
}

const overridableHeaders = [
  ["response-content-type", "Content-Type"],
  ["response-content-language", "Content-Language"],
  ["response-content-disposition", "Content-Disposition"],
  ["response-content-encoding", "Content-Encoding"],
  ["response-cache-control", "Cache-Control"],
  ["response-expires", "Expires"],
] as const;

/** A flat `[header name, value, …]`, or why a value cannot be sent. */
export function parseOverrides(query: Query): readonly string[] | OrcaError {
  let overrides: string[] | undefined;
  for (const [parameter, header] of overridableHeaders) {
    const value = query.get(parameter) ?? "";
    if (value === "") continue;
    if (!isHeaderValue(value)) {
      const message = `Cannot send ${header} as ${parameter} asks: the value holds characters that a header cannot`;
      return new OrcaError("invalid_argument", "client", message);
    }
    overrides ??= [];
    overrides.push(header, value);
  }
  return overrides ?? noOverrides;
}
