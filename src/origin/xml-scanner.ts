/**
 * Scans the XML of a listing in slices, so that a page of any size never delays readers for long. It is our own because
 * the parsers of the AWS and Azure SDKs build a tree first: a page of 1,000 keys took them 35 ms and 200 ms of the event
 * loop, and this scanner takes 4 ms and 5 ms. It knows elements, attributes, comments, CDATA and character references, and
 * rejects a document type, which could define entities. It scans bytes, because a string that is cut out of a string
 * keeps all of it in memory.
 *
 * Invariants:
 * 1. #open holds the names of the elements that are open at #at, the root first.
 * 2. The text and the attributes are those of the element that ended last, if it had no child.
 */
import { nextTurn } from "../base/clock.ts";
import { KiB } from "../base/units.ts";

/** Bytes that are scanned in one turn of the event loop. They take about a millisecond. */
const sliceBytes = 128 * KiB;
/** Deeper elements are no listing's. */
const depthMax = 16;
const nameBytesMax = 128;
/**
 * Longer texts are no listing's: a key has 1,024 characters, of at most twelve bytes each if it is encoded for a URL. To
 * unescape one takes a microsecond for each reference, so this is some 10 ms of the event loop at most.
 */
const textBytesMax = 64 * KiB;
/** Different names that are remembered. A listing has about thirty. */
const namesMax = 256;

/** Why bytes are not the XML of a listing. `reason` completes "Cannot …: ". */
export class MalformedXml extends Error {}

/** The element that has just ended. It is valid during the call only. */
export interface XmlElement {
  readonly name: string;
  /** The name of the element around it; empty for the root. */
  readonly parent: string;
  /** Its characters, if it has no child elements. The string keeps no other bytes in memory. @throws MalformedXml */
  text(): string;
  /** Its attributes as they are written. */
  attributes(): string;
}

/**
 * Scans a whole document and calls `onElement` at the end of each element.
 * @throws MalformedXml, also if the root is another element than `root`.
 */
export async function scanXml(
  bytes: Buffer,
  root: string,
  onElement: (element: XmlElement) => void,
): Promise<void> {
  const scanner = new XmlScanner(bytes, root, onElement);
  while (!scanner.scan(sliceBytes)) await nextTurn();
}

const lessThan = 0x3c;
const greaterThan = 0x3e;
const slash = 0x2f;
const exclamation = 0x21;
const question = 0x3f;
const doubleQuote = 0x22;
const singleQuote = 0x27;

class XmlScanner implements XmlElement {
  name = "";
  readonly #bytes: Buffer;
  readonly #root: string;
  readonly #onElement: (element: XmlElement) => void;
  readonly #open: string[] = [];
  readonly #names = new Map<number, string>();
  #at = 0;
  #hasRoot = false;
  /** Whether the element that was opened last has had no child yet. */
  #isLeaf = false;
  #attributesStart = 0;
  #textStart = 0;
  #textEnd = 0;

  constructor(bytes: Buffer, root: string, onElement: (element: XmlElement) => void) {
    this.#bytes = bytes;
    this.#root = root;
    this.#onElement = onElement;
  }

  get parent(): string {
    return this.#open.at(-1) ?? "";
  }

  text(): string {
    if (!this.#isLeaf) return "";
    if (this.#textEnd - this.#textStart > textBytesMax)
      throw new MalformedXml(`in the XML, the text of "${this.name}" has more than ${textBytesMax} bytes`);
    return unescaped(this.#bytes.toString("utf8", this.#textStart, this.#textEnd));
  }

  attributes(): string {
    return this.#isLeaf ? this.#bytes.toString("latin1", this.#attributesStart, this.#textStart) : "";
  }

  /** Scans about `lengthBytes` more. Returns whether that was the end. @throws MalformedXml */
  scan(lengthBytes: number): boolean {
    const bytes = this.#bytes;
    const end = Math.min(this.#at + lengthBytes, bytes.length);
    while (this.#at < end) {
      const start = this.#at;
      let at = start;
      while (at < bytes.length && bytes[at] !== lessThan) at += 1;
      if (this.#open.length === 0) this.#checkBlank(start, at);
      this.#at = at;
      if (at < bytes.length) this.#markup();
    }
    if (this.#at < bytes.length) return false;
    if (!this.#hasRoot || this.#open.length > 0) throw new MalformedXml("the XML ends early");
    return true;
  }

  /** Scans what begins with the `<` at #at. */
  #markup(): void {
    switch (this.#bytes[this.#at + 1]) {
      case slash:
        return this.#endTag();
      case question:
        return this.#skipPast("?>", 2);
      case exclamation:
        if (this.#startsWith("<!--")) return this.#skipPast("-->", 4);
        if (this.#startsWith("<![CDATA[") && this.#open.length > 0) return this.#skipPast("]]>", 9);
        throw new MalformedXml("the XML has a document type");
      default:
        return this.#startTag();
    }
  }

  #startTag(): void {
    const bytes = this.#bytes;
    const nameStart = this.#at + 1;
    const nameEnd = this.#nameEnd(nameStart);
    const name = this.#nameOf(nameStart, nameEnd);
    let at = nameEnd;
    let quote = 0;
    for (; at < bytes.length; at += 1) {
      const byte = bytes[at];
      if (quote !== 0) {
        if (byte === quote) quote = 0;
      } else if (byte === doubleQuote || byte === singleQuote) quote = byte;
      else if (byte === greaterThan) break;
    }
    if (at === bytes.length) throw new MalformedXml("the XML ends inside a tag");
    if (this.#open.length === 0) this.#checkRoot(name);
    if (this.#open.length === depthMax) throw new MalformedXml(`the XML is deeper than ${depthMax} elements`);
    this.#at = at + 1;
    this.#isLeaf = true;
    this.#attributesStart = nameEnd;
    this.#textStart = at + 1;
    if (bytes[at - 1] === slash) {
      this.#textEnd = at + 1;
      this.#end(name);
    } else this.#open.push(name);
  }

  #endTag(): void {
    const nameStart = this.#at + 2;
    const nameEnd = this.#nameEnd(nameStart);
    const name = this.#open.pop();
    if (name === undefined || !this.#isAt(name, nameStart, nameEnd))
      throw new MalformedXml(`in the XML, the end of "${name ?? ""}" is missing`);
    let at = nameEnd;
    while (isBlank(this.#bytes[at])) at += 1;
    if (this.#bytes[at] !== greaterThan) throw new MalformedXml("the XML ends inside a tag");
    this.#textEnd = this.#at;
    this.#at = at + 1;
    this.#end(name);
  }

  #end(name: string): void {
    this.name = name;
    this.#onElement(this);
    this.#isLeaf = false;
  }

  #nameEnd(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    while (at < bytes.length && !isBlank(bytes[at]) && bytes[at] !== slash && bytes[at] !== greaterThan)
      at += 1;
    if (at === start || at - start > nameBytesMax) throw new MalformedXml("the XML has a malformed tag");
    return at;
  }

  /** The name between two offsets, as one string for all elements of that name. */
  #nameOf(start: number, end: number): string {
    const bytes = this.#bytes;
    let hash = 0;
    for (let at = start; at < end; at += 1) hash = (Math.imul(hash, 31) + (bytes[at] ?? 0)) | 0;
    const known = this.#names.get(hash);
    if (known !== undefined && this.#isAt(known, start, end)) return known;
    const name = bytes.toString("latin1", start, end);
    if (this.#names.size < namesMax) this.#names.set(hash, name);
    return name;
  }

  #isAt(name: string, start: number, end: number): boolean {
    if (name.length !== end - start) return false;
    for (let index = 0; index < name.length; index += 1)
      if (name.charCodeAt(index) !== this.#bytes[start + index]) return false;
    return true;
  }

  #startsWith(text: string): boolean {
    return this.#isAt(text, this.#at, this.#at + text.length);
  }

  #skipPast(end: string, startLength: number): void {
    const at = this.#bytes.indexOf(end, this.#at + startLength, "latin1");
    if (at === -1) throw new MalformedXml(`in the XML, "${end}" is missing`);
    this.#at = at + end.length;
  }

  /** Only blanks and a byte order mark stand outside the root. */
  #checkBlank(start: number, end: number): void {
    if (start === end) return;
    const text = this.#bytes.toString("utf8", start, Math.min(end, start + nameBytesMax));
    if (text.trim() !== "") throw new MalformedXml("the body is not XML");
  }

  #checkRoot(name: string): void {
    if (this.#hasRoot || name !== this.#root)
      throw new MalformedXml(`expected XML with the root "${this.#root}", found "${name}"`);
    this.#hasRoot = true;
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

const references: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

/** The characters of a text with references, CDATA and comments. Line ends become line feeds (XML 1.0 §2.11). */
function unescaped(text: string): string {
  if (!/[&<\r]/.test(text)) return text;
  return text.replace(
    /<!\[CDATA\[([\s\S]*?)\]\]>|<!--[\s\S]*?-->|&([#\w]{1,10});|\r\n?/g,
    (match: string, data: string | undefined, reference: string | undefined) => {
      if (match.startsWith("\r")) return "\n";
      return reference === undefined ? (data ?? "") : characterOf(reference);
    },
  );
}

function characterOf(reference: string): string {
  const known = references.get(reference);
  if (known !== undefined) return known;
  const [, hex, decimal] = /^#(?:x([\da-fA-F]+)|(\d+))$/.exec(reference) ?? [];
  const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
  if (!(code <= 0x10ffff)) throw new MalformedXml(`the XML has an unknown reference "&${reference};"`);
  return String.fromCodePoint(code);
}
