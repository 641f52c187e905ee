/**
 * The URLs that commands take for objects, in the names that clients use. A key is taken as it is, percent signs and
 * question marks included, as `aws s3` does.
 */
import { OrcaError } from "../base/orca-error.ts";

/** Of `s3://BUCKET/KEY`. `action` completes "Cannot …". @throws OrcaError `invalid_argument`. */
export function objectOf(action: string, url: string): { readonly bucket: string; readonly key: string } {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+)$/s.exec(url) ?? [];
  if (bucket !== undefined && key !== undefined) return { bucket, key };
  throw unexpected(action, url, "s3://BUCKET/KEY");
}

/** `BUCKET/PREFIX` of `s3://BUCKET/PREFIX`. `action` completes "Cannot …". @throws OrcaError `invalid_argument`. */
export function prefixOf(action: string, url: string): string {
  const prefix = /^s3:\/\/([^/]+(?:\/.*)?)$/s.exec(url)?.[1];
  if (prefix !== undefined) return prefix;
  throw unexpected(action, url, "s3://BUCKET/PREFIX");
}

function unexpected(action: string, url: string, form: string): OrcaError {
  return new OrcaError("invalid_argument", "config", `Cannot ${action} "${url}": expected ${form}`);
}
