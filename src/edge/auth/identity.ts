/** The sender of a request, as far as its credentials tell, and what that identity may read. */
import type { OriginKey } from "../../origin/origin.ts";
import type { Grant } from "./grant.ts";

export interface Identity {
  /** For the log, and unique among identities of one kind: an access key, a subject. It is no secret. */
  readonly name: string;
  readonly grant: Grant;
  /** Whether the client sent no credentials. */
  readonly isAnonymous?: true;
  /** As the origin knows it, to ask there with the client's own rights. Undefined for an identity without such a key. */
  readonly originKey?: OriginKey | undefined;
}

/** An entry of the access keys file. */
export interface AccessKey {
  readonly id: string;
  readonly secret: string;
  /** What `x-amz-security-token` must be. Undefined for a key that has none. */
  readonly sessionToken: string | undefined;
  /** Infinity for a key that does not expire. */
  readonly expiresMs: number;
  readonly identity: Identity;
}
