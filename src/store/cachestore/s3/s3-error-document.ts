/**
 * The `Code` of an S3 error, for the one status that does not say enough: Ceph RGW answers 403 where Orca may not write,
 * and where a quota is used up. In the one case the credentials are wrong, in the other all is well but the size.
 */
import type { ByteSink } from "../../../base/byte-sink.ts";
import { KiB } from "../../../base/units.ts";
import type { ResponseHead } from "../../../http-client/response-head.ts";

const bodySizeBytesMax = 4 * KiB;

export class S3ErrorDocument {
  #body: Buffer | undefined;
  #receivedBytes = 0;

  /** Undefined where there was no error document, or one that is too long for what it has to say. */
  get code(): string | undefined {
    return /<Code>(\w+)<\/Code>/.exec(this.#body?.toString("utf8", 0, this.#receivedBytes) ?? "")?.[1];
  }

  /** Where the body of this answer shall go, if anywhere. */
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
