/**
 * The keys that SigV4 derives from a secret for a day, a region and a service. Deriving one takes four HMACs and checking
 * a signature takes one, so derived keys are cached. A key is kept only after a signature was right with it: a stranger
 * who invents regions cannot drive out the others.
 */
import { createHmac, hash, timingSafeEqual } from "node:crypto";
import { LruMap } from "../../base/lru-map.ts";
import { sigv4Algorithm } from "./sigv4-credentials.ts";

/** Of one access key: a client has one a day and region. Each takes about 1 KiB, and there are as many access keys as the file has. */
const scopesMax = 8;

const blockBytes = 64;
const digestBytes = 32;
/** Of a hash in hex. */
const digitsCount = 64;
/** `20260102T030405Z`. */
const dateCharacters = 16;

/** Both signatures, as text. Reused: all of it happens in one turn. */
const givenBytes = Buffer.alloc(digitsCount);
const madeBytes = Buffer.alloc(digitsCount);

/**
 * One derived key. HMAC (RFC 2104) is made of two one-shot hashes, which takes half of the time of node:crypto's Hmac, an
 * object with a life of its own. What they hash is laid out once. For each request only the hash of the canonical request
 * is written and, when a new second has begun, the date.
 */
export class SigningKey {
  /** The padded key and the text that is signed. */
  readonly #inner: Buffer;
  readonly #hashStart: number;
  #date = "0".repeat(dateCharacters);
  /** The padded key and the inner hash. */
  readonly #outer = Buffer.alloc(blockBytes + digestBytes, 0x5c);

  /** `key` has 32 bytes. `scope` is `day/region/service/aws4_request`. */
  constructor(key: Buffer, scope: string) {
    const text = stringToSign(this.#date, scope, "0".repeat(digitsCount));
    this.#inner = Buffer.alloc(blockBytes + text.length, 0x36);
    this.#inner.write(text, blockBytes, "latin1");
    this.#hashStart = this.#inner.length - digitsCount;
    for (const [index, byte] of key.entries()) {
      this.#inner[index] = byte ^ 0x36;
      this.#outer[index] = byte ^ 0x5c;
    }
  }

  /**
   * Whether `signature` is that of a request of `date`, as `x-amz-date` has it, with `canonicalHash` in hex. In constant
   * time.
   */
  isSignature(signature: string, date: string, canonicalHash: string): boolean {
    if (signature.length !== digitsCount) return false;
    if (date !== this.#date) {
      this.#inner.write(date, blockBytes + sigv4Algorithm.length + 1, dateCharacters, "latin1");
      this.#date = date;
    }
    this.#inner.write(canonicalHash, this.#hashStart, "latin1");
    this.#outer.write(hash("sha256", this.#inner, "latin1"), blockBytes, "latin1");
    givenBytes.write(signature, "latin1");
    madeBytes.write(hash("sha256", this.#outer), "latin1");
    return timingSafeEqual(givenBytes, madeBytes);
  }
}

/** The text that is signed. All of it is ASCII. */
export function stringToSign(date: string, scope: string, canonicalHash: string): string {
  return `${sigv4Algorithm}\n${date}\n${scope}\n${canonicalHash}`;
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
  return new SigningKey(key, scope);
}
