/**
 * Azure Blob Storage as an origin. It serves block blobs only, because page and append blobs change in place. HEAD and GET
 * use Orca's own HTTP client. The answer to a LIST is read whole and parsed.
 */

import type { ConnectionOptions } from "node:tls";
import type { TokenCredential } from "@azure/identity";
import type { ByteSink } from "../base/byte-sink.ts";
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { encodeQuery, percentEncode } from "../base/percent-encoding.ts";
import type { RenewedOptions } from "../base/renewed.ts";
import { nullVersionId } from "../chunk/version-id.ts";
import { HttpClient, httpServerOf } from "../http-client/http-client.ts";
import type { HeadReceiver, HttpRequest, HttpTimeouts } from "../http-client/http-connection.ts";
import type { ResponseHead } from "../http-client/response-head.ts";
import { type WholeAnswer, WholeAnswers } from "../http-client/whole-answers.ts";
import { withDeadline } from "../http-client/with-deadline.ts";
import type { TraceContexts } from "../trace/trace-contexts.ts";
import { archiveClass, archiveTier, listAzure } from "./azure-list.ts";
import { type AzureAccountKey, sharedKeyAuthorization } from "./azure-shared-key.ts";
import { AzureTokens } from "./azure-tokens.ts";
import { listContainers } from "./buckets/azure-containers.ts";
import { errorOfStatus } from "./error-of-status.ts";
import {
  askerHeaders,
  checkRangeResponse,
  type ObjectDialect,
  objectHeadOf,
  rangeHeaders,
} from "./http-object.ts";
import { KnownBuckets } from "./known-buckets.ts";
import { listingBytesMax } from "./list-answer.ts";
import { openHeaders, openingOf } from "./opening/opening.ts";
import {
  type BucketPart,
  firstKeyOnly,
  type ListedBucket,
  type ListPage,
  type ListRequest,
  type ObjectHead,
  type ObjectLocation,
  type OpeningReceiver,
  type OpenOutcome,
  type OpenRequest,
  type Origin,
  type OriginKey,
  type RangeRequest,
} from "./origin.ts";
import { originFaults } from "./origin-faults.ts";
import { invalidVersionId, ofVersion } from "./versions/object-versions.ts";

/** Fixed, so that a newer SDK does not change the origin's answers. Every sovereign cloud supports it. */
const azureApiVersion = "2024-11-04";

const dialect: ObjectDialect = {
  metadataPrefix: "x-ms-meta-",
  versionHeader: "x-ms-version-id",
  storageOf: (headers) => {
    if (headers.get("x-ms-access-tier") !== archiveTier) return {};
    const isRestored = headers.get("x-ms-archive-status")?.startsWith("rehydrate-pending") ?? false;
    return { storageClass: archiveClass, ...(isRestored && { restore: 'ongoing-request="true"' }) };
  },
};

export interface AzureBlobOriginOptions extends HttpTimeouts {
  readonly id: string;
  readonly account: string;
  /** Base64. Without it, the chain of the Azure SDK: environment, workload identity, managed identity, command line. */
  readonly accountKey?: string | undefined;
  /** @see AzureTokensOptions */
  readonly credential?: (() => Promise<TokenCredential>) | undefined;
  readonly tls?: ConnectionOptions | undefined;
  /** Base URL of the containers; `https://<account>.blob.core.windows.net` by default. */
  readonly endpoint?: string | undefined;
  readonly connectionsIdleMax: number;
  /** @see KnownBuckets */
  readonly bucketTtlMs?: number;
  readonly traceContexts?: TraceContexts | undefined;
  /** @see RenewedOptions */
  readonly onRenewal?: Pick<RenewedOptions<string>, "onFailure" | "onRecovery"> | undefined;
  readonly clock: Clock;
}

export class AzureBlobOrigin implements Origin {
  readonly id: string;
  readonly #options: AzureBlobOriginOptions;
  readonly #client: HttpClient;
  readonly #wholeAnswers: WholeAnswers;
  readonly #endpoint: URL;
  readonly #basePath: string;
  readonly #accountKey: AzureAccountKey | undefined;
  readonly #tokens: AzureTokens;
  readonly #buckets: KnownBuckets;
  readonly #closing = new AbortController();

  /** @throws OrcaError config_invalid: no usable endpoint, or a token would travel unencrypted. */
  constructor(options: AzureBlobOriginOptions) {
    this.id = options.id;
    this.#options = options;
    this.#endpoint = new URL(options.endpoint ?? `https://${options.account}.blob.core.windows.net`);
    this.#basePath = this.#endpoint.pathname.replace(/\/*$/, "/");
    this.#client = new HttpClient({ ...options, server: httpServerOf(this.#endpoint), faults: originFaults });
    this.#wholeAnswers = new WholeAnswers({ ...options, url: this.#endpoint, faults: originFaults });
    const { account, accountKey: key } = options;
    this.#accountKey = key === undefined ? undefined : { account, key };
    if (!this.#accountKey && this.#endpoint.protocol !== "https:") {
      const message = `Cannot use origin endpoint "${this.#endpoint.origin}": without an account key it must be https`;
      throw new OrcaError("config_invalid", "config", message);
    }
    this.#tokens = new AzureTokens({ ...options, timeoutMs: options.attemptTimeoutMs });
    this.#buckets = new KnownBuckets(
      options.clock,
      (bucket) => this.look({ bucket, prefix: "" }, this.#closing.signal),
      options.bucketTtlMs,
    );
  }

  async head(location: ObjectLocation, signal: AbortSignal, requestId?: string): Promise<ObjectHead | null> {
    const { bucket, key, versionId } = location;
    if (!isBlobName(key)) return null;
    const action = `Cannot get the metadata of "${bucket}/${key}"`;
    const headers = askerHeaders(requestId, this.#options.traceContexts);
    const head = await this.#request("HEAD", location, headers, () => null, signal);
    if (head.status === 404 && head.headers.get("x-ms-error-code") === "BlobNotFound") return null;
    if (head.status === 404 && head.headers.get("x-ms-error-code") === "ContainerNotFound") {
      throw new OrcaError("no_such_bucket", "origin", `${action}: the origin has no such container`);
    }
    const isInvalid = head.headers.get("x-ms-error-code") === "InvalidQueryParameterValue";
    if (head.status === 400 && versionId !== undefined && isInvalid)
      throw invalidVersionId(action, versionId);
    // An emulator takes the first part of a path for its account. Without one there it answers 400, too.
    if (head.status === 404 || head.status === 400) await this.#buckets.check(bucket);
    if (head.status === 404) return null;
    if (head.status !== 200) throw this.#errorOf(head, action);
    this.#buckets.seen(bucket);
    checkBlobType(head, action);
    return ofVersion(objectHeadOf(head, dialect, action), versionId);
  }

  async read(range: RangeRequest, sink: ByteSink, signal: AbortSignal): Promise<void> {
    const { bucket, key } = range;
    const action = `Cannot read "${bucket}/${key}"`;
    if (!isBlobName(key))
      throw new OrcaError("origin_etag_changed", "origin", `${action}: Azure has no such names`);
    const headers = {
      ...rangeHeaders(range),
      ...askerHeaders(range.trace?.requestId, this.#options.traceContexts),
    };
    const onHead = (head: ResponseHead): ByteSink => {
      if (head.status >= 300) throw this.#errorOf(head, action);
      checkBlobType(head, action);
      checkRangeResponse(head, range, action);
      return sink;
    };
    await this.#request("GET", range, headers, onHead, signal);
  }

  async open(request: OpenRequest, receive: OpeningReceiver, signal: AbortSignal): Promise<OpenOutcome> {
    const { bucket, key, requestId } = request;
    if (!isBlobName(key)) return null;
    const action = `Cannot read "${bucket}/${key}"`;
    let isOpened = false;
    const onHead = (head: ResponseHead): ByteSink | null => {
      if (head.status === 404 || head.status === 400 || head.status === 416) return null;
      if (head.status >= 300) throw this.#errorOf(head, action);
      isOpened = true;
      this.#buckets.seen(bucket);
      checkBlobType(head, action);
      return receive(openingOf(head, request, dialect, action));
    };
    const headers = { ...openHeaders(request), ...askerHeaders(requestId, this.#options.traceContexts) };
    const head = await this.#request("GET", { bucket, key }, headers, onHead, signal);
    if (head.status === 404 && head.headers.get("x-ms-error-code") === "BlobNotFound") return null;
    // What else it is, the HEAD that follows finds out.
    return isOpened ? "opened" : "unsatisfiable";
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    const { clock, attemptTimeoutMs } = this.#options;
    const action = `Cannot list "${request.bucket}"`;
    if (request.versionIdMarker !== undefined) {
      // Azure lists the oldest version first, and has no markers that a client of S3 could send.
      const reason =
        "Orca lists the versions of S3 buckets and of directories, and not those of Azure containers";
      throw new OrcaError("not_implemented", "client", `${action}: ${reason}`);
    }
    const page = await withDeadline(
      { clock, timeoutMs: attemptTimeoutMs, action, faults: originFaults, signal },
      (stop) => listAzure((query) => this.#ask(request.bucket, query, action, stop), request, action, clock),
    );
    this.#buckets.seen(request.bucket);
    return page;
  }

  async look(part: BucketPart, signal: AbortSignal): Promise<void> {
    await this.list({ ...firstKeyOnly, ...part }, signal);
  }

  listBuckets(_as: OriginKey | undefined, signal: AbortSignal): Promise<readonly ListedBucket[]> {
    const { clock, attemptTimeoutMs: timeoutMs } = this.#options;
    const action = "Cannot list the containers";
    return withDeadline({ clock, timeoutMs, action, faults: originFaults, signal }, (stop) =>
      listContainers((query) => this.#ask("", query, action, stop), action, clock),
    );
  }

  close(): void {
    this.#closing.abort(
      new OrcaError("shutting_down", "origin", "Cannot look at a container: Orca is stopping"),
    );
    this.#client.close();
    this.#wholeAnswers.close();
  }

  /** A GET about a container, or about the account where that is empty. @throws OrcaError as {@link WholeAnswers.get}; origin_no_credentials without a key or a token. */
  async #ask(
    container: string,
    query: Readonly<Record<string, string>>,
    action: string,
    signal: AbortSignal,
  ): Promise<WholeAnswer> {
    const path = `${this.#basePath}${percentEncode(container)}`;
    const target = `${path}?${encodeQuery(query)}`;
    const ask = async (token: string | undefined): Promise<WholeAnswer> => {
      const { headers } = this.#signed("GET", path, {}, token, query);
      return this.#wholeAnswers.get({ path: target, headers, bytesMax: listingBytesMax, action }, signal);
    };
    const token = await this.#token();
    const answer = await ask(token);
    if (!this.#mayAskAnew(answer.status, token)) return answer;
    await this.#tokens.renew(token);
    return ask(await this.#token());
  }

  /**
   * Makes one attempt. A request that is denied is sent once more where its token may have been replaced. Azure knows no
   * `null` version: the question is then about the current one.
   * @throws OrcaError as {@link HttpClient.request}; origin_no_credentials without a key or a token.
   */
  async #request(
    method: HttpRequest["method"],
    { bucket, key, versionId }: ObjectLocation,
    asked: Readonly<Record<string, string>>,
    onHead: HeadReceiver,
    signal: AbortSignal,
  ): Promise<ResponseHead> {
    const path = `${this.#basePath}${percentEncode(bucket)}/${percentEncode(key)}`;
    const isCurrent = versionId === undefined || versionId === nullVersionId;
    const query = isCurrent ? undefined : { versionid: versionId };
    const signed = (token: string | undefined): HttpRequest => {
      const request = this.#signed(method, path, asked, token, query);
      return query ? { ...request, path: `${path}?${encodeQuery(query)}` } : request;
    };
    const token = await this.#token();
    let isDenied = false;
    const onFirstHead: HeadReceiver = (head) => {
      isDenied = this.#mayAskAnew(head.status, token);
      return isDenied ? null : onHead(head);
    };
    const head = await this.#client.request(signed(token), onFirstHead, signal);
    if (!isDenied || token === undefined) return head;
    await this.#tokens.renew(token);
    return this.#client.request(signed(await this.#token()), onHead, signal);
  }

  /** Undefined with an account key. @throws OrcaError origin_no_credentials. */
  async #token(): Promise<string | undefined> {
    return this.#accountKey ? undefined : this.#tokens.get();
  }

  /** Whether a request with `token` that got this answer might be allowed with another one. */
  #mayAskAnew(status: number, token: string | undefined): token is string {
    return token !== undefined && (status === 401 || status === 403) && this.#tokens.mayRenew(token);
  }

  #signed(
    method: HttpRequest["method"],
    path: string,
    asked: Readonly<Record<string, string>>,
    token: string | undefined,
    query?: Readonly<Record<string, string>>,
  ): HttpRequest {
    const headers = {
      "x-ms-date": new Date(this.#options.clock.now()).toUTCString(),
      "x-ms-version": azureApiVersion,
      ...asked,
    };
    const authorization = this.#accountKey
      ? sharedKeyAuthorization(this.#accountKey, method, path, headers, query)
      : `Bearer ${token}`;
    return { method, path, headers: { host: this.#endpoint.host, authorization, ...headers } };
  }

  #errorOf(head: ResponseHead, action: string): OrcaError {
    return errorOfStatus(head.status, (name) => head.headers.get(name), action, this.#options.clock.now());
  }
}

/**
 * Whether Azure can hold a blob of this name. Azure resolves dot segments (and treats a backslash as a slash), so a
 * request for such a key would reach another blob, possibly in another container.
 */
export function isBlobName(key: string): boolean {
  return key !== "" && !key.split(/[/\\]/).some((segment) => segment === "." || segment === "..");
}

/** An answer without a type comes from an emulator or a proxy, and is a block blob, as in the Go Orca. */
function checkBlobType(head: ResponseHead, action: string): void {
  const blobType = head.headers.get("x-ms-blob-type");
  if (blobType === undefined || blobType === "BlockBlob") return;
  throw new OrcaError(
    "origin_unsupported",
    "origin",
    `${action}: expected a BlockBlob, found a "${blobType}"`,
  );
}
