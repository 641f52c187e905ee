/**
 * Decides who may read what: the one gate that every request passes before anything is looked up for it, on a hit as on a miss.
 * With `authorize: keys` all is decided here and at once, without a promise. With `authorize: origin` a verdict of the
 * origin is needed too, which is cached or asked for (origin-verdicts.ts).
 */

import type { OrcaError } from "../../base/orca-error.ts";
import type { Bucket } from "../../object/bucket.ts";
import type { EdgeRequest } from "../lane/edge-request.ts";
import { type BucketedRequest, targetOf } from "../s3-request.ts";
import { type AuthError, accessDenied, type Denial } from "./auth-error.ts";
import type { Authenticator } from "./authenticator.ts";
import { Grant } from "./grant.ts";
import type { Identity } from "./identity.ts";
import type { OriginVerdicts } from "./origin-verdicts.ts";

export interface ClientAccessOptions {
  readonly authenticator: Authenticator;
  /** What everybody may read, with credentials or without. */
  readonly anonymous: readonly Grant[];
  /** Undefined for `authorize: keys`. */
  readonly verdicts?: OriginVerdicts | undefined;
}

const nothing = new Grant({ buckets: [], prefixes: [], actions: [] });
const everything = new Grant({ buckets: ["*"], prefixes: [], actions: ["get", "list"] });
/** Without credentials, the origin alone decides, or nothing is allowed but what everybody may read. */
const anonymousAtOrigin: Identity = { name: "anonymous", grant: everything, isAnonymous: true };
const anonymous: Identity = { name: "anonymous", grant: nothing, isAnonymous: true };

export class ClientAccess {
  /** Requests that were denied, by the code of the error. */
  readonly denials = new Map<OrcaError["code"], number>();
  readonly #authenticator: Authenticator;
  readonly #anonymous: readonly Grant[];
  readonly #verdicts: OriginVerdicts | undefined;

  constructor(options: ClientAccessOptions) {
    this.#authenticator = options.authenticator;
    this.#anonymous = options.anonymous;
    this.#verdicts = options.verdicts;
  }

  /** `authorize: origin`: whether the origin is asked with each client's own key. */
  get originDecides(): boolean {
    return this.#verdicts !== undefined;
  }

  /** Never throws. */
  identify(message: EdgeRequest): Identity | AuthError {
    const { url = "" } = message;
    const target = url.startsWith("/") ? url : (targetOf(url)?.target ?? "");
    const identity = this.#authenticator.authenticate(message, target);
    return identity ?? (this.#verdicts ? anonymousAtOrigin : anonymous);
  }

  /** `bucket` is undefined where none of that name is known: then the origin is not asked. Never throws, and never rejects. */
  authorize(
    identity: Identity,
    request: BucketedRequest,
    bucket: Bucket | undefined,
  ): Denial | Promise<Denial> {
    if (this.#anonymous.some((grant) => allows(grant, request))) return undefined;
    if (!allows(identity.grant, request)) return accessDenied();
    if (this.#verdicts === undefined || bucket === undefined) return undefined;
    // It goes to the origin with the client's own key, so the origin decides at once.
    if (request.kind === "get-sub-resource") return undefined;
    return this.#verdicts.denialOf(identity, request, bucket);
  }

  /**
   * Whether the sender of a request may learn that an object does not exist. As in S3, that is part of the right to list:
   * without it an absent object is denied like one that is there. An origin that decides has decided that, too.
   */
  mayLearnAbsence(identity: Identity, bucket: string, key: string): boolean {
    if (this.#verdicts !== undefined || identity.grant.allows("list", bucket, key)) return true;
    return this.#anonymous.some((grant) => grant.allows("list", bucket, key));
  }

  /** The names of those of the configured buckets that `identity` may know. Denied for a client without credentials, as S3 does. */
  async bucketsFor(identity: Identity, buckets: ReadonlyMap<string, Bucket>): Promise<string[] | OrcaError> {
    if (identity.isAnonymous) return accessDenied();
    const known = await Promise.all(
      [...buckets].map(async ([name, bucket]) => {
        const denial = await this.authorize(identity, { kind: "head-bucket", bucket: name }, bucket);
        return denial === undefined ? [name] : [];
      }),
    );
    return known.flat();
  }

  /** Whether a list of buckets may tell `identity` this name, as far as Orca decides that. */
  mayKnow(identity: Identity, bucket: string): boolean {
    return identity.grant.allowsBucket(bucket) || this.#anonymous.some((grant) => grant.allowsBucket(bucket));
  }

  countDenial({ code }: OrcaError): void {
    this.denials.set(code, (this.denials.get(code) ?? 0) + 1);
  }
}

function allows(grant: Grant, request: BucketedRequest): boolean {
  switch (request.kind) {
    case "get-object":
    case "head-object":
      return grant.allows("get", request.bucket, request.key);
    case "list-objects-v1":
    case "list-objects-v2":
    case "list-object-versions":
      return grant.allows("list", request.bucket, request.prefix);
    case "head-bucket":
    case "get-bucket-location":
      return grant.allowsBucket(request.bucket);
    case "get-sub-resource":
      if (request.key === "") return grant.allowsBucket(request.bucket);
      return grant.allows("get", request.bucket, request.key);
  }
}
