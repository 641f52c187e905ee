/**
 * Collects the head of one response from the reads that it arrives in, and skips interim heads (1xx) before it. Bytes
 * after the head in its last read are the start of the body. They stay here until there is a sink for them.
 */
import { KiB } from "../base/units.ts";
import { headLength, looksLikeHead, MalformedHead, parseHead, type ResponseHead } from "./response-head.ts";

/** Bound on all heads of one response, including 1xx heads. */
const headSizeBytesMax = 64 * KiB;

export class HeadReader {
  /** The owner's. The reader uses it from the start of a response until its head is complete. */
  readonly #scratch: Buffer;
  /** The head so far. This is the scratch, unless the head does not fit there. */
  #bytes: Buffer;
  #lengthBytes = 0;
  /** Bytes of the skipped heads of this response. */
  #interimBytes = 0;
  /** Where the head ends in `#bytes`. */
  #end = 0;

  constructor(scratch: Buffer) {
    this.#scratch = scratch;
    this.#bytes = scratch;
  }

  /** Forgets the last response, and frees the memory that its head took beyond the scratch. */
  reset(): void {
    this.#bytes = this.#scratch;
    this.#lengthBytes = 0;
    this.#interimBytes = 0;
    this.#end = 0;
  }

  /** Space for the next bytes. */
  space(): Buffer {
    return this.#bytes.subarray(this.#lengthBytes);
  }

  /** The first `lengthBytes` of the last {@link space} hold the next bytes. Undefined while the head is incomplete. */
  advance(lengthBytes: number): ResponseHead | MalformedHead | undefined {
    let searchedBytes = this.#lengthBytes;
    this.#lengthBytes += lengthBytes;
    for (;;) {
      const bytes = this.#bytes.subarray(0, this.#lengthBytes);
      if (!looksLikeHead(bytes)) return new MalformedHead("the answer is not HTTP/1");
      this.#end = headLength(bytes, searchedBytes);
      if (this.#interimBytes + (this.#end || this.#lengthBytes) > headSizeBytesMax) {
        return new MalformedHead(`the response head is longer than ${headSizeBytesMax} bytes`);
      }
      if (this.#end === 0) {
        this.#grow();
        return undefined;
      }
      const head = parseHead(bytes.subarray(0, this.#end));
      if (head instanceof MalformedHead || head.status >= 200) return head;
      // 1xx heads come before the final one (RFC 9110 §15.2). 101 answers an Upgrade, which no request asks for.
      if (head.status === 101) return new MalformedHead("the server switched protocols");
      this.#interimBytes += this.#end;
      this.#bytes.copyWithin(0, this.#end, this.#lengthBytes);
      this.#lengthBytes -= this.#end;
      searchedBytes = 0;
    }
  }

  /** The bytes after the complete head. */
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
