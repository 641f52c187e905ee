/**
 * The list of headers that a client has signed, which puts them into the canonical request. A client sends the same headers
 * in the same order with each request. So their places are remembered, and the names are only compared.
 */

/** S3 requires that these are signed: their values change what the request means. */
const securedPrefix = "x-amz-";
const payloadHashHeader = "x-amz-content-sha256";

/** Names of more headers, or longer ones, are not remembered: there are as many lists as Sigv4Headers keeps. */
const rememberedNamesMax = 32;
const rememberedCharactersMax = 1024;

export class SignedHeaders {
  /** As sent: lower case. */
  readonly names: readonly string[];
  /** What stands before each value: a line end, the name and a colon. */
  readonly #labels: readonly string[];
  /** What stands between the last value and the hash of the payload. */
  readonly #tail: string;
  /** The names of the headers of the last request, as sent. */
  #sentNames: readonly string[] = [];
  /** For each signed header the index of its value in `rawHeaders`; -1 where it was not sent. */
  #places: readonly number[] = [];

  /** `text` has the names as sent, with `;` between them. */
  constructor(text: string) {
    this.names = text.split(";");
    this.#labels = this.names.map((name) => `\n${name}:`);
    this.#tail = `\n\n${text}\n`;
  }

  /**
   * The canonical request, with a character for each of its bytes. `target` is its method, path and query, each on a line.
   * The headers are those that came, with repeated ones joined: `rawHeaders` and not `headers`, because Node drops some
   * repeated headers and joins the others in its own way. If headers are not signed that have to be, it is a list of these.
   */
  canonicalRequest(
    target: string,
    rawHeaders: readonly string[],
    payloadHash: string,
  ): string | readonly string[] {
    if (!this.#isLikeTheLast(rawHeaders)) return this.#unlikeTheLast(target, rawHeaders, payloadHash);
    const labels = this.#labels;
    let text = target;
    for (let index = 0; index < labels.length; index += 1) {
      text += labels[index] as string;
      const place = this.#places[index] as number;
      if (place >= 0) text += trimmed(rawHeaders[place] as string);
    }
    return text + this.#tail + payloadHash;
  }

  #isLikeTheLast(rawHeaders: readonly string[]): boolean {
    const sent = this.#sentNames;
    if (sent.length === 0 || rawHeaders.length !== sent.length * 2) return false;
    for (let index = 0; index < sent.length; index += 1) {
      if (rawHeaders[index * 2] !== sent[index]) return false;
    }
    return true;
  }

  #unlikeTheLast(
    target: string,
    rawHeaders: readonly string[],
    payloadHash: string,
  ): string | readonly string[] {
    const { names } = this;
    const values: (string | undefined)[] = new Array(names.length);
    const places: number[] = names.map(() => -1);
    const sentNames: string[] = [];
    const unsigned: string[] = [];
    let anyTwice = false;
    for (let index = 0; index < rawHeaders.length; index += 2) {
      const sentName = rawHeaders[index] as string;
      const name = sentName.toLowerCase();
      sentNames.push(sentName);
      const at = names.indexOf(name);
      if (at >= 0) {
        const value = trimmed(rawHeaders[index + 1] as string);
        const before = values[at];
        values[at] = before === undefined ? value : `${before},${value}`;
        places[at] = index + 1;
        if (before !== undefined) anyTwice = true;
      } else if (name.startsWith(securedPrefix) && name !== payloadHashHeader) {
        unsigned.push(name);
      }
    }
    if (!names.includes("host")) unsigned.push("host");
    if (unsigned.length > 0) return unsigned;
    const characters = sentNames.reduce((sum, name) => sum + name.length, 0);
    if (!anyTwice && sentNames.length <= rememberedNamesMax && characters <= rememberedCharactersMax) {
      this.#sentNames = sentNames;
      this.#places = places;
    }
    const lines = this.#labels.map((label, index) => label + (values[index] ?? ""));
    return target + lines.join("") + this.#tail + payloadHash;
  }
}

const space = 0x20;

/** Several blanks in a row are one, and none is at an end. No other byte is a blank: it may be part of a character. */
function trimmed(value: string): string {
  const isTrimmed =
    value.charCodeAt(0) > space && value.charCodeAt(value.length - 1) > space && !/ {2}|\t/.test(value);
  return isTrimmed ? value : value.replace(/[ \t]+/g, " ").replace(/^ | $/g, "");
}
