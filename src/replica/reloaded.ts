/**
 * A value that is read from files, again and again while the process runs, as certificates are (base/tls-files.ts): a person or
 * a tool replaces a file and need not know Orca. A file that cannot be used is logged and counted, and the last good value
 * stays in use.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { pages } from "../base/pages.ts";

export interface Read<Value> {
  readonly value: Value;
  /** Equal for equal files. A hash where they hold secrets. */
  readonly fingerprint: string;
}

export interface ReloadedOptions<Value> {
  /** For the log: `access keys`. */
  readonly what: string;
  readonly path: string;
  /** Throws an OrcaError, without a secret in its message, for files that cannot be used. */
  readonly read: () => Promise<Read<Value>>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Time between two reads of the files. */
const pollIntervalMs = 5000;

export class Reloaded<Value> {
  readonly stats = { reloads: 0, reloadFailures: 0 };
  readonly #options: ReloadedOptions<Value>;
  #current: Read<Value>;
  #timer: Timer | undefined;
  #stopped = false;
  /** The last failure that was logged, so that a lasting fault is one line and not one for each poll. */
  #loggedFailure = "";

  private constructor(options: ReloadedOptions<Value>, current: Read<Value>) {
    this.#options = options;
    this.#current = current;
  }

  /** @throws what `read` throws. */
  static async load<Value>(options: ReloadedOptions<Value>): Promise<Reloaded<Value>> {
    return new Reloaded(options, await options.read());
  }

  get value(): Value {
    return this.#current.value;
  }

  /** Whether the files cannot be used as they are now, so that an older value is in use. */
  get isFailing(): boolean {
    return this.#loggedFailure !== "";
  }

  /** Calls `onChange` after each change of the files, until {@link stop}. To be called once. */
  watch(onChange: (value: Value) => void): void {
    const timer = this.#options.clock.timer(pollIntervalMs, () => {
      // The next delay starts when this poll has ended, so that polls of a slow disk do not overtake each other.
      void this.#poll(onChange).finally(() => {
        if (!this.#stopped) timer.refresh();
      });
    });
    this.#timer = timer;
  }

  /** After this `onChange` is not called. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #poll(onChange: (value: Value) => void): Promise<void> {
    const { what, path, logger, read } = this.#options;
    try {
      const found = await read();
      this.#loggedFailure = "";
      if (this.#stopped || found.fingerprint === this.#current.fingerprint) return;
      this.#current = found;
      onChange(found.value);
      this.stats.reloads += 1;
      logger.info({ path }, `Loaded changed ${what}`);
    } catch (error) {
      this.stats.reloadFailures += 1;
      if (String(error) === this.#loggedFailure) return;
      this.#loggedFailure = String(error);
      logger.warn(
        { error, path, see: pages.access },
        `Cannot use changed ${what}; those from before stay in use`,
      );
    }
  }
}
