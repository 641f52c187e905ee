/**
 * The values that an HTTP header can hold. node:http throws on any other, and a response must not fail because of an
 * object's metadata.
 */

/** Whether node:http sends `value` as it is: ISO-8859-1 without control characters but the tab (RFC 9110 §5.5). */
export function isHeaderValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}

/** Whether `name` is a token (RFC 9110 §5.6.2), which every header name must be. */
export function isHeaderName(name: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name);
}

/**
 * `value` as one RFC 2047 word, `=?UTF-8?B?…?=`: how S3 sends metadata that a header cannot hold
 * (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html).
 */
export function encodeHeaderWord(value: string): string {
  return `=?UTF-8?B?${Buffer.from(value, "utf8").toString("base64")}?=`;
}
