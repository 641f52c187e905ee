/**
 * Assertions are always on. A failed one is a bug in Orca, never bad input: the process ends with the stack
 * that shows it, because a cache that goes on in a state it does not understand may send wrong bytes.
 */
export class AssertionFailure extends Error {
  override readonly name = "AssertionFailure";
}

/** Ends in an {@link AssertionFailure} unless `condition` holds. `message` says what must be true. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(`Assertion failed: ${message}`);
}
