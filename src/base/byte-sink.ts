/**
 * The destination of a range of bytes from an origin, a peer or the cachestore. The sender asks for space, lets the kernel
 * write into it, and reports how many bytes arrived. So the bytes lie where they are served from, without a copy.
 */
export interface ByteSink {
  /** Space for the next bytes. It is not empty while bytes are missing, and not longer than the missing bytes. */
  space(): Buffer;
  /** Reports that the first `lengthBytes` of the last {@link space} hold the next bytes. */
  advance(lengthBytes: number): void;
}

/**
 * A sink that tells beforehand where each missing byte goes, for a sender in another thread, which cannot ask for the
 * next space when it needs it. It may write there until its read has settled, and the sink learns of the bytes by
 * {@link ByteSink.advance} as from any sender.
 */
export interface PlacedSink extends ByteSink {
  /** The space for the byte that comes `aheadBytes` after the next one, and for those after it. That byte is missing. */
  spaceAhead(aheadBytes: number): Buffer;
}
