/**
 * Where the bytes of a stretch go, whoever brings them: an origin, a peer, the cachestore. The one who brings asks for
 * space, lets the kernel write into it, and says how much came; so bytes lie where they will be served from, and nothing
 * is copied in between.
 */
export interface ByteSink {
  /** Room for the next bytes: never empty while bytes are still owed, never more than is still owed. */
  space(): Buffer;
  /** The first `lengthBytes` of the last {@link space} hold the next bytes. */
  advance(lengthBytes: number): void;
}
