/**
 * One attack on a replica: what it attacks, its luck, and the sockets that it has open. An attack runs in a thread of its
 * own (attack-thread.ts), so that it takes no time from the clients whose latency is measured.
 */
import { connect, type Socket, type TcpNetConnectOpts } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type ConnectionOptions, connect as connectTls, TLSSocket } from "node:tls";
import type { Chance } from "../support/chance.ts";

/** What an attacker knows. It crosses a thread boundary, so it is plain data. */
export interface AttackTarget {
  /** Of the clients' listener without TLS, and of that with TLS. */
  readonly edgePort: number;
  readonly edgeTlsPort: number;
  readonly opsPort: number;
  readonly meshPort: number;
  /** Of the other replica: for forged messages. */
  readonly otherMeshPort: number;
  /** A certificate of the mesh that the attacker holds. It names the replica `thief`. PEM, as the next two. */
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  readonly fingerprint: string;
  readonly clusterName: string;
  /** An object that is cached, and one that is larger than all buffers. */
  readonly hotKey: string;
  readonly largeKey: string;
  readonly largeSizeBytes: number;
  readonly largeEtag: string;
}

export interface AttackOptions {
  readonly target: AttackTarget;
  readonly chance: Chance;
  /** Where the attacker's connections come from: the mesh counts them by address. */
  readonly localAddress: string;
}

export type Attack = (run: AttackRun) => Promise<void>;

/** A server that ends a connection does so within this time, or the attacker looks at its next idea. */
const patienceMs = 1000;

export class AttackRun {
  readonly target: AttackTarget;
  readonly chance: Chance;
  /** Connections, and bytes that the attacker wrote. */
  connections = 0;
  sentBytes = 0;
  readonly #options: AttackOptions;
  readonly #open = new Set<Socket>();
  readonly #over = Promise.withResolvers<void>();
  isOver = false;

  constructor(options: AttackOptions) {
    this.target = options.target;
    this.chance = options.chance;
    this.#options = options;
  }

  /** The attack may do no more. */
  stop(): void {
    this.isOver = true;
    this.#over.resolve();
  }

  /** Resolves at the end of the attack. */
  rest(): Promise<void> {
    return this.#over.promise;
  }

  pause(milliseconds: number): Promise<void> {
    return sleep(milliseconds);
  }

  /**
   * Does the same again and again with `count` hands, until the attack is over. Each hand has luck of its own, so that a
   * seed repeats what it sends, however the hands take turns.
   */
  async repeat(count: number, act: (chance: Chance) => Promise<void>): Promise<void> {
    const hand = async (chance: Chance): Promise<void> => {
      while (!this.isOver) {
        await act(chance);
        // Without this, attempts that fail at once would spin.
        await sleep(1);
      }
    };
    await Promise.all(Array.from({ length: count }, () => hand(this.chance.fork())));
  }

  /** A TCP connection that never minds an error. */
  dial(port: number, options: Partial<TcpNetConnectOpts> = {}): Socket {
    const { localAddress } = this.#options;
    return this.#keep(connect({ port, host: "127.0.0.1", localAddress, ...options } as TcpNetConnectOpts));
  }

  /** A connection that makes a TLS handshake, with any options. */
  dialTls(port: number, options: ConnectionOptions = {}): TLSSocket {
    const { localAddress } = this.#options;
    const dialed = { port, host: "127.0.0.1", localAddress, rejectUnauthorized: false, ...options };
    return this.#keep(connectTls(dialed as ConnectionOptions));
  }

  /** A connection to the mesh with the stolen certificate. */
  async dialMesh(): Promise<TLSSocket> {
    const { meshPort, cert, key, ca } = this.target;
    const socket = this.dialTls(meshPort, { cert, key, ca, ALPNProtocols: ["h2"], minVersion: "TLSv1.3" });
    await this.happens(socket, "secureConnect");
    return socket;
  }

  send(socket: Socket, bytes: Buffer | string): boolean {
    if (socket.destroyed || !socket.writable) return false;
    this.sentBytes += bytes.length;
    return socket.write(bytes);
  }

  /** Writes no faster than the server reads. False where the connection has closed, or nothing moves. */
  async push(socket: Socket, bytes: Buffer | string): Promise<boolean> {
    if (this.send(socket, bytes)) return true;
    if (socket.destroyed || !socket.writable) return false;
    return this.happens(socket, "drain");
  }

  /** Whether an event comes in time, before the connection closes. */
  happens(socket: Socket, event: string, withinMs = patienceMs): Promise<boolean> {
    if (socket.destroyed) return Promise.resolve(event === "close");
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const happened = (): void => settle(true);
    const closed = (): void => settle(event === "close");
    const timer = setTimeout(() => settle(false), withinMs);
    const settle = (result: boolean): void => {
      clearTimeout(timer);
      socket.off(event, happened).off("close", closed);
      resolve(result);
    };
    socket.once(event, happened).once("close", closed);
    return promise;
  }

  /** Ends every connection that is open still, some of them with a reset. */
  end(): void {
    for (const socket of this.#open) {
      // Only the socket below TLS can be reset.
      if (!(socket instanceof TLSSocket) && this.chance.happens(0.5)) socket.resetAndDestroy();
      else socket.destroy();
    }
  }

  #keep<Kept extends Socket>(socket: Kept): Kept {
    this.connections += 1;
    this.#open.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => this.#open.delete(socket));
    return socket;
  }
}

/** `lengthBytes` bytes of luck. */
export function randomBytesOf(chance: Chance, lengthBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(lengthBytes);
  for (let index = 0; index < lengthBytes; index += 1) bytes[index] = chance.below(256);
  return bytes;
}

/** Changes, inserts, repeats and deletes a few bytes. */
export function mutated(chance: Chance, original: Buffer): Buffer {
  let bytes = original;
  for (let change = 1 + chance.below(6); change > 0; change -= 1) {
    const at = chance.below(bytes.length + 1);
    const length = 1 + chance.below(chance.happens(0.1) ? 200 : 4);
    const before = bytes.subarray(0, at);
    const after = bytes.subarray(at);
    switch (chance.below(4)) {
      case 0:
        bytes = Buffer.concat([before, randomBytesOf(chance, length), after.subarray(length)]);
        break;
      case 1:
        bytes = Buffer.concat([before, randomBytesOf(chance, length), after]);
        break;
      case 2:
        bytes = Buffer.concat([before, after.subarray(0, length), after]);
        break;
      default:
        bytes = Buffer.concat([before, after.subarray(length)]);
    }
  }
  return bytes;
}
