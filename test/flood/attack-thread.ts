/**
 * The thread of the attacker. It reports when an attack is over, and keeps its connections until it is asked to leave: so
 * a test sees which of them the replica has ended itself.
 */
import { once } from "node:events";
import { parentPort, Worker } from "node:worker_threads";
import { Chance } from "../support/chance.ts";
import { type Attack, AttackRun, type AttackTarget } from "./attack.ts";
import { edgeAttacks } from "./edge-attacks.ts";
import { frameAttacks } from "./frame-attacks.ts";
import { messageAttacks } from "./message-attacks.ts";
import { opsAttacks } from "./ops-attacks.ts";
import { tlsAttacks } from "./tls-attacks.ts";

const attacks: Readonly<Record<string, Attack>> = {
  ...edgeAttacks,
  ...tlsAttacks,
  ...frameAttacks,
  ...messageAttacks,
  ...opsAttacks,
};

export interface AttackOrder {
  readonly attack: string;
  readonly seed: number;
  readonly localAddress: string;
  readonly target: AttackTarget;
}

type Request = "stop" | "leave";

export interface AttackReport {
  readonly connections: number;
  readonly sentBytes: number;
}

/** The attacker as the test sees it. One thread makes all attacks, because it takes a second to load. */
export class AttackThread {
  readonly #worker = new Worker(new URL(import.meta.url));
  /** Rejects with the error that ended the thread. */
  readonly #failed = once(this.#worker, "exit").then(() =>
    Promise.reject(new Error("the attacker's thread has ended")),
  );

  constructor() {
    // The next call rejects with it.
    this.#failed.catch(() => undefined);
    this.#worker.setMaxListeners(0);
  }

  begin(order: AttackOrder): void {
    this.#worker.postMessage(order);
  }

  /** Ends the attack. Its connections stay open. */
  async stop(): Promise<AttackReport> {
    return (await this.#ask("stop")) as AttackReport;
  }

  /** Closes the connections of the attack. */
  async leave(): Promise<void> {
    await this.#ask("leave");
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  async #ask(what: Request): Promise<unknown> {
    const answered = once(this.#worker, "message") as Promise<[unknown]>;
    this.#worker.postMessage(what);
    const [answer] = await Promise.race([answered, this.#failed]);
    return answer;
  }
}

if (parentPort) {
  const port = parentPort;
  let run: AttackRun | undefined;
  let attack = Promise.resolve();
  const stop = async (): Promise<void> => {
    run?.stop();
    await attack;
    const report: AttackReport = { connections: run?.connections ?? 0, sentBytes: run?.sentBytes ?? 0 };
    port.postMessage(report);
  };
  port.on("message", (what: AttackOrder | Request) => {
    if (what === "stop") {
      void stop();
    } else if (what === "leave") {
      run?.end();
      port.postMessage("left");
    } else {
      run = new AttackRun({ ...what, chance: new Chance(what.seed) });
      attack =
        attacks[what.attack]?.(run) ?? Promise.reject(new Error(`there is no attack "${what.attack}"`));
    }
  });
}
