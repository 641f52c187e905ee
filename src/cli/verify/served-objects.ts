/**
 * Orca as `orca verify-reads` sees it: through the SDK of AWS, as other clients do, and not through Orca's own HTTP
 * client, which would share its faults. The SDK repeats a request that fails, as clients do.
 */
import type { Readable } from "node:stream";
import { GetObjectCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import type { Environment } from "../../config/secret.ts";
import type { PlannedRead } from "./read-plan.ts";

export interface ServedObject {
  /** Without quotes; empty if there is none. */
  readonly etag: string;
  /** As `Content-Length` says. */
  readonly lengthBytes: number | undefined;
  readonly body: Readable;
}

export interface PageQuestion {
  readonly prefix: string;
  /** Empty for none, as `token` is for the first page. */
  readonly delimiter: string;
  readonly maxKeys: number;
  readonly token: string;
}

/** An object, or a common prefix, which has no size and no ETag. */
export interface ListedEntry {
  readonly name: string;
  readonly sizeBytes?: number;
  readonly etag?: string;
}

export interface ServedPage {
  /** Objects, and then common prefixes. */
  readonly entries: readonly ListedEntry[];
  readonly keyCount: number | undefined;
  readonly isTruncated: boolean;
  /** Empty where the page has none. */
  readonly nextToken: string;
}

const connectTimeoutMs = 10_000;
/** Without a byte. */
const idleTimeoutMs = 60_000;

export class ServedObjects {
  readonly endpoint: string;
  readonly #client: S3Client;

  /** Requests are signed where `env` has a key for that, `AWS_ACCESS_KEY_ID`. */
  constructor(endpoint: string, clients: number, env: Environment) {
    this.endpoint = endpoint;
    const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
    const sessionToken = env["AWS_SESSION_TOKEN"];
    this.#client = new S3Client({
      endpoint,
      region: env["AWS_REGION"] || env["AWS_DEFAULT_REGION"] || "us-east-1",
      forcePathStyle: true,
      ...(accessKeyId && secretAccessKey
        ? { credentials: { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) } }
        : { credentials: { accessKeyId: "", secretAccessKey: "" }, signer: unsigned }),
      requestChecksumCalculation: "WHEN_REQUIRED",
      // The bytes are compared, so their checksum says nothing more.
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: {
        connectionTimeout: connectTimeoutMs,
        requestTimeout: idleTimeoutMs,
        socketTimeout: idleTimeoutMs,
        httpAgent: { keepAlive: true, maxSockets: clients },
        httpsAgent: { keepAlive: true, maxSockets: clients },
      },
    });
  }

  /** Resolves with the head of the answer here, and the body to come. @throws ServiceException of the SDK. */
  async get(
    bucket: string,
    key: string,
    { offset, lengthBytes, isWhole }: PlannedRead,
    signal: AbortSignal,
  ): Promise<ServedObject> {
    const range = isWhole ? {} : { Range: `bytes=${offset}-${offset + lengthBytes - 1}` };
    const command = new GetObjectCommand({ Bucket: bucket, Key: key, ...range });
    const { ETag = "", ContentLength, Body } = await this.#client.send(command, { abortSignal: signal });
    const body = Body as Readable;
    // A read that has ended early leaves the body, and its error, to nobody.
    body.on("error", () => {});
    return { etag: unquoted(ETag), lengthBytes: ContentLength, body };
  }

  /** One page of LIST v2. @throws ServiceException of the SDK. */
  async list(
    bucket: string,
    { prefix, delimiter, maxKeys, token }: PageQuestion,
    signal: AbortSignal,
  ): Promise<ServedPage> {
    const command = new ListObjectsV2Command({
      Bucket: bucket,
      Prefix: prefix,
      MaxKeys: maxKeys,
      ...(delimiter !== "" && { Delimiter: delimiter }),
      ...(token !== "" && { ContinuationToken: token }),
    });
    const page = await this.#client.send(command, { abortSignal: signal });
    const objects = (page.Contents ?? []).map(({ Key = "", Size = -1, ETag = "" }) => ({
      name: Key,
      sizeBytes: Size,
      etag: unquoted(ETag),
    }));
    const prefixes = (page.CommonPrefixes ?? []).map(({ Prefix = "" }) => ({ name: Prefix }));
    return {
      entries: [...objects, ...prefixes],
      keyCount: page.KeyCount,
      isTruncated: page.IsTruncated === true,
      nextToken: page.NextContinuationToken ?? "",
    };
  }

  close(): void {
    this.#client.destroy();
  }
}

function unquoted(etag: string): string {
  return etag.replace(/^(?:W\/)?"(.*)"$/, "$1");
}

const unsigned = { sign: <Request>(request: Request): Promise<Request> => Promise.resolve(request) };
