/**
 * The XML that S3 answers need: escaped text inside elements. XML 1.0 cannot carry some characters at all, not even as
 * references, and object keys may hold them. So a caller chooses whether a text must be exact or must be readable.
 */

export const xmlDeclaration = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** The namespace of every S3 answer but errors. */
const s3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

/** Characters that a text cannot hold unescaped: markup, a carriage return, and any that is no XML 1.0 §2.2 Char. */
const special = /[^\t\n !#-%(-;=?-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu;

/** Most keys are of these characters alone, and such a test is much faster than a search. */
const plain = /^[\t\n !#-%(-;=?-~]*$/;

const references: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
  // A parser turns a bare one into a line feed (XML 1.0 §2.11).
  "\r": "&#13;",
};

/** Text that any parser accepts: a character that XML cannot carry becomes U+FFFD. For error bodies. */
export function escapeXml(text: string): string {
  return text.replace(special, (character) => references[character] ?? "\uFFFD");
}

/**
 * Text that is never mistaken for another: a character that XML cannot carry becomes a character reference, as in S3's own
 * listings (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html, encoding-type). A strict parser then
 * fails, and its user asks again with `encoding-type=url`, instead of reading a key that does not exist.
 */
export function escapeXmlExactly(text: string): string {
  if (plain.test(text)) return text;
  return text.toWellFormed().replace(special, (character) => {
    return references[character] ?? `&#x${character.charCodeAt(0).toString(16)};`;
  });
}

/** `<name>content</name>`. `content` is escaped text or other elements. */
export function element(name: string, content: string): string {
  return `<${name}>${content}</${name}>`;
}

/** A document of one element in the S3 namespace. */
export function s3Document(name: string, content: string): string {
  return `${xmlDeclaration}<${name} xmlns="${s3Namespace}">${content}</${name}>`;
}
