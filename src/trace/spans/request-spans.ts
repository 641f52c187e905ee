/**
 * Makes spans of the steps of requests (trace-steps.ts), so that no part measures anything twice. One request in so many
 * is sampled, and every one whose client says so in `traceparent`; the others cost the look-up of their id.
 *
 *     request (r0)                          metadata (r0) > peer metadata (r0) > metadata (r1) > origin head (r1)
 *       chunk 0 (r0), tier peer             each chunk, from its first step to its first byte
 *         peer chunk (r0)                   the attempt, until the peer's last byte
 *           chunk 0 (r1), tier origin
 *             origin get (r1)
 *
 * The id of a peer's attempt is a hash of what both replicas know of it. So the peer finds its parent, although the headers
 * between replicas name only the span of the request.
 *
 * Invariants:
 * 1. At most {@link requestsMax} sampled requests are remembered, with at most {@link openMax} spans of each and
 *    {@link openOfAllMax} of all. What is forgotten has no span.
 * 2. A span is passed on once, when it has ended.
 */
import { hash } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { TraceContexts } from "../trace-contexts.ts";
import type { TraceStep } from "../trace-steps.ts";
import type { SampledElsewhere, Span, SpanKind, SpanSink, StepFields, StepSpans } from "./span.ts";
import { TraceSampling } from "./trace-sampling.ts";

export interface RequestSpansOptions {
  readonly replicaId: string;
  /** `tracing.sample_ratio`: of the requests without a trace context of their own. */
  readonly sampleRatio: number;
  readonly contexts: TraceContexts;
  readonly sink: SpanSink;
  readonly clock: Clock;
}

const requestsMax = 2048;
const openMax = 512;
/** Of all requests together. Each has the name of an object, of up to 1 KiB. */
const openOfAllMax = 16_384;

type Attributes = Record<string, string | number | boolean>;

/** What a step is about. */
interface Subject {
  readonly isChunk: boolean;
  /** `chunk 3`, or `metadata`. */
  readonly name: string;
  /** Unlike that of any other subject of the request. */
  readonly about: string;
}

interface OpenSpan {
  readonly spanId: string;
  readonly parentId: string;
  readonly startMs: number;
}

interface SampledRequest {
  readonly traceId: string;
  /** The span of the request at the replica that its client asked. */
  readonly spanId: string;
  readonly clientId: string;
  readonly startMs: number;
  /** This replica took the client's request. */
  readonly isOwn: boolean;
  /** By what they are about. */
  readonly open: Map<string, OpenSpan>;
}

/** The steps that end a span, or say that one has begun. */
const steps: ReadonlySet<TraceStep> = new Set([
  "peer_request",
  "metadata_hit",
  "metadata_ask",
  "plan",
  "flight_join",
  "coordinator",
  "peer_attempt",
  "peer_success",
  "peer_refusal",
  "origin_attempt",
  "origin_result",
  "first_bytes",
  "commit",
  "commit_result",
] satisfies TraceStep[]);

export class RequestSpans implements StepSpans {
  readonly #options: RequestSpansOptions;
  readonly #requests = new LruMap<string, SampledRequest>({
    entriesMax: requestsMax,
    onEvict: ({ open }) => {
      this.#openOfAll -= open.size;
    },
  });
  #openOfAll = 0;
  /** From the monotonic time to that of the epoch. */
  readonly #epochMs: number;
  readonly #sampling: TraceSampling;
  #ids = 0;

  constructor(options: RequestSpansOptions) {
    const { contexts, sampleRatio, replicaId, clock } = options;
    this.#options = options;
    this.#epochMs = clock.now() - clock.monotonic();
    this.#sampling = new TraceSampling({ contexts, sampleRatio, salt: `${replicaId} ${this.#epochMs}` });
  }

  /** Spans that are remembered, of all requests. */
  get openCount(): number {
    return this.#openOfAll;
  }

  get sink(): SpanSink {
    return this.#options.sink;
  }

  begin({ requestId, traceId, spanId, clientId }: SampledElsewhere): void {
    this.#remember(requestId, { traceId, spanId, clientId, isOwn: true });
    this.#options.contexts.continue(requestId, traceId, spanId);
  }

  step(step: TraceStep, requestId: string, fields: StepFields): void {
    if (step === "request") this.#begin(requestId, true);
    else if (step === "peer_request" && !this.#requests.peek(requestId)) this.#begin(requestId, false);
    const request = this.#requests.peek(requestId);
    if (request && steps.has(step)) this.#note(request, requestId, step, fields);
  }

  /** The response to a client has ended. */
  responded(requestId: string, { operation, bucket, key, status, source, complete }: StepFields): void {
    const request = this.#requests.peek(requestId);
    if (!request?.isOwn) return;
    this.#end(request, "metadata", "metadata", "internal", {});
    // Chunks that were fetched ahead, and that the client did not come to.
    for (const about of request.open.keys()) {
      const name = `chunk ${about.slice(about.lastIndexOf(" ") + 1)}`;
      if (about.startsWith("chunk "))
        this.#end(request, about, name, "internal", { tier: "none" }, { isKept: true });
    }
    const attributes = attributesOf({ operation, bucket, key, status, tier: source, complete });
    const { traceId, spanId, clientId: parentId, startMs } = request;
    const isError = typeof status === "number" && status >= 500;
    this.#pass(
      { traceId, spanId, parentId, startMs, name: "request", kind: "server", attributes, isError },
      requestId,
    );
  }

  #begin(requestId: string, isOwn: boolean): void {
    const trace = this.#sampling.traceOf(requestId, isOwn);
    if (!trace) return;
    const { traceId, clientId } = trace;
    const spanId = isOwn ? this.#newId() : clientId;
    this.#remember(requestId, { traceId, spanId, clientId, isOwn });
    if (isOwn) this.#options.contexts.continue(requestId, traceId, spanId);
  }

  #remember(requestId: string, request: Omit<SampledRequest, "startMs" | "open">): void {
    this.#openOfAll -= this.#requests.peek(requestId)?.open.size ?? 0;
    // The oldest ones give way, so that a new one has room for its own.
    while (this.#openOfAll > openOfAllMax - openMax) this.#requests.evictOldest();
    this.#requests.set(requestId, { ...request, startMs: this.#nowMs(), open: new Map() });
  }

  #note(request: SampledRequest, requestId: string, step: TraceStep, fields: StepFields): void {
    const subject = subjectOf(fields);
    const { about, name } = subject;
    switch (step) {
      case "peer_request":
        if (fields["result"] === "not_coordinator") return;
        this.#forget(request, `ended ${about}`);
        this.#open(request, about, this.#attemptId(requestId, fields, this.#options.replicaId));
        return;
      case "plan":
        if (request.isOwn) this.#end(request, "metadata", "metadata", "internal", {});
        return;
      case "metadata_hit":
        this.#open(request, about);
        this.#end(request, about, name, "internal", {
          ...attributesOf({ result: fields["result"] }),
          cached: true,
        });
        return;
      case "first_bytes": {
        this.#open(request, about);
        const attributes = { ...placeOf(fields), ...attributesOf({ tier: fields["source"] }) };
        this.#end(request, about, name, "internal", attributes, { isKept: true });
        return;
      }
      case "peer_attempt":
      case "peer_success":
      case "peer_refusal":
        this.#notePeer(
          request,
          subject,
          this.#attemptId(requestId, fields, textOf(fields["replica"])),
          step,
          fields,
        );
        return;
      case "origin_attempt":
      case "origin_result":
        this.#noteOrigin(request, subject, step, fields);
        return;
      case "commit":
      case "commit_result":
        this.#noteCommit(request, subject, step, fields);
        return;
      default:
        this.#open(request, about);
    }
  }

  #notePeer(
    request: SampledRequest,
    { about }: Subject,
    id: string,
    step: TraceStep,
    fields: StepFields,
  ): void {
    if (step === "peer_attempt") {
      this.#open(request, `peer ${id}`, this.#open(request, about)?.spanId, id);
      return;
    }
    const { question, replica, code } = fields;
    const attributes = { ...placeOf(fields), ...attributesOf({ peer: replica, code }) };
    const isError = step === "peer_refusal" && code !== "abandoned";
    this.#end(request, `peer ${id}`, `peer ${textOf(question)}`, "client", attributes, { isError });
  }

  #noteOrigin(
    request: SampledRequest,
    { about, name, isChunk }: Subject,
    step: TraceStep,
    fields: StepFields,
  ): void {
    if (step === "origin_attempt") {
      this.#open(request, `origin ${about}`, this.#open(request, about)?.spanId);
      return;
    }
    const { operation, result, receivedBytes } = fields;
    const attributes = { ...placeOf(fields), ...attributesOf({ result, receivedBytes }) };
    const isError = result !== "ok" && result !== "cancelled";
    this.#end(request, `origin ${about}`, `origin ${textOf(operation)}`, "client", attributes, { isError });
    // Nothing else says when an answer to a peer is known.
    if (!isChunk && !request.isOwn) this.#end(request, about, name, "internal", {});
  }

  #noteCommit(request: SampledRequest, { about }: Subject, step: TraceStep, fields: StepFields): void {
    const store = textOf(fields["store"]);
    const commit = `commit ${store} ${about}`;
    if (step === "commit") {
      this.#open(request, commit, this.#ofChunk(request, about));
      return;
    }
    const attributes = { ...placeOf(fields), ...attributesOf({ result: fields["result"] }) };
    this.#end(request, commit, `commit ${store}`, "internal", attributes);
  }

  /** The span of a chunk, also after its first byte. */
  #ofChunk(request: SampledRequest, about: string): string {
    return (request.open.get(about) ?? request.open.get(`ended ${about}`))?.spanId ?? request.spanId;
  }

  /** The open span about this, or a new one. Undefined where too many are open. */
  #open(
    request: SampledRequest,
    about: string,
    parentId = request.spanId,
    spanId?: string,
  ): OpenSpan | undefined {
    const known =
      request.open.get(about) ?? (spanId === undefined ? request.open.get(`ended ${about}`) : undefined);
    if (known || request.open.size >= openMax || this.#openOfAll >= openOfAllMax) return known;
    const span = { spanId: spanId ?? this.#newId(), parentId, startMs: this.#nowMs() };
    this.#keep(request, about, span);
    return span;
  }

  #keep(request: SampledRequest, about: string, span: OpenSpan): void {
    const { size } = request.open;
    request.open.set(about, span);
    this.#openOfAll += request.open.size - size;
  }

  #forget(request: SampledRequest, about: string): void {
    if (request.open.delete(about)) this.#openOfAll -= 1;
  }

  /** `isKept`: spans that begin later are below it, too. */
  #end(
    request: SampledRequest,
    about: string,
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    { isKept = false, isError = false } = {},
  ): void {
    const open = request.open.get(about);
    if (!open) return;
    this.#forget(request, about);
    if (isKept) this.#keep(request, `ended ${about}`, open);
    this.#pass({ traceId: request.traceId, ...open, name, kind, attributes, isError });
  }

  #pass(span: Omit<Span, "endMs">, requestId?: string): void {
    const { sink, replicaId } = this.#options;
    const own = { replica: replicaId, ...(requestId !== undefined && { request_id: requestId }) };
    sink.ended({ ...span, endMs: this.#nowMs(), attributes: { ...own, ...span.attributes } });
  }

  #attemptId(requestId: string, fields: StepFields, replica: string): string {
    const { question, bucket, key, index, offset } = fields;
    return hash("sha256", JSON.stringify([requestId, question, bucket, key, index, offset, replica])).slice(
      0,
      16,
    );
  }

  #newId(): string {
    this.#ids += 1;
    return this.#sampling.spanIdOf(String(this.#ids));
  }

  #nowMs(): number {
    return this.#epochMs + this.#options.clock.monotonic();
  }
}

function subjectOf({ bucket, key, index }: StepFields): Subject {
  if (typeof index !== "number") return { isChunk: false, name: "metadata", about: "metadata" };
  return { isChunk: true, name: `chunk ${index}`, about: `chunk ${textOf(bucket)}/${textOf(key)} ${index}` };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function placeOf({ originId, bucket, key, index }: StepFields): Attributes {
  return attributesOf({ origin: originId, bucket, key, chunk: index });
}

function attributesOf(fields: StepFields): Attributes {
  const known = Object.entries(fields).filter(([, value]) =>
    ["string", "number", "boolean"].includes(typeof value),
  );
  return Object.fromEntries(known) as Attributes;
}
