/**
 * The keys that SigV4 derives from a secret for a day, a region and a service. Deriving one takes four HMACs and checking
 * a signature takes one, so derived keys are cached. A key is kept only after a signature was right with it: a stranger
 * who invents regions cannot drive out the others.
 */
import { createHmac, hash } from "node:crypto";
import { LruMap } from "../../base/lru-map.ts";

/** Of one access key: a client has one a day and region. Each takes about 1 KiB, and there are as many access keys as the file has. */
const scopesMax = 8;

const blockBytes = 64;
/** A longer text is hashed out of a buffer of its own. */
const textBytesMax = 512;

/**
 * One derived key. HMAC (RFC 2104) is made of two one-shot hashes, which takes half of the time of node:crypto's Hmac, an
 * object with a life of its own. Reused buffers hold the padded key and then the text.
 */
export class SigningKey {
  readonly #inner = Buffer.alloc(blockBytes + textBytesMax, 0x36);
  readonly #outer = Buffer.alloc(blockBytes + 32, 0x5c);

  /** `key` has 32 bytes. */
  constructor(key: Buffer) {
    for (const [index, byte] of key.entries()) {
      this.#inner[index] = byte ^ 0x36;
      this.#outer[index] = byte ^ 0x5c;
    }
  }

  /** The HMAC of an ASCII text, in hex. */
  sign(text: string): string {
    let inner = this.#inner;
    if (text.length > textBytesMax) {
      inner = Buffer.alloc(blockBytes + text.length);
      this.#inner.copy(inner, 0, 0, blockBytes);
    }
    inner.write(text, blockBytes, "latin1");
    this.#outer.write(hash("sha256", inner.subarray(0, blockBytes + text.length)), blockBytes, "hex");
    return hash("sha256", this.#outer);
  }
}

export class SigningKeys {
  /** By day, region and service, of each access key: one that the client of a request names has its maps already. */
  #keys = new WeakMap<object, LruMap<string, SigningKey>>();

  /** `scope` is `day/region/service/aws4_request`. */
  get(accessKey: object, scope: string): SigningKey | undefined {
    return this.#keys.get(accessKey)?.get(scope);
  }

  keep(accessKey: object, scope: string, key: SigningKey): void {
    let scopes = this.#keys.get(accessKey);
    if (scopes === undefined) {
      scopes = new LruMap({ entriesMax: scopesMax });
      this.#keys.set(accessKey, scopes);
    }
    scopes.set(scope, key);
  }

  /** To be called when secrets have changed. */
  clear(): void {
    this.#keys = new WeakMap();
  }
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
export function deriveSigningKey(secret: string, scope: string): SigningKey {
  let key: Buffer = Buffer.from(`AWS4${secret}`);
  for (const part of scope.split("/")) key = createHmac("sha256", key).update(part).digest();
  return new SigningKey(key);
}
