/**
 * Receives an S3 error document for its `Code`, because one status is ambiguous: Ceph RGW answers 403 if Orca may not
 * write, and also if a quota is used up. In the first case the credentials are wrong, in the second the store is full.
 */
import type { ByteSink } from "../../../base/byte-sink.ts";
import { KiB } from "../../../base/units.ts";
import type { ResponseHead } from "../../../http-client/response-head.ts";

const bodySizeBytesMax = 4 * KiB;

export class S3ErrorDocument {
  #body: Buffer | undefined;
  #receivedBytes = 0;

  /** Undefined if there was no error document, or one that is longer than any real one. */
  get code(): string | undefined {
    return /<Code>(\w+)<\/Code>/.exec(this.#body?.toString("utf8", 0, this.#receivedBytes) ?? "")?.[1];
  }

  /** The sink for the body of this answer; null if the body is not needed. */
  sink({ contentLength = 0 }: ResponseHead): ByteSink | null {
    if (contentLength === 0 || contentLength > bodySizeBytesMax) return null;
    const body = Buffer.alloc(contentLength);
    this.#body = body;
    return {
      space: () => body.subarray(this.#receivedBytes),
      advance: (lengthBytes) => {
        this.#receivedBytes += lengthBytes;
      },
    };
  }
}
