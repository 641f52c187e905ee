/** Headers of S3 requests that Orca must not ignore, because a client that sends one counts on its effect. */
import type { IncomingHttpHeaders } from "node:http";
import { OrcaError } from "../../base/orca-error.ts";
import { accessDenied } from "../auth/auth-error.ts";
import { quoted } from "../quoted.ts";

/** A customer's own key for an object. The bytes would be cached for clients without that key. */
const customerKeyHeaders = [
  "x-amz-server-side-encryption-customer-algorithm",
  "x-amz-server-side-encryption-customer-key",
  "x-amz-server-side-encryption-customer-key-md5",
] as const;

/** `bucketOwner` is undefined where it is not known: then no request that names an owner is served. */
export function faultOfAmzHeaders(
  headers: IncomingHttpHeaders,
  bucketOwner: string | undefined,
): OrcaError | undefined {
  for (const name of customerKeyHeaders) {
    if (headers[name] === undefined) continue;
    const message = `Cannot serve ${name}: Orca does not serve objects that are encrypted with a customer's key`;
    return new OrcaError("not_implemented", "client", message);
  }
  const expected = headers["x-amz-expected-bucket-owner"];
  if (expected === undefined || expected === bucketOwner) return undefined;
  const owner = String(expected);
  if (/^\d{12}$/.test(owner)) {
    const known = bucketOwner === undefined ? "Orca does not know its owner" : "its owner is another account";
    return accessDenied(`Access Denied: the bucket is not known to be owned by ${quoted(owner)}, ${known}`);
  }
  const message = `The value of the expected bucket owner parameter must be an AWS Account ID... [${quoted(owner)}]`;
  return new OrcaError("invalid_bucket_owner", "client", message);
}
