/**
 * One object of the in-repo S3 server: bytes that somebody stored, or a synthetic pattern of any size that takes no
 * memory. It never changes; an overwrite is another S3Object, so a body that is being sent stays one version, as it
 * does at S3.
 */
import { createHash } from "node:crypto";
import { sharedPatternBytes } from "./pattern.ts";

interface S3ObjectFields {
  /** Content-* headers, Cache-Control, Expires, x-amz-meta-* and x-amz-version-id, names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Without quotes. By default the MD5 of the body, or of seed and size. */
  readonly etag?: string;
  readonly lastModifiedMs?: number;
  /** Of an object from a multipart upload, in order; they add up to its size. Its ETag should end in `-<count>`. */
  readonly partSizesBytes?: readonly number[];
}

export type S3ObjectInput = S3ObjectFields &
  ({ readonly body: Uint8Array | string } | { readonly seed: number; readonly sizeBytes: number });

export class S3Object {
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  /** A LIST tells the milliseconds, as RGW does; HTTP dates have none. */
  readonly lastModifiedMs: number;
  readonly headers: Readonly<Record<string, string>>;
  /** @see S3ObjectFields.partSizesBytes */
  readonly partSizesBytes: readonly number[] | undefined;
  readonly #read: (offset: number, lengthBytes: number) => Buffer;

  constructor(input: S3ObjectInput, nowMs: number) {
    this.headers = input.headers ?? {};
    this.partSizesBytes = input.partSizesBytes;
    this.lastModifiedMs = input.lastModifiedMs ?? nowMs;
    if ("body" in input) {
      const body = Buffer.from(input.body);
      this.sizeBytes = body.length;
      this.etag = input.etag ?? md5(body);
      this.#read = (offset, lengthBytes) => body.subarray(offset, offset + lengthBytes);
    } else {
      this.sizeBytes = input.sizeBytes;
      this.etag = input.etag ?? md5(`seed ${input.seed}, ${input.sizeBytes} bytes`);
      this.#read = (offset, lengthBytes) => sharedPatternBytes(input.seed, offset, lengthBytes);
    }
  }

  /** The memory is the object's own: nobody writes to it. */
  read(offset: number, lengthBytes: number): Buffer {
    return this.#read(offset, lengthBytes);
  }
}

function md5(content: Buffer | string): string {
  return createHash("md5").update(content).digest("hex");
}
