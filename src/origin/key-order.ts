/** The order of keys in every S3 listing: by UTF-8 bytes. JavaScript compares UTF-16 units, which is another order. */
export function compareKeys(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left, "utf8"), Buffer.from(right, "utf8"));
}

/** Whether `key` sorts after `other` in a listing. */
export function isAfter(key: string, other: string): boolean {
  return other === "" ? key !== "" : compareKeys(key, other) > 0;
}
