/**
 * How an origin has encoded the bytes of an object, as its Content-Encoding says, in a form that can be compared. A fill
 * refuses bytes that are encoded otherwise than the object's metadata says: clients get the header of the metadata.
 */

/** Longer ones are not compared. */
export const contentCodingBytesMax = 128;

/** Codings that do not change the bytes. `aws-chunked` is left over from uploads, and only some stores remove it. */
const neutralCodings = new Set(["", "identity", "aws-chunked"]);

/** In lower case and without spaces; empty for none. Undefined if it is too long to be compared. */
export function contentCodingOf(contentEncoding: string | undefined): string | undefined {
  if (contentEncoding === undefined) return "";
  const codings = contentEncoding.split(",").map((coding) => coding.trim().toLowerCase());
  const text = codings.filter((coding) => !neutralCodings.has(coding)).join(",");
  return Buffer.byteLength(text) > contentCodingBytesMax ? undefined : text;
}
