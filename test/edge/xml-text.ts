/**
 * The reverse of what src/edge/xml.ts writes, made apart from it: enough of an XML reader to check answers of ours,
 * and strict where a real parser is.
 */

const named: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** The text behind escaped text; numeric references may name any character. */
export function unescapeXml(escaped: string): string {
  return escaped.replace(/&(?:#x([\da-f]+)|#(\d+)|(\w+));/g, (reference, hex, decimal, name) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    return named[name] ?? reference;
  });
}

/** Whether `escaped` is character data of XML 1.0: no markup, no bare ampersand, and only what §2.2 calls a Char. */
export function isXmlText(escaped: string): boolean {
  for (const character of escaped) {
    const code = character.codePointAt(0) ?? 0;
    const isSurrogate = code >= 0xd800 && code <= 0xdfff;
    const isControl = code < 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d;
    if (isSurrogate || isControl || code === 0xfffe || code === 0xffff || character === "<") return false;
  }
  return !/&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[\da-f]+);)/.test(escaped);
}

/** The texts of all elements `name` in document order, unescaped. Not for an element inside one of its own name. */
export function textsOf(xml: string, name: string): string[] {
  const elements = new RegExp(`<${name}(?: [^>]*)?>([^<]*)</${name}>`, "g");
  return Array.from(xml.matchAll(elements), ([, text]) => unescapeXml(text ?? ""));
}
