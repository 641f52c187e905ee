/**
 * Collects the head of one response out of the reads it comes in, and sets the interim ones (1xx) before it aside. What
 * came behind the head in its last read is the start of the body, and lies here until somebody has a place for it.
 */
import { KiB } from "../base/units.ts";
import { headLength, looksLikeHead, MalformedHead, parseHead, type ResponseHead } from "./response-head.ts";

/** Bound on all heads of one response, 1xx ones included. */
const headSizeBytesMax = 64 * KiB;

export class HeadReader {
  /** Its owner's, lent between the start of a response and its judgement. */
  readonly #scratch: Buffer;
  /** The head so far. It is the scratch, unless a head does not fit there. */
  #bytes: Buffer;
  #lengthBytes = 0;
  /** Bytes of heads of this response that were read and set aside. */
  #interimBytes = 0;
  /** Where the head ends in `#bytes`. */
  #end = 0;

  constructor(scratch: Buffer) {
    this.#scratch = scratch;
    this.#bytes = scratch;
  }

  /** Forgets the response before, and what its head took beyond the scratch. */
  reset(): void {
    this.#bytes = this.#scratch;
    this.#lengthBytes = 0;
    this.#interimBytes = 0;
    this.#end = 0;
  }

  /** Room for the next bytes. */
  space(): Buffer {
    return this.#bytes.subarray(this.#lengthBytes);
  }

  /** The first `lengthBytes` of the last {@link space} hold the next bytes. Undefined where the head is not whole yet. */
  advance(lengthBytes: number): ResponseHead | MalformedHead | undefined {
    let searchedBytes = this.#lengthBytes;
    this.#lengthBytes += lengthBytes;
    for (;;) {
      const bytes = this.#bytes.subarray(0, this.#lengthBytes);
      if (!looksLikeHead(bytes)) return new MalformedHead("the answer is not HTTP/1");
      this.#end = headLength(bytes, searchedBytes);
      if (this.#interimBytes + (this.#end || this.#lengthBytes) > headSizeBytesMax) {
        return new MalformedHead(`the response head passes ${headSizeBytesMax} bytes`);
      }
      if (this.#end === 0) {
        this.#grow();
        return undefined;
      }
      const head = parseHead(bytes.subarray(0, this.#end));
      if (head instanceof MalformedHead || head.status >= 200) return head;
      // 1xx heads come before the real one (RFC 9110 §15.2). 101 answers an Upgrade, and none was asked for.
      if (head.status === 101) return new MalformedHead("the server switched protocols");
      this.#interimBytes += this.#end;
      this.#bytes.copyWithin(0, this.#end, this.#lengthBytes);
      this.#lengthBytes -= this.#end;
      searchedBytes = 0;
    }
  }

  /** What came behind the whole head. */
  get rest(): Buffer {
    return this.#bytes.subarray(this.#end, this.#lengthBytes);
  }

  #grow(): void {
    if (this.#lengthBytes < this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.min(this.#bytes.length * 2, headSizeBytesMax + 1));
    this.#bytes.copy(larger, 0, 0, this.#lengthBytes);
    this.#bytes = larger;
  }
}
