/**
 * Runs tasks side by side, a few at once. A caller that starts one more waits until there is room, so a source that is read
 * in a loop is read only as fast as the tasks end. The first error ends the loop: the next call rejects with it.
 */
export class TaskPool {
  readonly #runningMax: () => number;
  readonly #running = new Set<Promise<void>>();
  /** Resolves when the next task ends. A race of all tasks would leave a reaction on each that lasts long. */
  #nextEnd = Promise.withResolvers<void>();
  #fault: { readonly error: unknown } | undefined;

  constructor(runningMax: () => number) {
    this.#runningMax = runningMax;
  }

  /** Resolves when the task has begun. @throws the error of any task before. */
  async start(task: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#runningMax()) await this.#nextEnd.promise;
    this.#throwFault();
    const run = task()
      .catch((error: unknown) => {
        this.#fault ??= { error };
      })
      .finally(() => {
        this.#running.delete(run);
        this.#nextEnd.resolve();
        this.#nextEnd = Promise.withResolvers();
      });
    this.#running.add(run);
  }

  /** Resolves when no task runs. @throws the error of any task. */
  async ended(): Promise<void> {
    await this.idle();
    this.#throwFault();
  }

  /** Resolves when no task runs, however they have ended. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #throwFault(): void {
    if (this.#fault) throw this.#fault.error;
  }
}
