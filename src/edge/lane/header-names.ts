/**
 * Names of headers that were read before, found by their bytes: most clients send the same few, and a text made of bytes, its
 * lower case and its place among V8's names cost more than to compare the bytes. A name also remembers the last value that
 * it had, for the same reason.
 *
 * Clients could fill the table, so the names in it have a bound in number and in length, and so have the values. A value
 * that tells who somebody is, or is another one in each request, is not kept.
 */

/** Slots; a power of two. */
const slots = 2048;
const namesMax = 1000;
/** A name is in one of so many slots from that of its hash on. More would let a client make all look-ups slow. */
const probesMax = 4;
/** A longer name is not kept. */
const keptNameBytesMax = 64;
/** A longer value is not kept. */
const keptValueBytesMax = 256;

/** A value is kept after so many others in a row: clients that take turns would have it written anew each time. */
const missesMax = 8;

const CR = 0x0d;
const LF = 0x0a;

/** They ask for something that the lane does not do, or say where the request ends. */
const otherNames: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "expect",
  "upgrade",
  "te",
  "trailer",
  "proxy-connection",
  "http2-settings",
  "set-cookie",
  "__proto__",
]);

const keptValues: ReadonlySet<string> = new Set([
  "host",
  "accept",
  "accept-encoding",
  "accept-language",
  "amz-sdk-request",
  "connection",
  "user-agent",
  "x-amz-checksum-mode",
  "x-amz-content-sha256",
  "x-amz-user-agent",
]);

export class HeaderName {
  /** As the client writes it. */
  readonly text: string;
  readonly lower: string;
  /** Whether a head with it is not of the strict form. */
  readonly isOther: boolean;
  /** Of the last value that was kept; empty for none. */
  lastValue = "";
  readonly #keepsValue: boolean;
  #misses = missesMax;

  constructor(text: string, isKept: boolean) {
    this.text = text;
    const lower = text.toLowerCase();
    // V8 has a text of its own for each key. With any other it would look for that one at each use.
    this.lower = isKept ? (Object.keys({ [lower]: 0 })[0] as string) : lower;
    this.isOther = otherNames.has(this.lower);
    this.#keepsValue = keptValues.has(this.lower);
  }

  /** Where {@link lastValue} ends in `bytes`, if it begins at `start` and CR LF follow; else 0. */
  endOfSameValue(bytes: Buffer, start: number, length: number): number {
    const value = this.lastValue;
    const end = start + value.length;
    if (value === "" || end + 1 >= length || bytes[end] !== CR || bytes[end + 1] !== LF) return 0;
    for (let index = 0; index < value.length; index += 1)
      if (bytes[start + index] !== value.charCodeAt(index)) return 0;
    return end;
  }

  /** The value was read. */
  keep(value: string): void {
    if (!this.#keepsValue || value.length > keptValueBytesMax) return;
    this.#misses += 1;
    if (this.#misses < missesMax) return;
    this.#misses = 0;
    this.lastValue = value;
  }
}

export class HeaderNames {
  readonly #slots: (HeaderName | undefined)[] = new Array<undefined>(slots).fill(undefined);
  #size = 0;

  /** The name from `start` to `end`. `hash` is any hash of its bytes. */
  of(bytes: Buffer, start: number, end: number, hash: number): HeaderName {
    let free = -1;
    for (let probe = 0; probe < probesMax && free < 0; probe += 1) {
      const slot = (hash + probe) & (slots - 1);
      const name = this.#slots[slot];
      if (name === undefined) free = slot;
      else if (isAt(name.text, bytes, start, end)) return name;
    }
    const isKept = free >= 0 && end - start <= keptNameBytesMax && this.#size < namesMax;
    const name = new HeaderName(bytes.toString("latin1", start, end), isKept);
    if (isKept) {
      this.#slots[free] = name;
      this.#size += 1;
    }
    return name;
  }
}

function isAt(text: string, bytes: Buffer, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let index = 0; index < text.length; index += 1)
    if (bytes[start + index] !== text.charCodeAt(index)) return false;
  return true;
}
