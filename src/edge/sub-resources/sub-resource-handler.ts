/**
 * Answers requests for sub-resources. With `authorize: origin` the question goes to the origin with the client's own key,
 * and the origin's answer comes back: its status, its code or its document, with Orca's ids. Nothing of it is cached, so
 * a right that the origin takes away ends at once.
 *
 * Invariants:
 * 1. At most {@link askedMax} questions are in progress, from the permit to the last byte, and at most {@link waitingMax}
 *    requests wait for that, in all threads together. An answer has at most `subResourceBytesMax` bytes.
 * 2. An answer is sent only if it is the document of the sub-resource: an origin that does not know the parameter answers
 *    with a listing or with the bytes of an object.
 */
import type { Clock } from "../../base/clock.ts";
import { type ErrorCode, OrcaError } from "../../base/orca-error.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { Bucket } from "../../object/bucket.ts";
import { OriginAnswer } from "../../origin/error-of-status.ts";
import type { OriginKey, SubResourceAnswer } from "../../origin/origin.ts";
import { releaseAtEnd } from "../bucket-handler.ts";
import type { Exchange } from "../exchange.ts";
import { isHeaderValue } from "../header-value.ts";
import type { ProcessLimits } from "../threads/process-limits.ts";
import { s3Document } from "../xml.ts";
import type { SubResource, SubResourceRequest } from "./sub-resource.ts";

export interface SubResourceHandlerOptions {
  /** Whether the origin decides who may read (`authorize: origin`): it is asked with the client's key then. */
  readonly asksAsClient: boolean;
  readonly clock: Clock;
  /** Of several threads that serve clients. */
  readonly processLimits?: ProcessLimits | undefined;
}

const askedMax = 32;
const waitingMax = 256;
/** How long a request waits until fewer questions are in progress. After that its client gets 503 SlowDown. */
const queueTimeoutMs = 5000;

/** Of a request, what the origin must know. */
const sentHeaders = ["x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker"] as const;
/** The client pays where its own key is used. */
const payerHeader = "x-amz-request-payer";

/** Of an answer, beside its type and its length. */
const passedHeaders = [
  "last-modified",
  "x-amz-version-id",
  "x-amz-delete-marker",
  "x-amz-request-charged",
  "x-amz-transition-default-minimum-object-size",
] as const;

/** Of an answer, all that is read here. */
export const readHeaders = ["content-type", ...passedHeaders] as const;

export class SubResourceHandler {
  readonly #asksAsClient: boolean;
  readonly #permits: Pick<Semaphore, "acquire">;

  constructor({ asksAsClient, clock, processLimits }: SubResourceHandlerOptions) {
    this.#asksAsClient = asksAsClient;
    const name = "a question about a sub-resource";
    this.#permits =
      processLimits?.semaphore("subResources", name, askedMax, clock, waitingMax) ??
      new Semaphore(name, askedMax, clock, waitingMax, "edge");
  }

  handle(exchange: Exchange, request: SubResourceRequest, bucket: Bucket): void {
    const { key, subResource } = request;
    exchange.operation = key === "" ? "bucket_configuration" : "object_configuration";
    const fault = key === "" ? undefined : bucket.faultOf(key);
    if (fault) exchange.sendError(fault);
    else if (bucket.hasSubResources && this.#asksAsClient)
      void this.#relay(exchange, request, bucket, exchange.client?.originKey ?? "anonymous");
    else if (bucket.hasSubResources && subResource.asksAsOrca)
      void this.#relay(exchange, request, bucket, undefined);
    else void answerUnconfigured(exchange, request, bucket);
  }

  async #relay(
    exchange: Exchange,
    { key, query, subResource }: SubResourceRequest,
    bucket: Bucket,
    as: OriginKey | "anonymous" | undefined,
  ): Promise<void> {
    const waits = exchange.begin("metadata");
    try {
      const permit = await this.#permits.acquire(queueTimeoutMs);
      try {
        if (exchange.isOver) return;
        const headers = headersFor(exchange, as === undefined ? sentHeaders : [...sentHeaders, payerHeader]);
        const answer = await bucket.subResource(key, { as, query, headers });
        waits.end();
        if (exchange.isOver) return;
        if (answer.status >= 300) sendFault(exchange, answer);
        else if (isDocument(answer.body, subResource)) sendAnswer(exchange, answer);
        else exchange.sendError(unknownToOrigin(subResource));
      } finally {
        // The question goes on after its client has left.
        releaseAtEnd(permit, exchange);
      }
    } catch (thrown) {
      const error = OrcaError.from(thrown, "internal", "edge", "Cannot ask for a sub-resource");
      // Too long for a document: the bytes of an object.
      const isTooLong = error.code === "origin_unsupported" && !(error instanceof OriginAnswer);
      exchange.sendError(isTooLong ? unknownToOrigin(subResource) : error);
    }
  }
}

function headersFor({ request }: Exchange, names: readonly string[]): Readonly<Record<string, string>> {
  const found = names.flatMap((name) => {
    const value = request.headers[name];
    return typeof value === "string" && isHeaderValue(value) ? [[name, value]] : [];
  });
  return Object.fromEntries(found) as Record<string, string>;
}

/** What S3 answers where nothing is configured. An object must exist for that. */
async function answerUnconfigured(
  exchange: Exchange,
  { key, query, subResource }: SubResourceRequest,
  bucket: Bucket,
): Promise<void> {
  const { name, absence } = subResource;
  if (absence === undefined || query.versionId !== undefined) {
    const message = `Cannot serve ?${name}: Orca does not know it, and does not ask the origin for it`;
    exchange.sendError(new OrcaError("not_implemented", "client", message));
    return;
  }
  try {
    if (key !== "") {
      const found = await bucket.directory.lookup(bucket.locate(key), exchange);
      if (exchange.isOver) return;
      if (found.kind === "error") {
        exchange.sendError(found.error);
        return;
      }
    }
    if ("code" in absence) exchange.sendError(new OrcaError(absence.code, "client", absence.message));
    else exchange.sendXml(s3Document(absence.element, absence.content));
  } catch (thrown) {
    exchange.sendError(OrcaError.from(thrown, "internal", "edge", "Cannot look up an object"));
  }
}

function sendAnswer(exchange: Exchange, answer: SubResourceAnswer): void {
  const type = answer.header("content-type") ?? "";
  const headers = [
    ...exchange.idHeaders(),
    "Content-Type",
    type !== "" && isHeaderValue(type) ? type : "application/xml",
    "Content-Length",
    String(answer.body.length),
  ];
  for (const name of passedHeaders) {
    const value = answer.header(name);
    if (value !== undefined && isHeaderValue(value)) headers.push(name, value);
  }
  exchange.send(answer.status, headers, exchange.request.method === "HEAD" ? "" : answer.body);
}

const absenceCodes: ReadonlyMap<string, ErrorCode> = new Map([
  ["NoSuchKey", "no_such_key"],
  ["NoSuchVersion", "no_such_version"],
]);

/** The origin's code and message are for the owner of the key, whom the origin would answer the same. */
function sendFault(exchange: Exchange, { status, body }: SubResourceAnswer): void {
  const text = body.toString("utf8");
  const s3Code = /<Code>(\w{1,64})<\/Code>/.exec(text)?.[1] ?? codeOfStatus(status, exchange.key !== "");
  // Whether the client may learn that is decided where the error is sent.
  const absence = absenceCodes.get(s3Code);
  if (absence !== undefined) {
    const message = "Cannot ask for a sub-resource: the origin has no such key or version";
    exchange.sendError(new OrcaError(absence, "client", message));
    return;
  }
  const messageXml = /<Message>([^<]{0,1024})<\/Message>/.exec(text)?.[1] ?? "";
  exchange.sendRelayedError({ status, s3Code, messageXml });
}

/** For an answer without a code, as that of a proxy. */
function codeOfStatus(status: number, isObject: boolean): string {
  if (status === 404) return isObject ? "NoSuchKey" : "NoSuchBucket";
  if (status === 405) return "MethodNotAllowed";
  if (status === 501) return "NotImplemented";
  return status === 401 || status === 403 ? "AccessDenied" : "InvalidRequest";
}

/** Whether `body` begins as the document of the sub-resource does. */
function isDocument(body: Buffer, { root }: SubResource): boolean {
  const beginning = body.toString("utf8", 0, 512).replace(/^\uFEFF?\s*(?:<\?xml[^>]*>\s*)?/, "");
  const name = beginning.startsWith("{") ? "{" : (/^<([\w.-]+)/.exec(beginning)?.[1] ?? "");
  return root.test(name);
}

function unknownToOrigin({ name }: SubResource): OrcaError {
  return new OrcaError("not_implemented", "client", `Cannot serve ?${name}: the origin does not know it`);
}
