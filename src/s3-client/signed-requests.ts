/**
 * Requests to S3 and compatible servers with the HTTP client, signed with the SigV4 of the AWS SDK. The SDK also resolves
 * the endpoint of a bucket, so that partitions, path style and odd bucket names are its concern. The SDK is loaded when
 * it is first needed. Callers use it for rare requests whose answers are XML.
 */
import type { ConnectionOptions } from "node:tls";
import type { S3Client } from "@aws-sdk/client-s3";
import { Hash } from "@smithy/hash-node";
import { SignatureV4 } from "@smithy/signature-v4";
import type { Clock } from "../base/clock.ts";
import { LruMap } from "../base/lru-map.ts";
import { OrcaError } from "../base/orca-error.ts";
import { encodeQuery, percentEncode } from "../base/percent-encoding.ts";
import { Renewed, type RenewedOptions } from "../base/renewed.ts";
import { HttpClient, httpServerOf } from "../http-client/http-client.ts";
import type { HeadReceiver, HttpRequest, HttpTimeouts } from "../http-client/http-connection.ts";
import type { RemoteFaults } from "../http-client/remote-faults.ts";
import type { ResponseHead } from "../http-client/response-head.ts";
import { type WholeAnswer, WholeAnswers, type WholeRequest } from "../http-client/whole-answers.ts";
import { type AwsCredentials, awsChainCredentials, isSameKey } from "./aws-credentials.ts";

/** SHA-256 of the empty payload of every GET, HEAD and DELETE. */
const emptyPayloadHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

export interface SignedRequestsOptions extends HttpTimeouts {
  readonly region: string;
  /** Base URL of a compatible server. AWS in `region` by default. */
  readonly endpoint?: string | undefined;
  readonly usePathStyle: boolean;
  /** Whether each request says that its signer pays for it. */
  readonly requestPayer?: boolean;
  /** By default the chain of the AWS SDK: environment, shared files, web identity, container and instance roles. */
  readonly credentials?: AwsCredentials | undefined;
  /** @see RenewedOptions */
  readonly onRenewal?: RenewalReport | undefined;
  readonly connectionsIdleMax: number;
  readonly tls?: ConnectionOptions | undefined;
  readonly faults: RemoteFaults;
  readonly clock: Clock;
}

/** Notified of renewals of credentials that fail, and of their recovery. */
export type RenewalReport = Pick<RenewedOptions<unknown>, "onFailure" | "onRecovery">;

/** One request about one object. */
export interface S3Request {
  readonly method: HttpRequest["method"];
  readonly bucket: string;
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent, and not covered by the signature. */
  readonly unsignedHeaders?: Readonly<Record<string, string>>;
  readonly payload?: S3Payload | undefined;
  /** The key to sign with in place of Orca's own. */
  readonly signAs?: OtherKey | undefined;
}

/** Somebody else's key, or none: the request is not signed then. */
export type OtherKey = AwsCredentials | "anonymous";

/** The body of a PUT. Its hash is signed, so that the server stores exactly this body or answers an error. */
export interface S3Payload {
  readonly slices: readonly Uint8Array[];
  /** Hex. */
  readonly sha256: string;
}

/** A GET whose answer is read whole. */
export interface S3WholeRequest extends Pick<WholeRequest, "bytesMax" | "action"> {
  /** Left out: the service itself, to list the buckets. */
  readonly bucket?: string;
  /** Left out for one about the bucket. */
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signAs?: OtherKey | undefined;
  readonly query: Readonly<Record<string, string>>;
}

/** How to reach one bucket. */
interface BucketSite {
  readonly url: URL;
  readonly client: HttpClient;
  /** Host and port as the `Host` header has them. */
  readonly authority: string;
  /** Path before the key. It ends with `/`. */
  readonly basePath: string;
}

/** Buckets whose address is known. Without path style each has connections of its own, which close when they are idle. */
const sitesMax = 1000;

export class SignedRequests {
  readonly #options: SignedRequestsOptions;
  readonly #credentials: Renewed<AwsCredentials>;
  /** The key of {@link #signer}. */
  #signerKey: AwsCredentials | undefined;
  #signer: SignatureV4 | undefined;
  /** By bucket; empty for the service itself. Clients may name any bucket, so the least recently used ones are forgotten. */
  readonly #sites = new LruMap<string, Promise<BucketSite>>({
    entriesMax: sitesMax,
    onEvict: (site) => void site.then(({ url }) => this.#closeUnused(url)).catch(() => {}),
  });
  /** How many of them have the same host. */
  readonly #sitesByOrigin = new Map<string, number>();
  /** By the origins of URLs, as the next. One for all buckets with path style, else one for each. */
  readonly #clients = new Map<string, HttpClient>();
  readonly #wholeAnswers = new Map<string, WholeAnswers>();
  #sdk: Promise<S3Client> | undefined;

  constructor(options: SignedRequestsOptions) {
    this.#options = options;
    const explicit = options.credentials;
    this.#credentials = new Renewed({
      clock: options.clock,
      fetch: explicit
        ? () => Promise.resolve({ value: explicit, expiresAtMs: Number.POSITIVE_INFINITY })
        : () => awsChainCredentials({ ...options, timeoutMs: options.attemptTimeoutMs }),
      marginMs: 5 * 60_000,
      isSame: isSameKey,
      ...options.onRenewal,
    });
  }

  /**
   * Makes one attempt. A request that Orca signed and that is denied is sent once more where its key may have been
   * replaced.
   * @see HttpClient.request
   * @throws OrcaError as there, and of `faults`: noCredentials where there are no credentials, unsupported where the SDK knows no
   *   endpoint for a bucket of this name.
   */
  async request(request: S3Request, onHead: HeadReceiver, signal: AbortSignal): Promise<ResponseHead> {
    const site = await this.#site(request.bucket);
    if (!this.#isRenewable(request)) {
      return site.client.request(await this.#signed(request, site), onHead, signal);
    }
    const key = await this.#credentials.get();
    let isDenied = false;
    const onFirstHead: HeadReceiver = (head) => {
      isDenied = this.#maySignAnew(head.status, key);
      return isDenied ? null : onHead(head);
    };
    const head = await site.client.request(await this.#signed(request, site, key), onFirstHead, signal);
    if (!isDenied) return head;
    await this.#credentials.renew(key);
    return site.client.request(await this.#signed(request, site), onHead, signal);
  }

  /** Makes one attempt, as {@link request} does. @see WholeAnswers.get @throws OrcaError as {@link request}. */
  async whole(wanted: S3WholeRequest, signal: AbortSignal): Promise<WholeAnswer> {
    const { bytesMax, action, bucket = "", key = "", query, headers: asked, signAs } = wanted;
    const site = await this.#site(bucket);
    const request = { method: "GET", bucket, key, query, signAs, ...(asked && { headers: asked }) } as const;
    const ask = async (as?: AwsCredentials): Promise<WholeAnswer> => {
      const { path, headers } = await this.#signed(request, site, as);
      return this.#wholeAnswersOf(site.url).get({ path, headers, bytesMax, action }, signal);
    };
    if (!this.#isRenewable(wanted)) return ask();
    const ownKey = await this.#credentials.get();
    const answer = await ask(ownKey);
    if (!this.#maySignAnew(answer.status, ownKey)) return answer;
    await this.#credentials.renew(ownKey);
    return ask();
  }

  /** Whether the key of a request may be replaced while Orca runs. Configured keys and those of clients are not. */
  #isRenewable({ signAs }: { readonly signAs?: OtherKey | undefined }): boolean {
    return signAs === undefined && this.#options.credentials === undefined;
  }

  /** Whether a request that was signed with `key` and got this answer might be allowed with another signature. */
  #maySignAnew(status: number, key: AwsCredentials): boolean {
    // S3 answers 400 for a token that has expired, and 403 for a key that it does not know.
    return (status === 400 || status === 401 || status === 403) && this.#credentials.mayRenew(key);
  }

  /** The SDK, with the same endpoint and credentials. It does not retry. */
  sdk(): Promise<S3Client> {
    this.#sdk ??= import("@aws-sdk/client-s3").then(({ S3Client }) => {
      const { endpoint, region, usePathStyle } = this.#options;
      return new S3Client({
        region,
        ...(endpoint === undefined ? {} : { endpoint }),
        forcePathStyle: usePathStyle,
        // The same endpoint for all requests, whatever AWS_ENDPOINT_URL says.
        ignoreConfiguredEndpointUrls: true,
        credentials: () => this.#credentials.get(),
        maxAttempts: 1,
        // Compatible servers do not know the checksums that the SDK sends by default.
        requestChecksumCalculation: "WHEN_REQUIRED",
        responseChecksumValidation: "WHEN_REQUIRED",
      });
    });
    return this.#sdk;
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    for (const answers of this.#wholeAnswers.values()) answers.close();
    void this.#sdk?.then((sdk) => sdk.destroy());
  }

  /** `ownKey` is Orca's own, where the caller has asked for it. */
  async #signed(request: S3Request, site: BucketSite, ownKey?: AwsCredentials): Promise<HttpRequest> {
    const { method, payload, query } = request;
    const path = site.basePath + percentEncode(request.key);
    const headers = {
      host: site.authority,
      "x-amz-content-sha256": payload?.sha256 ?? emptyPayloadHash,
      ...(this.#options.requestPayer && { "x-amz-request-payer": "requester" }),
      ...request.headers,
    };
    const { signAs } = request;
    const target = query ? `${path}?${encodeQuery(query)}` : path;
    if (signAs === "anonymous") {
      return { method, path: target, headers: { host: headers.host, ...request.headers } };
    }
    const signer = signAs
      ? this.#signerOf(signAs)
      : this.#signerOfOwn(ownKey ?? (await this.#credentials.get()));
    const signed = await signer.sign(
      {
        method,
        protocol: "https:",
        hostname: site.authority,
        path,
        headers,
        ...(query && { query: { ...query } }),
      },
      { signingDate: new Date(this.#options.clock.now()) },
    );
    return {
      method,
      path: target,
      headers: { ...signed.headers, ...request.unsignedHeaders },
      body: payload?.slices,
    };
  }

  #signerOfOwn(key: AwsCredentials): SignatureV4 {
    if (this.#signer && this.#signerKey === key) return this.#signer;
    this.#signerKey = key;
    this.#signer = this.#signerOf(key);
    return this.#signer;
  }

  #signerOf(credentials: AwsCredentials): SignatureV4 {
    return new SignatureV4({
      service: "s3",
      region: this.#options.region,
      credentials,
      sha256: Hash.bind(null, "sha256"),
      // S3 signs the path as it is sent. Other services escape it twice and normalise it.
      uriEscapePath: false,
      applyChecksum: false,
    });
  }

  #site(bucket: string): Promise<BucketSite> {
    let site = this.#sites.get(bucket);
    if (!site) {
      site = this.#resolveSite(bucket);
      this.#sites.set(bucket, site);
      site.catch(() => this.#sites.delete(bucket));
    }
    return site;
  }

  async #resolveSite(bucket: string): Promise<BucketSite> {
    const { endpoint, region, usePathStyle, faults } = this.#options;
    const sdk = await this.sdk();
    let url: URL;
    try {
      ({ url } = sdk.config.endpointProvider({
        ...(bucket !== "" && { Bucket: bucket }),
        Region: region,
        ...(endpoint === undefined ? {} : { Endpoint: endpoint }),
        ForcePathStyle: usePathStyle,
        UseFIPS: false,
        UseDualStack: false,
        Accelerate: false,
        UseGlobalEndpoint: false,
        DisableMultiRegionAccessPoints: true,
      }));
    } catch (thrown) {
      const action = `Cannot find the endpoint of bucket "${bucket}"`;
      throw OrcaError.from(thrown, faults.unsupported, faults.source, action);
    }
    this.#sitesByOrigin.set(url.origin, (this.#sitesByOrigin.get(url.origin) ?? 0) + 1);
    return {
      url,
      client: this.#client(url),
      authority: url.host,
      basePath: url.pathname.replace(/\/*$/, "/"),
    };
  }

  /** A host that no other bucket has is closed: requests that run end first, except those whose answers are read whole. */
  #closeUnused({ origin }: URL): void {
    const sites = (this.#sitesByOrigin.get(origin) ?? 1) - 1;
    if (sites > 0) {
      this.#sitesByOrigin.set(origin, sites);
      return;
    }
    this.#sitesByOrigin.delete(origin);
    this.#clients.get(origin)?.close();
    this.#clients.delete(origin);
    this.#wholeAnswers.get(origin)?.close();
    this.#wholeAnswers.delete(origin);
  }

  #wholeAnswersOf(url: URL): WholeAnswers {
    let answers = this.#wholeAnswers.get(url.origin);
    if (!answers) {
      answers = new WholeAnswers({ ...this.#options, url });
      this.#wholeAnswers.set(url.origin, answers);
    }
    return answers;
  }

  #client(url: URL): HttpClient {
    let client = this.#clients.get(url.origin);
    if (!client) {
      client = new HttpClient({ ...this.#options, server: httpServerOf(url) });
      this.#clients.set(url.origin, client);
    }
    return client;
  }
}
