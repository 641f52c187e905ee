/**
 * The peers that this replica has sessions to, by address. Addresses come from gossip, so their number has a limit: that
 * of the members. With a lower one, each probe of a larger cluster would close one session and open another, and a TLS
 * handshake costs 7 ms. A peer costs four descriptors, two for its sessions here and two for this replica's sessions
 * there, and up to six where both have a port for chunk bytes. Sessions close after five idle minutes.
 */
import type { Socket } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { Random } from "../../base/random.ts";
import { defaultSwimSettings } from "../../membership/swim-settings.ts";
import { HandshakeFailures, type Handshakes } from "./handshake-failures.ts";
import { Peer } from "./peer.ts";
import type { ClientTls, PeerStats, PeerTimings } from "./peer-session.ts";

export interface PeersOptions extends Partial<PeerTimings> {
  /** Undefined for HTTP/2 without TLS. */
  readonly tls: ClientTls | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** As many as a view has members, by default. */
  readonly peersMax?: number;
  readonly callTimeoutMs?: number;
  /** Takes the place of {@link Peers.handshakeFailures}, where another thread has them. */
  readonly handshakes?: Handshakes;
  /** Opens connections. TCP by default. */
  readonly dial?: (host: string, port: number) => Socket;
}

const defaultTimings: PeerTimings = {
  connectTimeoutMs: 1000,
  handshakeTimeoutMs: 2000,
  pingIntervalMs: 5000,
  idleTimeoutMs: 300_000,
  backoffInitialMs: 100,
  backoffMaxMs: 2000,
};

export class Peers {
  readonly stats: PeerStats = {
    sessions: 0,
    sessionsOpen: 0,
    sessionsDead: 0,
    connectFailures: 0,
    requestsWhileDown: 0,
    streams: 0,
  };
  /** Connections that were not established. */
  readonly handshakeFailures: HandshakeFailures;
  readonly #options: PeersOptions;
  readonly #timings: PeerTimings;
  /** Never above its limit: before a surplus peer is added, one without streams is dropped. */
  readonly #peers: LruMap<string, Peer>;
  #closed = false;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#timings = { ...defaultTimings, ...options };
    this.#peers = new LruMap({ entriesMax: options.peersMax ?? defaultSwimSettings.membersMax });
    this.handshakeFailures = new HandshakeFailures(options.clock, options.logger);
  }

  get size(): number {
    return this.#peers.size;
  }

  /**
   * The peer at `host:port`. Its sessions are opened when they are first used.
   * @throws ConnectError resource_exhausted if there are `peersMax` others, all with open streams; unavailable after
   * {@link close}; invalid_argument for an invalid address.
   */
  at(address: string): Peer {
    const known = this.#peers.get(address);
    if (known) return known;
    const peer = this.#newPeer(address);
    this.#peers.set(address, peer);
    return peer;
  }

  /**
   * Ends the backoff of a peer that gossip reports alive. Without it: (1) replica A starts, and connects to B, which
   * does not listen yet; (2) B starts, and announces itself; (3) until its backoff is over, A takes B for unreachable.
   */
  retryNow(address: string): void {
    this.#peers.peek(address)?.retryNow();
  }

  /** Closes the sessions to a member that left or died, and lets running streams finish. */
  drop(address: string): void {
    this.#peers.peek(address)?.close();
    this.#peers.delete(address);
  }

  /** Adds what another thread counted of its sessions. */
  add(counts: PeerStats): void {
    for (const name of Object.keys(counts) as (keyof PeerStats)[]) this.stats[name] += counts[name];
  }

  /** Cuts every session. */
  close(): void {
    this.#closed = true;
    for (const peer of this.#peers.values()) peer.destroy();
    this.#peers.clear();
  }

  #newPeer(address: string): Peer {
    const { tls, clock, random, dial, callTimeoutMs = 10_000, handshakes } = this.#options;
    if (this.#closed) throw new ConnectError(`Cannot reach ${address}: shutting down`, Code.Unavailable);
    if (!/^(?:[\w.-]+|\[[\da-f:.]+\]):\d{1,5}$/i.test(address) || !URL.canParse(`http://${address}`)) {
      throw new ConnectError(`Cannot reach "${address}": it is not HOST:PORT`, Code.InvalidArgument);
    }
    if (this.#peers.size >= this.#peers.entriesMax) this.#makeRoom(address);
    return new Peer({
      address,
      tls,
      clock,
      random,
      dial,
      callTimeoutMs,
      timings: this.#timings,
      stats: this.stats,
      handshakes: handshakes ?? this.handshakeFailures,
    });
  }

  #makeRoom(address: string): void {
    for (const peer of this.#peers.values()) {
      if (peer.streams > 0) continue;
      this.drop(peer.address);
      return;
    }
    throw new ConnectError(
      `Cannot reach ${address}: there are ${this.#peers.entriesMax} other peers, and all have open streams`,
      Code.ResourceExhausted,
    );
  }
}
