/**
 * What a version id may look like before an origin is asked: 1 to 1024 characters of ASCII without spaces and controls.
 * S3's and Ceph RGW's are random letters and digits, Azure's are times, MinIO's are UUIDs. Nothing else in Orca may depend
 * on their form. It holds no NUL, which separates it from a bucket where the two are one name.
 */
export function isVersionId(text: string): boolean {
  return /^[\x21-\x7e]{1,1024}$/.test(text);
}

/** The version that was written while its bucket had no versioning: the only one that another can replace. */
export const nullVersionId = "null";
