/**
 * What the origin allows a client, for `authorize: origin`. The question is a HEAD or a LIST signed with the client's own
 * key, or unsigned for a client without one. Each verdict is kept for a while, so that a hit in memory stays a hit. Of several
 * threads that serve clients each keeps copies, and asks the engine, which keeps all verdicts and asks the origin.
 *
 * Invariants:
 * 1. A verdict counts from the moment when its question was sent: a right that the origin takes away ends here after
 *    `ttlMs` at the latest.
 * 2. At most one question for the same identity and object or prefix is in flight, and all who ask wait for it, in whatever
 *    thread.
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

/** A verdict of the engine, and for how long a copy may be used from when it was asked for. */
export interface LeasedRight {
  readonly right: Right;
  readonly freshMs: number;
}

/** Of an origin that can be asked (GuardedOrigin), or in another thread of the engine. */
export interface OriginRights {
  /** `name` is that of the verdict. */
  rightOf(question: RightQuestion, name: string): Promise<Right | LeasedRight>;
}

export interface OriginVerdictsOptions {
  readonly originOf: (originId: string) => OriginRights | undefined;
  /** `server.auth.authorize_ttl`. */
  readonly ttlMs: number;
  readonly clock: Clock;
  /** How many threads divide the room for copies. 1 by default. */
  readonly threads?: number;
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
  readonly #verdicts: LruMap<string, Verdict>;
  readonly #asking = new Map<string, Promise<Verdict>>();
  /** Raised by {@link clear}, so that a question from before does not leave its verdict behind. */
  #generation = 0;

  constructor(options: OriginVerdictsOptions) {
    this.#options = options;
    const { threads = 1 } = options;
    const [entriesMax, weightMax] = [verdictsMax / threads, verdictsBytesMax / threads];
    this.#verdicts = new LruMap({ entriesMax, weightMax });
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
    const known = this.#known(name);
    if (known) return denialFor(known.right, action, versionId);
    const asked = this.#ask(name, bucket.directory.originId, {
      ...bucket.locate(isObject ? request.key : prefix, versionId),
      as: identity.originKey,
      action,
      delimiter,
    });
    return asked.then(
      ({ right }) => denialFor(right, action, versionId),
      (thrown: unknown) => OrcaError.from(thrown, "internal", "edge", "Cannot ask the origin for a right"),
    );
  }

  /**
   * For another thread, whose name for the verdict is `threadName`. @throws OrcaError where the origin does not answer.
   * A thread that has not heard of a changed key yet asks with the old one, so the secret is a part of the name here.
   */
  async leased(threadName: string, originId: string, question: RightQuestion): Promise<LeasedRight> {
    const { secretAccessKey = "", sessionToken = "" } = question.as ?? {};
    const name = `${threadName}\n${secretAccessKey}\n${sessionToken}`;
    const { right, endsMs } = this.#known(name) ?? (await this.#ask(name, originId, question));
    return { right, freshMs: Math.max(0, endsMs - this.#options.clock.monotonic()) };
  }

  #known(name: string): Verdict | undefined {
    const known = this.#verdicts.get(name);
    if (known === undefined || known.endsMs <= this.#options.clock.monotonic()) return undefined;
    this.stats.hits += 1;
    return known;
  }

  #ask(name: string, originId: string, question: RightQuestion): Promise<Verdict> {
    const running = this.#asking.get(name);
    if (running) {
      this.stats.joined += 1;
      return running;
    }
    const origin = this.#options.originOf(originId);
    if (origin === undefined) return Promise.resolve({ right: "denied", endsMs: 0 });
    this.stats.questions += 1;
    const sentMs = this.#options.clock.monotonic();
    const generation = this.#generation;
    const asked = origin.rightOf(question, name).then(
      (answer) => {
        const { right, freshMs } = typeof answer === "string" ? this.#leaseOf(answer) : answer;
        const verdict = { right, endsMs: sentMs + freshMs };
        this.#settle(name, asked, generation, verdict);
        return verdict;
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

  #settle(name: string, asked: Promise<Verdict>, generation: number, verdict: Verdict | undefined): void {
    if (this.#asking.get(name) === asked) this.#asking.delete(name);
    if (generation !== this.#generation || verdict === undefined) return;
    this.#verdicts.set(name, verdict, entryBytes + name.length * 2);
  }

  #leaseOf(right: Right): LeasedRight {
    const { ttlMs } = this.#options;
    return { right, freshMs: right === "allowed" ? ttlMs : Math.min(ttlMs, denialTtlMsMax) };
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
