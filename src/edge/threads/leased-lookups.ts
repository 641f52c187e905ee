/**
 * Metadata in a thread of the edge: copies of the directory's answers, each used until its lease ends or the engine revokes
 * it (freshness/revocations.ts). Everything else is a question to the engine, whose directory joins and bounds them.
 *
 * Invariants:
 * 1. A copy ends no later than the engine's entry: the lease is counted from when the question was sent.
 * 2. An answer that the engine does not keep serves only the callers that asked.
 * 3. An answer that has not changed stays one object here, with all that was derived from it.
 * 4. Copies are bounded in number and in bytes.
 * 5. The engine learns of uses, so that it does not evict what is used here alone.
 */
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import { ObjectVersion } from "../../chunk/object-version.ts";
import { DirectoryTrace } from "../../object/directory-trace.ts";
import type { Revocations } from "../../object/freshness/revocations.ts";
import type { ObjectLookups, ReadHeaders } from "../../object/object-lookups.ts";
import { entryBytes, etagOf, type LookupResult } from "../../object/object-record.ts";
import { entryName } from "../../object/versions/entry-name.ts";
import type { FirstBytes, ObjectLocation } from "../../origin/origin.ts";
import type { Asker, Trace } from "../../trace/trace.ts";
import { readHeadersOf } from "../headers/wanted-bytes.ts";
import type { EngineLink } from "./engine-link.ts";
import type { ObjectQuestion, SentAnswer } from "./question.ts";
import { receivedError } from "./sent-error.ts";

interface Leased {
  readonly answerId: number;
  readonly answer: LookupResult;
  readonly word: number;
  /** Where the engine learns of its uses. */
  readonly use: number;
  /** The number in the word while the copy may be used. */
  readonly number: number;
  readonly endsMs: number;
  readonly refreshedUntilMs: number;
}

export interface LeasedLookupsOptions {
  readonly originId: string;
  readonly link: EngineLink;
  readonly revocations: Revocations;
  readonly clock: Clock;
  readonly trace: Trace;
  readonly entriesMax: number;
  readonly bytesMax: number;
}

/** What a look-up is about, beside its object. */
interface Wanted {
  /** The answer that a request has found to be wrong. */
  readonly contradicted?: LookupResult;
  readonly firstBytes?: FirstBytes | undefined;
  readonly read?: ReadHeaders | undefined;
}

export class LeasedLookups implements ObjectLookups {
  /** The engine counts what it is asked. */
  readonly stats = { hits: 0, negativeHits: 0 };
  readonly #options: LeasedLookupsOptions;
  readonly #leased: LruMap<string, Leased>;
  readonly #answerIds = new WeakMap<LookupResult, number>();
  readonly #foundKept = new WeakSet<Asker>();
  readonly #trace: DirectoryTrace;

  constructor(options: LeasedLookupsOptions) {
    this.#options = options;
    const { entriesMax, bytesMax } = options;
    this.#leased = new LruMap({ entriesMax, weightMax: bytesMax });
    this.#trace = new DirectoryTrace(options.trace, options.originId);
  }

  get originId(): string {
    return this.#options.originId;
  }

  peek(location: ObjectLocation, asker?: Asker): LookupResult | undefined {
    const leased = this.#leased.get(entryName(location));
    return leased && this.#counted(leased, leased.endsMs, location, asker);
  }

  peekRefreshed(location: ObjectLocation, asker?: Asker): LookupResult | undefined {
    const leased = this.#leased.get(entryName(location));
    const endsMs = leased && Math.min(leased.endsMs, leased.refreshedUntilMs);
    return leased && this.#counted(leased, endsMs ?? 0, location, asker);
  }

  foundKept(asker: Asker): boolean {
    return this.#foundKept.delete(asker);
  }

  lookup(
    location: ObjectLocation,
    asker?: Asker,
    firstBytes?: FirstBytes,
    read?: ReadHeaders,
  ): Promise<LookupResult> {
    return this.#ask("lookup", location, asker, { firstBytes, read });
  }

  lookupRefreshed(
    location: ObjectLocation,
    asker?: Asker,
    firstBytes?: FirstBytes,
    read?: ReadHeaders,
  ): Promise<LookupResult> {
    return this.#ask("lookupRefreshed", location, asker, { firstBytes, read });
  }

  revalidate(location: ObjectLocation, contradicted: LookupResult, asker?: Asker): Promise<LookupResult> {
    return this.#ask("revalidate", location, asker, { contradicted });
  }

  forget(location: ObjectLocation, etag: string): void {
    const name = entryName(location);
    const leased = this.#leased.peek(name);
    // The engine revokes it a message later: the next request of this thread must ask.
    if (leased && etagOf(leased.answer) === etag) this.#leased.delete(name);
    this.#options.link.forget(this.originId, location, etag);
  }

  #counted(
    { answer, word, use, number }: Leased,
    endsMs: number,
    location: ObjectLocation,
    asker: Asker | undefined,
  ): LookupResult | undefined {
    const { clock, revocations } = this.#options;
    if (endsMs <= clock.monotonic() || revocations.numberAt(word) !== number) return undefined;
    revocations.use(use);
    this.#trace.hit(location, asker, answer);
    if (answer.kind === "found") this.stats.hits += 1;
    else this.stats.negativeHits += 1;
    return answer;
  }

  async #ask(
    what: ObjectQuestion["what"],
    location: ObjectLocation,
    asker: Asker | undefined,
    { contradicted, firstBytes, read }: Wanted,
  ): Promise<LookupResult> {
    const { link, clock, originId, revocations } = this.#options;
    const name = entryName(location);
    const known = contradicted
      ? { answerId: this.#answerIds.get(contradicted) ?? 0, answer: contradicted }
      : this.#leased.peek(name);
    const question: ObjectQuestion = {
      what,
      originId,
      location,
      knownId: known?.answerId ?? 0,
      knownEtag: contradicted ? etagOf(contradicted) : "",
      firstBytes,
      read: read && readHeadersOf(read),
    };
    const askedMs = clock.monotonic();
    const { answerId, lease, wasKept, result } = await link.ask<SentAnswer>(question, asker);
    if (wasKept && asker) this.#foundKept.add(asker);
    const answer = result === undefined && known ? known.answer : resultOf(result);
    this.#answerIds.set(answer, answerId);
    if (lease === undefined) return answer;
    const leased: Leased = {
      answerId,
      answer,
      word: revocations.wordOf(name),
      use: revocations.useOf(name),
      number: lease.number,
      endsMs: askedMs + lease.freshMs,
      refreshedUntilMs: askedMs + lease.refreshedMs,
    };
    this.#leased.set(name, leased, entryBytes(name, answer));
    return answer;
  }
}

function resultOf(result: SentAnswer["result"]): LookupResult {
  if (result === undefined) throw new Error("the engine sends each answer that the thread does not have");
  if ("error" in result) return { kind: "error", error: receivedError(result.error) };
  const { version, hash, head, stale } = result;
  return { kind: "found", record: { version: new ObjectVersion(version, hash), head, stale } };
}
