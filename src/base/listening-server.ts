/**
 * Handles the `error` events of a server that listens. Without a listener for them, the first one would end the
 * process.
 *
 * An accept that fails is trouble of the process or the machine (no descriptors, no memory), and passes. The server counts
 * it and closes new connections unanswered for {@link acceptPauseMs}, so that those it has can end. Any other error means
 * that the server accepts no more connections, and the owner's callback receives it.
 *
 * libuv mostly hides accepts that fail: when the descriptors run out, it accepts with one that it keeps in reserve, and
 * closes the connection. Then nothing is counted here, and `process_open_fds` shows the reason.
 */
import type { AddressInfo, ListenOptions, Server } from "node:net";
import type { Clock, Timer } from "./clock.ts";
import { LogPace } from "./log-pace.ts";
import type { Logger } from "./logger.ts";
import { OrcaError } from "./orca-error.ts";

/** How long new connections are closed after an accept that failed. */
export const acceptPauseMs = 250;

export interface ListeningServerOptions {
  /** The name of the peers in messages: `S3 clients`. */
  readonly whom: string;
  /** The setting with the address, for messages: `server.listen`. */
  readonly setting: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called once, with the error after which nobody can connect any more. */
  readonly onDied: (error: OrcaError) => void;
}

export class ListeningServer {
  /** Accepts that failed. */
  acceptErrors = 0;
  readonly #server: Server;
  readonly #options: ListeningServerOptions;
  readonly #pace: LogPace;
  readonly #connectionsMax: number;
  #pause: Timer | undefined;
  #isDead = false;

  /** `server.maxConnections` must have been set. */
  constructor(server: Server, options: ListeningServerOptions) {
    this.#server = server;
    this.#options = options;
    this.#pace = new LogPace(options.clock);
    this.#connectionsMax = server.maxConnections;
  }

  /** Resolves with the address. @throws OrcaError config_invalid if it cannot listen there. */
  listen(options: ListenOptions): Promise<AddressInfo> {
    const server = this.#server;
    const { promise, resolve, reject } = Promise.withResolvers<AddressInfo>();
    const refuse = (error: NodeJS.ErrnoException): void => {
      const { whom, setting } = this.#options;
      const message = `Cannot listen for ${whom} on "${options.host}:${options.port}": ${error.message}. ${remedyOf(error.code, setting)}`;
      reject(new OrcaError("config_invalid", "config", message, { cause: error }));
    };
    server.once("error", refuse);
    server.listen(options, () => {
      server.off("error", refuse);
      server.on("error", (error: NodeJS.ErrnoException) => this.#take(error));
      server.once("close", () => this.#pause?.cancel());
      resolve(server.address() as AddressInfo);
    });
    return promise;
  }

  #take(error: NodeJS.ErrnoException): void {
    if (error.syscall === "accept") this.#pauseAccepts(error);
    else this.#die(error);
  }

  #pauseAccepts(error: NodeJS.ErrnoException): void {
    const { whom, clock, logger } = this.#options;
    this.acceptErrors += 1;
    this.#server.maxConnections = 0;
    this.#pause ??= clock.timer(acceptPauseMs, () => {
      this.#server.maxConnections = this.#connectionsMax;
    });
    this.#pause.refresh();
    // The kernel's error codes are few.
    if (!this.#pace.isDue(String(error.code))) return;
    const isOutOfFiles = error.code === "EMFILE" || error.code === "ENFILE";
    const advice = isOutOfFiles ? ". Raise the limit of open files, or lower server.max_connections" : "";
    const message = `Cannot accept a connection of ${whom}: ${error.message}${advice}`;
    logger.error({ error, acceptPauseMs, acceptErrors: this.acceptErrors }, message);
  }

  #die(error: Error): void {
    if (this.#isDead) return;
    this.#isDead = true;
    const { whom, logger, onDied } = this.#options;
    const message = `The listener for ${whom} died: ${error.message}`;
    logger.error({ error }, message);
    onDied(new OrcaError("internal", "replica", message, { cause: error }));
  }
}

function remedyOf(code: string | undefined, setting: string): string {
  switch (code) {
    case "EADDRINUSE":
      return `Stop the process that has the port, or set ${setting} to another one`;
    case "EADDRNOTAVAIL":
      return `Set ${setting} to an address of this machine, or to 0.0.0.0 for all`;
    case "EACCES":
      return `Set ${setting} to a port from 1024 on, or let Orca's user open lower ones`;
    default:
      return `Check ${setting}`;
  }
}
