/**
 * Assertions are always on. A failed assertion is a bug in Orca and never bad input. It ends the process with a stack,
 * because a cache that continues in an unknown state may send wrong bytes.
 */
export class AssertionFailure extends Error {
  override readonly name = "AssertionFailure";
}

/** @throws AssertionFailure unless `condition` holds. `message` says what must be true. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(`Assertion failed: ${message}`);
}
