/**
 * The token with which a client asks for the next page of a listing. It carries the origin's own token, so that Orca
 * keeps no state and any replica can continue. It also carries a checksum over that token and its list: a token that is
 * cut, invented or from another list is the client's error and never reaches the origin. The token is neither a secret
 * nor a signature: a forged one lists only what the client could list anyway.
 */
import { crc32 } from "node:zlib";

/** The list that a token belongs to. */
export interface ListScope {
  readonly bucket: string;
  readonly prefix: string;
  readonly delimiter: string;
}

const checksumSizeBytes = 4;

/** base64url of `CRC-32 || UTF-8 bytes of originToken`. */
export function encodeContinuationToken(originToken: string, scope: ListScope): string {
  const checksum = Buffer.allocUnsafe(checksumSizeBytes);
  checksum.writeUInt32BE(checksumOf(originToken, scope));
  return Buffer.concat([checksum, Buffer.from(originToken, "utf8")]).toString("base64url");
}

/** The origin's token, never empty, or undefined where `token` was not made for this list. */
export function decodeContinuationToken(token: string, scope: ListScope): string | undefined {
  const bytes = Buffer.from(token, "base64url");
  // Decoding skips characters outside base64url. Only encoding it again shows whether there were any.
  if (bytes.length <= checksumSizeBytes || bytes.toString("base64url") !== token) return undefined;
  const originToken = bytes.toString("utf8", checksumSizeBytes);
  return bytes.readUInt32BE(0) === checksumOf(originToken, scope) ? originToken : undefined;
}

function checksumOf(originToken: string, scope: ListScope): number {
  return crc32(originToken, crc32(JSON.stringify([scope.bucket, scope.prefix, scope.delimiter])));
}
