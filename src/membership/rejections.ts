/**
 * Replicas that cannot be in this cluster, as this replica met them: it rejected them, or they rejected it. Both sides
 * log it, once a minute for each peer, because a person looks at one of them only; and both show it in /readyz while it
 * lasts. A replica that is rejected is alone and ready, so nothing else would show it.
 *
 * Invariant: entries and lines have a bound, although a peer chooses its own id.
 */
import type { Clock } from "../base/clock.ts";
import { LogPace } from "../base/log-pace.ts";
import type { Logger } from "../base/logger.ts";
import { LruMap } from "../base/lru-map.ts";
import { pages } from "../base/pages.ts";
import type { Member } from "./member.ts";

/** Peers that are remembered. */
const peersMax = 64;

/** Addresses of replicas with this one's id that are remembered. */
const twinsMax = 16;

/** Lines in a minute about all peers together. */
const linesMax = 30;

/** Peers that a notice names; the others are counted. */
const peersShownMax = 3;

/** A peer that was not met for this long has gone, or agrees now. Replicas contact each other much more often. */
const lastsMs = 120_000;

export interface Rejection {
  /** Empty where only the address is known. */
  readonly peerId: string;
  readonly address: string;
  /** The side that rejects the other. */
  readonly by: "peer" | "self";
  /** What differs: the path of a setting, `certificate` or `clock`. */
  readonly cause: string;
}

export class Rejections {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pace: LogPace;
  readonly #paceOfAll: LogPace;
  readonly #recent = new LruMap<string, { readonly text: string; readonly atMs: number }>({
    entriesMax: peersMax,
  });
  /** When statements about this replica named another address, by that address. */
  readonly #twins = new LruMap<string, number>({ entriesMax: twinsMax });
  #twin: { readonly text: string; readonly atMs: number } | undefined;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
    this.#pace = new LogPace(clock);
    this.#paceOfAll = new LogPace(clock, linesMax);
  }

  /** `message` is the line of the log. */
  note({ peerId, address, by, cause }: Rejection, message: string): void {
    const name = peerId === "" ? address : peerId;
    const text = `${by === "peer" ? "refused by" : "refuses"} ${name}: ${cause}`;
    this.#recent.set(name, { text, atMs: this.#clock.monotonic() });
    const suppressed = this.#pace.take(name);
    if (!suppressed || !this.#paceOfAll.isDue("all")) return;
    const fields = { replicaId: peerId, address, cause, see: pages.doesNotJoin, ...suppressed };
    this.#logger.error(fields, message);
  }

  /** The peer is in the cluster: its message was accepted, or it accepted one. */
  accepted(peerId: string, address: string): void {
    if (this.#recent.size === 0) return;
    this.#recent.delete(peerId);
    this.#recent.delete(address);
  }

  /**
   * A statement about this replica names another address. An address of an earlier run of it does so, but once: then this
   * run contradicts it with a higher incarnation. Two replicas with one id contradict each other for ever.
   */
  twin(self: Member, address: string): void {
    const { replicaId } = self;
    const atMs = this.#clock.monotonic();
    const beforeMs = this.#twins.peek(address) ?? -Infinity;
    this.#twins.set(address, atMs);
    if (atMs - beforeMs > lastsMs) return;
    this.#twin = { text: `another replica at ${address} has the id "${replicaId}" of this one`, atMs };
    // No replica has an id with a space.
    const suppressed = this.#pace.take("a twin");
    if (!suppressed) return;
    this.#logger.error(
      { replicaId, address, see: pages.doesNotJoin, ...suppressed },
      `Two replicas have the id "${replicaId}": this one at ${self.address}, and another at ${address}. ` +
        "Give each its own cluster.replica_id. Where that is not set, the id is in disk.root: do not copy it from " +
        "another replica. Then restart both.",
    );
  }

  /** For /readyz: what lasts, or null. */
  notice(): string | null {
    const sinceMs = this.#clock.monotonic() - lastsMs;
    const texts: string[] = this.#twin && this.#twin.atMs > sinceMs ? [this.#twin.text] : [];
    for (const { text, atMs } of this.#recent.values()) if (atMs > sinceMs) texts.push(text);
    if (texts.length === 0) return null;
    const more = texts.length - peersShownMax;
    return [...texts.slice(0, peersShownMax), ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
  }
}
