/**
 * Which ETags Orca can use. The origin's drivers and the codecs of the mesh ask here, so that an ETag that one replica
 * accepts is accepted by all.
 */

/** In UTF-8, as messages of the mesh hold it. */
export const etagBytesMax = 1024;

/** Why `etag` (without quotes) cannot be used, or undefined where it can: it goes into headers, paths and messages. */
export function etagFault(etag: string): string | undefined {
  if (etag === "") return "is empty";
  // They would end the quotes or the line of an If-Match (RFC 9110 §8.8.3).
  if (/[\p{Cc}"]/u.test(etag)) return "holds a quote or a control character";
  const bytes = Buffer.byteLength(etag);
  return bytes > etagBytesMax ? `has ${bytes} bytes, at most ${etagBytesMax} are accepted` : undefined;
}
