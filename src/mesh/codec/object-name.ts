/**
 * The names of cached things as they may come from a peer. The limits are wider than those for clients, because names
 * on the mesh are the origin's own: its keys have a configured prefix in front, and its listings tell of all it holds.
 */
import { malformed, name } from "./message-field.ts";

const originIdBytesMax = 64;
const bucketBytesMax = 255;
/** 1,024 characters, as Azure counts, at their longest. */
export const objectKeyBytesMax = 4096;
export const etagBytesMax = 1024;

export function originId(value: string): string {
  return name(value, "the origin id", originIdBytesMax);
}

/** Without NUL, which stands between bucket and key where the two are one name (object/directory.ts). */
export function bucketName(value: string): string {
  if (value.includes("\0")) throw malformed("the bucket has a NUL in it");
  return name(value, "the bucket", bucketBytesMax);
}

export function objectKeyText(value: string): string {
  return name(value, "the key", objectKeyBytesMax);
}

/** Without what would end the quotes or the line in which an origin is sent it (RFC 9110 §8.8.3). */
export function etagText(value: string): string {
  if (/[\p{Cc}"]/u.test(value)) throw malformed("the ETag has a quote or a control character in it");
  return name(value, "the ETag", etagBytesMax);
}
