/**
 * What the origin allows a client, for `authorize: origin`. The question is a HEAD or a LIST signed with the client's own
 * key, or unsigned for a client without one. Each verdict is kept for a while, so that a hit in memory stays a hit.
 *
 * Invariants:
 * 1. A verdict counts from the moment when its question was sent: a right that the origin takes away ends here after
 *    `ttlMs` at the latest.
 * 2. At most one question for the same identity and object or prefix is in flight, and all who ask wait for it.
 * 3. An error of the origin is no verdict. It is passed on, and nobody reads because of it.
 */
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Bucket } from "../../object/bucket.ts";
import type { Right, RightQuestion } from "../../origin/origin.ts";
import type { BucketedRequest } from "../s3-request.ts";
import { accessDenied, type Denial } from "./auth-error.ts";
import type { Identity } from "./identity.ts";

/** Of an origin that can be asked (GuardedOrigin). */
export interface OriginRights {
  rightOf(question: RightQuestion): Promise<Right>;
}

export interface OriginVerdictsOptions {
  readonly originOf: (bucket: Bucket) => OriginRights | undefined;
  /** `server.auth.authorize_ttl`. */
  readonly ttlMs: number;
  readonly clock: Clock;
}

interface Verdict {
  readonly right: Right;
  readonly endsMs: number;
}

/** A right that was granted, or an object that was written, is seen after this long. */
const denialTtlMsMax = 10_000;
const verdictsMax = 100_000;
const verdictsBytesMax = 32 * 1024 * 1024;
/** Of an entry besides its key. */
const entryBytes = 200;

export class OriginVerdicts {
  readonly stats = { hits: 0, questions: 0, joined: 0, failures: 0 };
  readonly #options: OriginVerdictsOptions;
  readonly #verdicts = new LruMap<string, Verdict>({ entriesMax: verdictsMax, weightMax: verdictsBytesMax });
  readonly #asking = new Map<string, Promise<Right>>();
  /** Raised by {@link clear}, so that a question from before does not leave its verdict behind. */
  #generation = 0;

  constructor(options: OriginVerdictsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#verdicts.size;
  }

  /** Forgets everything, because keys have changed. */
  clear(): void {
    this.#generation += 1;
    this.#verdicts.clear();
    this.#asking.clear();
  }

  denialOf(identity: Identity, request: BucketedRequest, bucket: Bucket): Denial | Promise<Denial> {
    const isObject = request.kind === "get-object" || request.kind === "head-object";
    // Before the origin is asked: it might take the key for that of another object.
    const fault = isObject ? bucket.faultOf(request.key) : undefined;
    if (fault) return fault;
    const prefix = "prefix" in request ? request.prefix : "";
    const delimiter = "prefix" in request ? request.delimiter : "";
    const action = isObject ? "get" : request.kind === "list-object-versions" ? "list-versions" : "list";
    const versionId = isObject ? request.versionId : undefined;
    // A version id holds no line feed.
    const text = isObject ? request.key : `${delimiter.length} ${delimiter}${prefix}`;
    const owner = identity.originKey?.accessKeyId ?? "";
    const what = versionId === undefined ? action : `version\n${versionId}`;
    const name = `${owner}\n${request.bucket}\n${what}\n${text}`;
    const known = this.#verdicts.get(name);
    if (known && known.endsMs > this.#options.clock.monotonic()) {
      this.stats.hits += 1;
      return denialFor(known.right, action, versionId);
    }
    const asked = this.#ask(name, bucket, {
      ...bucket.locate(isObject ? request.key : prefix, versionId),
      as: identity.originKey,
      action,
      delimiter,
    });
    return asked.then(
      (right) => denialFor(right, action, versionId),
      (thrown: unknown) => OrcaError.from(thrown, "internal", "edge", "Cannot ask the origin for a right"),
    );
  }

  #ask(name: string, bucket: Bucket, question: RightQuestion): Promise<Right> {
    const running = this.#asking.get(name);
    if (running) {
      this.stats.joined += 1;
      return running;
    }
    const origin = this.#options.originOf(bucket);
    if (origin === undefined) return Promise.resolve("denied");
    this.stats.questions += 1;
    const sentMs = this.#options.clock.monotonic();
    const generation = this.#generation;
    const asked = origin.rightOf(question).then(
      (right) => {
        this.#settle(name, asked, generation, { right, endsMs: sentMs + this.#ttlMsOf(right) });
        return right;
      },
      (thrown: unknown) => {
        this.stats.failures += 1;
        this.#settle(name, asked, generation, undefined);
        throw thrown;
      },
    );
    this.#asking.set(name, asked);
    return asked;
  }

  #settle(name: string, asked: Promise<Right>, generation: number, verdict: Verdict | undefined): void {
    if (this.#asking.get(name) === asked) this.#asking.delete(name);
    if (generation !== this.#generation || verdict === undefined) return;
    this.#verdicts.set(name, verdict, entryBytes + name.length * 2);
  }

  #ttlMsOf(right: Right): number {
    const { ttlMs } = this.#options;
    return right === "allowed" ? ttlMs : Math.min(ttlMs, denialTtlMsMax);
  }
}

function denialFor(right: Right, action: RightQuestion["action"], versionId: string | undefined): Denial {
  // The directory's answer names the delete marker.
  if (right === "allowed" || right === "deleted") return undefined;
  if (right === "denied") return accessDenied();
  const [code, what] =
    action !== "get" || right !== "absent"
      ? (["no_such_bucket", "bucket"] as const)
      : versionId === undefined
        ? (["no_such_key", "key"] as const)
        : (["no_such_version", "version"] as const);
  return new OrcaError(code, "client", `Cannot find the ${what}: the origin has none of this name`);
}
