/**
 * S3 as an origin: AWS itself, and what speaks like it. HEAD and GET go through the wire client, signed with the SDK's
 * own SigV4; LIST goes through the SDK, which knows the XML. The SDK also says where a bucket is to be reached, so that
 * partitions, path style and odd bucket names are its table and not ours. It is loaded when first needed.
 */
import type { S3Client } from "@aws-sdk/client-s3";
import { Hash } from "@smithy/hash-node";
import { SignatureV4 } from "@smithy/signature-v4";
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { errorOfStatus } from "./error-of-status.ts";
import {
  checkRangeResponse,
  escapeKey,
  type ObjectDialect,
  objectHeadOf,
  rangeHeaders,
} from "./http-object.ts";
import type {
  ByteSink,
  ListPage,
  ListRequest,
  ObjectHead,
  ObjectLocation,
  Origin,
  RangeRequest,
} from "./origin.ts";
import { Renewed } from "./renewed.ts";
import { type AwsCredentials, awsChainCredentials } from "./s3-credentials.ts";
import { listS3 } from "./s3-list.ts";
import { WireClient, wireOriginOf } from "./wire-client.ts";
import type { WireRequest, WireTimeouts } from "./wire-connection.ts";
import type { ResponseHead } from "./wire-head.ts";
import { withDeadline } from "./with-deadline.ts";

const dialect: ObjectDialect = { metadataPrefix: "x-amz-meta-", versionHeader: "x-amz-version-id" };
/** SHA-256 of no bytes: the payload of every GET and HEAD. */
const emptyPayloadHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

export interface S3OriginOptions extends WireTimeouts {
  readonly id: string;
  readonly region: string;
  /** Base URL of an S3 clone; without it, AWS in `region`. */
  readonly endpoint?: string | undefined;
  readonly usePathStyle: boolean;
  /** Without them, the chain of the AWS SDK: environment, shared files, web identity, container and instance roles. */
  readonly credentials?: AwsCredentials | undefined;
  readonly connectionsIdleMax: number;
  readonly clock: Clock;
}

/** How to reach one bucket. */
interface BucketSite {
  readonly client: WireClient;
  /** Host and port as the `Host` header has them. */
  readonly authority: string;
  /** Path in front of the key; ends with `/`. */
  readonly basePath: string;
}

export class S3Origin implements Origin {
  readonly id: string;
  readonly #options: S3OriginOptions;
  readonly #credentials: Renewed<AwsCredentials>;
  readonly #signer: SignatureV4;
  /** One entry per bucket and per host; only configured buckets are ever asked for, so neither grows without bound. */
  readonly #sites = new Map<string, Promise<BucketSite>>();
  readonly #clients = new Map<string, WireClient>();
  #sdk: Promise<S3Client> | undefined;

  constructor(options: S3OriginOptions) {
    this.id = options.id;
    this.#options = options;
    const explicit = options.credentials;
    this.#credentials = new Renewed({
      clock: options.clock,
      fetch: explicit
        ? () => Promise.resolve({ value: explicit, expiresAtMs: Number.POSITIVE_INFINITY })
        : () => awsChainCredentials(options.clock, options.attemptTimeoutMs),
      marginMs: 5 * 60_000,
    });
    this.#signer = new SignatureV4({
      service: "s3",
      region: options.region,
      credentials: () => this.#credentials.get(),
      sha256: Hash.bind(null, "sha256"),
      // S3 signs the path as it is sent; other services escape it twice and normalise it.
      uriEscapePath: false,
      applyChecksum: false,
    });
  }

  async head(location: ObjectLocation, signal: AbortSignal): Promise<ObjectHead | null> {
    const action = `Cannot get the metadata of "${location.bucket}/${location.key}"`;
    const site = await this.#site(location.bucket);
    const request = await this.#signed("HEAD", site, location.key, {});
    const head = await site.client.request(request, () => null, signal);
    if (head.status === 404) return null;
    if (head.status !== 200) throw this.#errorOf(head, action);
    return objectHeadOf(head, dialect, action);
  }

  async read(range: RangeRequest, sink: ByteSink, signal: AbortSignal): Promise<void> {
    const site = await this.#site(range.bucket);
    const request = await this.#signed("GET", site, range.key, rangeHeaders(range));
    const onHead = (head: ResponseHead): ByteSink => {
      const action = `Cannot read "${range.bucket}/${range.key}"`;
      if (head.status >= 300) throw this.#errorOf(head, action);
      checkRangeResponse(head, range, action);
      return sink;
    };
    await site.client.request(request, onHead, signal);
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    const { clock, attemptTimeoutMs } = this.#options;
    const action = `Cannot list "${request.bucket}"`;
    const sdk = await this.#loadSdk();
    return withDeadline(clock, attemptTimeoutMs, action, signal, (stop) =>
      listS3(sdk, request, action, clock, stop),
    );
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    void this.#sdk?.then((sdk) => sdk.destroy());
  }

  /** @throws OrcaError origin_denied where no credentials are to be had. */
  async #signed(
    method: WireRequest["method"],
    site: BucketSite,
    key: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<WireRequest> {
    const path = site.basePath + escapeKey(key);
    const signed = await this.#signer.sign(
      {
        method,
        protocol: "https:",
        hostname: site.authority,
        path,
        headers: { host: site.authority, "x-amz-content-sha256": emptyPayloadHash, ...headers },
      },
      { signingDate: new Date(this.#options.clock.now()) },
    );
    return { method, path, headers: signed.headers };
  }

  #errorOf(head: ResponseHead, action: string): OrcaError {
    return errorOfStatus(head.status, (name) => head.headers.get(name), action, this.#options.clock.now());
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
    const { endpoint, region, usePathStyle } = this.#options;
    const sdk = await this.#loadSdk();
    let url: URL;
    try {
      ({ url } = sdk.config.endpointProvider({
        Bucket: bucket,
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
      throw OrcaError.from(
        thrown,
        "origin_unsupported",
        "origin",
        `Cannot find the endpoint of bucket "${bucket}"`,
      );
    }
    return { client: this.#client(url), authority: url.host, basePath: url.pathname.replace(/\/*$/, "/") };
  }

  #client(url: URL): WireClient {
    let client = this.#clients.get(url.origin);
    if (!client) {
      client = new WireClient({ ...this.#options, origin: wireOriginOf(url) });
      this.#clients.set(url.origin, client);
    }
    return client;
  }

  #loadSdk(): Promise<S3Client> {
    this.#sdk ??= import("@aws-sdk/client-s3").then(({ S3Client }) => {
      const { endpoint, region, usePathStyle } = this.#options;
      return new S3Client({
        region,
        ...(endpoint === undefined ? {} : { endpoint }),
        forcePathStyle: usePathStyle,
        // The same endpoint for LIST as for GET, whatever AWS_ENDPOINT_URL says.
        ignoreConfiguredEndpointUrls: true,
        credentials: () => this.#credentials.get(),
        // GuardedOrigin repeats; clones of S3 do not know the checksums that the SDK sends by default.
        maxAttempts: 1,
        requestChecksumCalculation: "WHEN_REQUIRED",
        responseChecksumValidation: "WHEN_REQUIRED",
      });
    });
    return this.#sdk;
  }
}
