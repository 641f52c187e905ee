/** The order of keys in every S3 listing: by UTF-8 bytes, which is not the order of JavaScript's UTF-16 comparison. */
export function compareKeys(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left, "utf8"), Buffer.from(right, "utf8"));
}

/** Whether `key` comes after `other` in a listing. */
export function isAfter(key: string, other: string): boolean {
  return other === "" ? key !== "" : compareKeys(key, other) > 0;
}
