/**
 * S3 as an origin: AWS and its clones. HEAD and GET use Orca's own HTTP client, so that bytes arrive in the memory from
 * which they are served. The answer to a LIST is read whole and parsed.
 */
import type { ByteSink } from "../base/byte-sink.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { ResponseHead } from "../http-client/response-head.ts";
import type { WholeAnswer } from "../http-client/whole-answers.ts";
import { withDeadline } from "../http-client/with-deadline.ts";
import { SignedRequests, type SignedRequestsOptions } from "../s3-client/signed-requests.ts";
import type { TraceContexts } from "../trace/trace-contexts.ts";
import { listS3Buckets } from "./buckets/s3-buckets.ts";
import { errorOfStatus } from "./error-of-status.ts";
import {
  askerHeaders,
  checkRangeResponse,
  type ObjectDialect,
  objectHeadOf,
  rangeHeaders,
} from "./http-object.ts";
import { KnownBuckets } from "./known-buckets.ts";
import { answerDetail, listingBytesMax } from "./list-answer.ts";
import { openHeaders, openingOf } from "./opening/opening.ts";
import {
  type BucketPart,
  firstKeyOnly,
  type ListedBucket,
  type ListPage,
  type ListRequest,
  type ObjectLocation,
  type ObjectPart,
  type OpeningReceiver,
  type OpenOutcome,
  type OpenRequest,
  type Origin,
  type OriginHead,
  type OriginKey,
  type PartRequest,
  type RangeRequest,
  type Right,
  type RightQuestion,
  type SubResourceAnswer,
  type SubResourceQuestion,
  subResourceBytesMax,
} from "./origin.ts";
import { originFaults } from "./origin-faults.ts";
import { objectPartOf, partOfRefusal } from "./parts/part-answer.ts";
import { listS3 } from "./s3-list.ts";
import { deleteMarkerOf, invalidVersionId, ofVersion } from "./versions/object-versions.ts";
import { listS3Versions } from "./versions/s3-version-list.ts";

const dialect: ObjectDialect = { metadataPrefix: "x-amz-meta-", versionHeader: "x-amz-version-id" };

/** The checksums are asked for always: they are kept with the metadata, and not every client wants them. */
const checksumHeaders = { "x-amz-checksum-mode": "ENABLED" };

export interface S3OriginOptions extends Omit<SignedRequestsOptions, "faults"> {
  readonly id: string;
  /** @see KnownBuckets */
  readonly bucketTtlMs?: number;
  readonly traceContexts?: TraceContexts | undefined;
}

export class S3Origin implements Origin {
  readonly id: string;
  readonly #options: S3OriginOptions;
  readonly #wire: SignedRequests;
  readonly #buckets: KnownBuckets;
  readonly #closing = new AbortController();

  constructor(options: S3OriginOptions) {
    this.id = options.id;
    this.#options = options;
    this.#wire = new SignedRequests({ ...options, faults: originFaults });
    this.#buckets = new KnownBuckets(
      options.clock,
      (bucket) => this.look({ bucket, prefix: "" }, this.#closing.signal),
      options.bucketTtlMs,
    );
  }

  async head(location: ObjectLocation, signal: AbortSignal, requestId?: string): Promise<OriginHead> {
    const { bucket, key, versionId } = location;
    const action = `Cannot get the metadata of "${bucket}/${key}"`;
    const unsignedHeaders = askerHeaders(requestId, this.#options.traceContexts);
    const head = await this.#wire.request(
      { method: "HEAD", bucket, key, ...queryOf(versionId), headers: checksumHeaders, unsignedHeaders },
      () => null,
      signal,
    );
    if (head.status === 404 || (head.status === 405 && versionId !== undefined)) {
      const marker = deleteMarkerOf(head);
      if (marker === null) await this.#buckets.check(bucket);
      return marker;
    }
    // An expired token is a 400 as well. Then the look at the bucket fails.
    if (head.status === 400 && versionId !== undefined) {
      await this.look({ bucket, prefix: "" }, signal);
      throw invalidVersionId(action, versionId);
    }
    if (head.status !== 200) throw this.#errorOf(head, action);
    this.#buckets.seen(bucket);
    return ofVersion(objectHeadOf(head, dialect, action), versionId);
  }

  async part(request: PartRequest, signal: AbortSignal, requestId?: string): Promise<ObjectPart> {
    const { bucket, key, versionId, etag, partNumber } = request;
    const action = `Cannot find part ${partNumber} of "${bucket}/${key}"`;
    const query = { ...queryOf(versionId).query, partNumber: String(partNumber) };
    const headers = { "if-match": `"${etag}"` };
    const unsignedHeaders = askerHeaders(requestId, this.#options.traceContexts);
    const head = await this.#wire.request(
      { method: "HEAD", bucket, key, query, headers, unsignedHeaders },
      () => null,
      signal,
    );
    // An expired token is a 400 as well. Then the look at the bucket fails.
    if (head.status === 400) await this.look({ bucket, prefix: "" }, signal);
    const refusal = partOfRefusal(head.status, partNumber);
    if (refusal) return refusal;
    if (head.status === 404) await this.#buckets.check(bucket);
    if (head.status !== 200 && head.status !== 206) throw this.#errorOf(head, action);
    return objectPartOf(head, request, action);
  }

  async read(range: RangeRequest, sink: ByteSink, signal: AbortSignal): Promise<void> {
    const { bucket, key, versionId } = range;
    const onHead = (head: ResponseHead): ByteSink => {
      const action = `Cannot read "${bucket}/${key}"`;
      if (head.status >= 300) throw this.#errorOf(head, action);
      checkRangeResponse(head, range, action);
      return sink;
    };
    const headers = rangeHeaders(range);
    const unsignedHeaders = askerHeaders(range.trace?.requestId, this.#options.traceContexts);
    const request = { method: "GET", bucket, key, ...queryOf(versionId), headers, unsignedHeaders } as const;
    await this.#wire.request(request, onHead, signal);
  }

  readonly opensAtEnd = true;

  async open(request: OpenRequest, receive: OpeningReceiver, signal: AbortSignal): Promise<OpenOutcome> {
    const { bucket, key, withChecksums, requestId } = request;
    const action = `Cannot read "${bucket}/${key}"`;
    const onHead = (head: ResponseHead): ByteSink | null => {
      if (head.status === 404 || head.status === 416) return null;
      if (head.status >= 300) throw this.#errorOf(head, action);
      this.#buckets.seen(bucket);
      const opening = openingOf(head, request, dialect, action);
      if (withChecksums) return receive(opening);
      // Those that come with a part of an object are not those of the object.
      return receive({
        ...opening,
        head: { ...opening.head, checksums: undefined, isChecksumUnknown: true },
      });
    };
    const headers = { ...openHeaders(request), ...(withChecksums && checksumHeaders) };
    const unsignedHeaders = askerHeaders(requestId, this.#options.traceContexts);
    const head = await this.#wire.request(
      { method: "GET", bucket, key, headers, unsignedHeaders },
      onHead,
      signal,
    );
    if (head.status !== 404) return head.status === 416 ? "unsatisfiable" : "opened";
    const marker = deleteMarkerOf(head);
    if (marker === null) await this.#buckets.check(bucket);
    return marker;
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    const { clock, attemptTimeoutMs } = this.#options;
    const action = `Cannot list "${request.bucket}"`;
    const list = request.versionIdMarker === undefined ? listS3 : listS3Versions;
    const page = await withDeadline(
      { clock, timeoutMs: attemptTimeoutMs, action, faults: originFaults, signal },
      (stop) => list(this.#wire, request, action, clock, stop),
    );
    this.#buckets.seen(request.bucket);
    return page;
  }

  async look(part: BucketPart, signal: AbortSignal): Promise<void> {
    await this.list({ ...firstKeyOnly, ...part }, signal);
  }

  listBuckets(as: OriginKey | undefined, signal: AbortSignal): Promise<readonly ListedBucket[]> {
    const { clock, attemptTimeoutMs: timeoutMs } = this.#options;
    const action = "Cannot list the buckets";
    return withDeadline({ clock, timeoutMs, action, faults: originFaults, signal }, (stop) =>
      listS3Buckets(this.#wire, as, clock, stop),
    );
  }

  async rightOf(question: RightQuestion, signal: AbortSignal): Promise<Right> {
    const { bucket, key, versionId, as: signAs = "anonymous", action } = question;
    const what = `Cannot ask for a right to "${bucket}/${key}"`;
    if (action !== "get") return this.#listRightOf(question, what, signal);
    const request = { method: "HEAD", bucket, key, ...queryOf(versionId), signAs } as const;
    const head = await this.#wire.request(request, () => null, signal);
    if ((head.status === 404 || head.status === 405) && deleteMarkerOf(head)) return "deleted";
    const right = rightOfStatus(head.status) ?? this.#throwErrorOf(head, what);
    return right === "absent" && !(await this.#isThere(bucket)) ? "no_bucket" : right;
  }

  /** As Orca's own credentials see it. */
  async #isThere(bucket: string): Promise<boolean> {
    try {
      await this.#buckets.check(bucket);
      return true;
    } catch (thrown) {
      if (thrown instanceof OrcaError && thrown.code === "no_such_bucket") return false;
      throw thrown;
    }
  }

  /** One key is asked for, whose bytes are not looked at. */
  async #listRightOf(question: RightQuestion, action: string, signal: AbortSignal): Promise<Right> {
    const { clock, attemptTimeoutMs } = this.#options;
    const { bucket, key: prefix, delimiter, as: signAs = "anonymous" } = question;
    const kind = question.action === "list-versions" ? { versions: "" } : { "list-type": "2" };
    const query = { ...kind, "max-keys": "1", prefix, ...(delimiter !== "" && { delimiter }) };
    const answer = await withDeadline(
      { clock, timeoutMs: attemptTimeoutMs, action, faults: originFaults, signal },
      (stop) => this.#wire.whole({ bucket, query, bytesMax: listingBytesMax, action, signAs }, stop),
    );
    const right = rightOfStatus(answer.status);
    if (right) return right;
    throw errorOfStatus(answer.status, (name) => answer.header(name), action, clock.now());
  }

  async subResource(question: SubResourceQuestion, signal: AbortSignal): Promise<SubResourceAnswer> {
    const { clock, attemptTimeoutMs } = this.#options;
    const { bucket, key, query, headers, as: signAs } = question;
    const action = `Cannot ask for "${Object.keys(query)[0]}" of "${bucket}/${key}"`;
    const wanted = { bucket, key, query, headers, signAs, bytesMax: subResourceBytesMax, action };
    const answer = await withDeadline(
      { clock, timeoutMs: attemptTimeoutMs, action, faults: originFaults, signal },
      (stop) => this.#wire.whole(wanted, stop),
    );
    if (isAnswer(answer, signAs === undefined)) return answer;
    const detail = answerDetail(answer);
    throw errorOfStatus(answer.status, (name) => answer.header(name), action, clock.now(), detail);
  }

  close(): void {
    this.#closing.abort(
      new OrcaError("shutting_down", "origin", "Cannot look at a bucket: Orca is stopping"),
    );
    this.#wire.close();
  }

  #throwErrorOf(head: ResponseHead, action: string): never {
    throw this.#errorOf(head, action);
  }

  #errorOf(head: ResponseHead, action: string): OrcaError {
    return errorOfStatus(head.status, (name) => head.headers.get(name), action, this.#options.clock.now());
  }
}

function queryOf(versionId: string | undefined): { readonly query?: { readonly versionId: string } } {
  return versionId === undefined ? {} : { query: { versionId } };
}

/** The status alone decides. 400 comes for a token that has expired, so it is a denial and no error of the origin. */
function rightOfStatus(status: number): Right | undefined {
  if (status < 300) return "allowed";
  if (status === 404) return "absent";
  return status === 400 || status === 401 || status === 403 ? "denied" : undefined;
}

/** Answers with 400 to credentials that have expired or were revoked (S3, "Error responses"). */
const badTokenCodes: ReadonlySet<string | undefined> = new Set([
  "ExpiredToken",
  "InvalidToken",
  "TokenRefreshRequired",
]);

/** Whether the answer says something about the sub-resource, and not about the origin or about Orca's rights. */
function isAnswer(answer: WholeAnswer, isAsOrca: boolean): boolean {
  const { status } = answer;
  if (isAsOrca && (status === 401 || status === 403)) return false;
  if (isAsOrca && status === 400 && badTokenCodes.has(answerDetail(answer).remoteCode)) return false;
  if (status === 408 || status === 429) return false;
  return (status >= 200 && status < 300) || (status >= 400 && status < 500) || status === 501;
}
