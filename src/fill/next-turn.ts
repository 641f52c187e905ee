/** Lets the event loop go on with whatever waits: for long work that stands back for readers in between. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
