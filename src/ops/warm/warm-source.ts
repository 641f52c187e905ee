/**
 * The objects of a warm-up, in an order that stays: all below a prefix, by key, or those that a manifest names, line by
 * line. Each object has a mark, after which a source can go on: that is how a warm-up is resumed. Of a listing one page is
 * held at a time.
 */
import { createHash } from "node:crypto";
import { OrcaError } from "../../base/orca-error.ts";
import type { HandedWarmUp } from "../../fill/warming/handed-warm-up.ts";
import type { Bucket } from "../../object/bucket.ts";
import type { Buckets } from "../../object/buckets.ts";
import { bucketNamed } from "../endpoints/cache-endpoints.ts";
import { splitPlace } from "../endpoints/place-query.ts";

export interface WarmObject {
  readonly bucket: Bucket;
  readonly key: string;
  /** As listed; undefined where only a look-up can tell. */
  readonly sizeBytes: number | undefined;
  readonly mark: string;
}

export interface WarmSource {
  /** What people see: `s3://models/llama/`, or `manifest of 12 objects`. */
  readonly title: string;
  /** What is in the id of a warm-up: equal for equal sources. */
  readonly name: string;
  /** What another replica makes the same source of. */
  readonly handed: HandedWarmUp["source"];
  /** Whether an object is not after a mark. */
  isUpTo(object: WarmObject, after: string): boolean;
  /** The objects after a mark; all for an empty one. `mayAsk` resolves when the origin may be asked for a page. */
  objects(after: string, mayAsk: (bucket: Bucket) => Promise<void>): AsyncGenerator<WarmObject>;
}

const manifestObjectsMax = 100_000;

const pageKeysMax = 1000;

/** All objects below `place`, which is `BUCKET` or `BUCKET/KEY-PREFIX`. */
export class PrefixSource implements WarmSource {
  readonly title: string;
  readonly name: string;
  readonly handed: { readonly prefix: string };
  readonly #bucket: Bucket;
  readonly #prefix: string;

  /** @throws OrcaError `no_such_bucket`. */
  constructor(place: string, buckets: Buckets) {
    const { bucket, key } = splitPlace(place);
    this.#bucket = bucketNamed(bucket, buckets);
    this.#prefix = key;
    this.title = `s3://${bucket}/${key}`;
    this.name = `p${bucket}/${key}`;
    this.handed = { prefix: `${bucket}/${key}` };
  }

  /** Origins list keys in UTF-8 order. */
  isUpTo({ mark }: WarmObject, after: string): boolean {
    return Buffer.compare(Buffer.from(mark), Buffer.from(after)) <= 0;
  }

  async *objects(after: string, mayAsk: (bucket: Bucket) => Promise<void>): AsyncGenerator<WarmObject> {
    const bucket = this.#bucket;
    let continuationToken = "";
    do {
      await mayAsk(bucket);
      const page = await bucket.list({
        prefix: this.#prefix,
        delimiter: "",
        maxKeys: pageKeysMax,
        continuationToken,
        startAfter: continuationToken === "" ? after : "",
      });
      for (const { key, sizeBytes } of page.objects) yield { bucket, key, sizeBytes, mark: key };
      continuationToken = page.nextContinuationToken;
    } while (continuationToken !== "");
  }
}

/** The objects that a text names, one a line, as `s3://BUCKET/KEY` or `BUCKET/KEY`. Lines that begin with # do not count. */
export class ManifestSource implements WarmSource {
  readonly title: string;
  readonly name: string;
  readonly handed: { readonly manifest: Buffer };
  readonly #objects: readonly WarmObject[];

  /** @throws OrcaError `invalid_argument` with the number of the line; `no_such_bucket`. */
  constructor(text: Buffer, buckets: Buckets) {
    const objects: WarmObject[] = [];
    for (const [index, line] of text.toString().split("\n").entries()) {
      const place = line.replace(/\r$/, "");
      if (place === "" || place.startsWith("#")) continue;
      const { bucket, key } = splitPlace(place.replace(/^s3:\/\//, ""));
      if (key === "") throw invalid(`line ${index + 1} names no object, expected s3://BUCKET/KEY`);
      if (objects.length === manifestObjectsMax)
        throw invalid(`it names more than ${manifestObjectsMax} objects. Split it`);
      const mark = String(objects.length);
      objects.push({ bucket: bucketNamed(bucket, buckets), key, sizeBytes: undefined, mark });
    }
    if (objects.length === 0) throw invalid("it names no object");
    this.#objects = objects;
    this.handed = { manifest: text };
    this.title = `manifest of ${objects.length} objects`;
    this.name = `m${createHash("sha256").update(text).digest("hex").slice(0, 16)}`;
  }

  isUpTo({ mark }: WarmObject, after: string): boolean {
    return Number(mark) <= Number(after);
  }

  async *objects(after: string): AsyncGenerator<WarmObject> {
    yield* this.#objects.slice(after === "" ? 0 : Number(after) + 1);
  }
}

function invalid(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "client", `Cannot use the manifest: ${reason}`);
}
