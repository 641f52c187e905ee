/**
 * Sessions of Node's inspector with the threads of this process: the main thread, from which it is called, and all workers.
 * The inspector interrupts what a thread runs, so a thread in an endless loop answers, and no thread holds code for this. One
 * inside a call of the system that does not return is silent.
 *
 * Invariants:
 * 1. After {@link ThreadSessions.close} no thread records anything for these sessions; one that is silent ends its session
 *    when it comes back.
 * 2. Names are letters, digits, `-` and `_`, and no two threads have the same.
 */
import type { NodeWorker } from "node:inspector";
import type { Session } from "node:inspector/promises";

/** Throws what the inspector throws. Never settles where the thread is silent. */
export type Post = (method: string, params?: object) => Promise<unknown>;

export interface ThreadSession {
  readonly thread: string;
  readonly post: Post;
}

interface Reply {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

const ended = "the thread ended";

interface Waiting extends PromiseWithResolvers<unknown> {
  readonly sessionId: string;
}

export class ThreadSessions {
  readonly #main: Session;
  readonly #workers = new Map<string, NodeWorker.WorkerInfo>();
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  private constructor(main: Session) {
    this.#main = main;
    main.on("NodeWorker.attachedToWorker", ({ params }) =>
      this.#workers.set(params.sessionId, params.workerInfo),
    );
    main.on("NodeWorker.detachedFromWorker", ({ params }) => this.#detached(params.sessionId));
    main.on("NodeWorker.receivedMessageFromWorker", ({ params }) => this.#received(params.message));
  }

  /** @throws Error of a Node that was built without the inspector. */
  static async open(): Promise<ThreadSessions> {
    const inspector = await import("node:inspector/promises");
    const main = new inspector.Session();
    main.connect();
    try {
      const sessions = new ThreadSessions(main);
      await main.post("NodeWorker.enable", { waitForDebuggerOnStart: false });
      return sessions;
    } catch (thrown) {
      main.disconnect();
      throw thrown;
    }
  }

  /** With the threads that there are now: the main thread, and the others in the order in which they were started. */
  all(): ThreadSession[] {
    const names = new Set(["main"]);
    const main: ThreadSession = {
      thread: "main",
      post: (method, params) => this.#main.post(method, params),
    };
    const workers = [...this.#workers]
      .map(([sessionId, { title }]) => ({ sessionId, ...titled(title) }))
      .sort((left, right) => left.number - right.number);
    return [
      main,
      ...workers.map(({ sessionId, name }) => ({
        thread: ownName(name, names),
        post: (method: string, params?: object) => this.#post(sessionId, method, params),
      })),
    ];
  }

  close(): void {
    this.#main.disconnect();
  }

  #post(sessionId: string, method: string, params?: object): Promise<unknown> {
    // The inspector takes a message to a thread that has ended, and answers nothing.
    if (!this.#workers.has(sessionId)) return Promise.reject(new Error(ended));
    const id = ++this.#lastId;
    const waiting = { sessionId, ...Promise.withResolvers<unknown>() };
    this.#waiting.set(id, waiting);
    const message = JSON.stringify({ id, method, params });
    this.#main.post("NodeWorker.sendMessageToWorker", { sessionId, message }).catch(waiting.reject);
    return waiting.promise;
  }

  #received(message: string): void {
    const { id = 0, result, error } = JSON.parse(message) as Reply;
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(new Error(error.message));
    else waiting?.resolve(result);
  }

  #detached(sessionId: string): void {
    this.#workers.delete(sessionId);
    for (const [id, waiting] of this.#waiting) {
      if (waiting.sessionId !== sessionId) continue;
      this.#waiting.delete(id);
      waiting.reject(new Error(ended));
    }
  }
}

/** The inspector's title is `[worker 3] orca-edge-1`: the number of the thread in the order of their starts, and its name. */
function titled(title: string): { readonly number: number; readonly name: string } {
  const [, number = "", name = ""] = /^\[worker (\d+)\] ?(.*)$/.exec(title) ?? ["", "", title];
  return { number: Number(number), name: name.replaceAll(/[^\w-]+/g, "-") || "unnamed" };
}

/** Several threads may have one name. */
function ownName(name: string, taken: Set<string>): string {
  let own = name;
  for (let number = 2; taken.has(own); number += 1) own = `${name}-${number}`;
  taken.add(own);
  return own;
}
