/**
 * Checks the fields of a received message that name an object. The limits are wider than those for clients, because
 * names on the mesh are the origin's: its keys begin with a configured prefix, and its listings name all objects that
 * it holds.
 */
import { etagFault } from "../../chunk/etag.ts";
import { isVersionId } from "../../chunk/version-id.ts";
import { malformedMessage, nameField } from "./message-field.ts";

const originIdBytesMax = 64;
const bucketBytesMax = 255;
/** Azure allows 1,024 characters, each of up to 4 bytes. */
export const objectKeyBytesMax = 4096;

export function originIdField(value: string): string {
  return nameField(value, "the origin id", originIdBytesMax);
}

/** Rejects NUL, which separates bucket and key where the two are one name. */
export function bucketField(value: string): string {
  if (value.includes("\0")) throw malformedMessage("the bucket holds a NUL");
  return nameField(value, "the bucket", bucketBytesMax);
}

export function objectKeyField(value: string): string {
  return nameField(value, "the key", objectKeyBytesMax);
}

/** The version id of a message, where it has one. */
export function versionIdOf({ versionId }: { readonly versionId?: string | undefined }): {
  readonly versionId?: string;
} {
  if (versionId === undefined) return {};
  if (isVersionId(versionId)) return { versionId };
  throw malformedMessage("the version id is not one that an origin could have");
}

/** Rejects what no driver of an origin would tell as an ETag. */
export function etagField(value: string): string {
  const fault = etagFault(value);
  if (fault !== undefined) throw malformedMessage(`the ETag ${fault}`);
  return value;
}
