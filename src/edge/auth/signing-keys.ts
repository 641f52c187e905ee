/**
 * The keys that SigV4 derives from a secret for a day, a region and a service. Deriving one takes four HMACs and checking
 * a signature takes one, so derived keys are cached. A key is kept only after a signature was right with it: a stranger
 * who invents regions cannot drive out the others.
 */
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { LruMap } from "../../base/lru-map.ts";

/** A client has one a day and region. Each takes less than 1 KiB. */
const signingKeysMax = 4096;

export class SigningKeys {
  readonly #keys = new LruMap<string, KeyObject>({ entriesMax: signingKeysMax });

  /** `scope` is `day/region/service/aws4_request`. */
  get(accessKey: string, scope: string): KeyObject | undefined {
    return this.#keys.get(`${accessKey}/${scope}`);
  }

  keep(accessKey: string, scope: string, key: KeyObject): void {
    this.#keys.set(`${accessKey}/${scope}`, key);
  }

  /** To be called when secrets have changed. */
  clear(): void {
    this.#keys.clear();
  }
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
export function deriveSigningKey(secret: string, scope: string): KeyObject {
  let key: Buffer = Buffer.from(`AWS4${secret}`);
  for (const part of scope.split("/")) key = createHmac("sha256", key).update(part).digest();
  return createSecretKey(key);
}
