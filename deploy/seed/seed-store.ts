/** The stores that `npm run seed` writes to, through the vendors' own clients: S3 and Azure Blob Storage. */

import { readFileSync } from "node:fs";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  HeadBucketCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { DefaultAzureCredential } from "@azure/identity";
import { BlobServiceClient, type ContainerClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { OrcaError } from "../../src/base/orca-error.ts";
import type { Fault } from "../../src/config/fault.ts";
import { type Environment, readSecrets, type Secrets } from "../../src/config/secret.ts";

/** An object that is written in parts, one after the other. */
export interface SeedUpload {
  part(content: Buffer): Promise<void>;
  finish(): Promise<void>;
  /** The store forgets the parts. Never rejects: the caller has the error that matters. */
  abandon(): Promise<void>;
}

export interface SeedStore {
  keyOf(index: number): string;
  /** Creates the bucket or container, unless it exists. */
  create(signal: AbortSignal): Promise<void>;
  put(key: string, content: Buffer, signal: AbortSignal): Promise<void>;
  begin(key: string, signal: AbortSignal): Promise<SeedUpload>;
  close(): void;
}

/** @throws OrcaError `invalid_argument` */
export function openSeedStore(to: string, endpoint: string | undefined, env: Environment): SeedStore {
  if (endpoint !== undefined && !/^https?:\/\//.test(endpoint)) {
    throw invalid(`Cannot use the endpoint "${endpoint}": expected one such as http://127.0.0.1:9000`);
  }
  // The URL of an origin may have one, which would be a part of the key here.
  if (to.includes("?")) {
    throw invalid(`Cannot write to "${to}": expected no query; name the store with --endpoint URL`);
  }
  const faults: Fault[] = [];
  const secrets = readSecrets(env, (path) => readFileSync(path, "utf8"), faults);
  const [fault] = faults;
  if (fault) throw invalid(`Cannot use the credentials: ${fault.path}: ${fault.message}`);
  const s3 = /^s3:\/\/([\w.-]+)(?:\/(.*))?$/s.exec(to);
  if (s3) return new S3SeedStore(s3[1] ?? "", s3[2] ?? "", s3ClientOf(endpoint, secrets, env));
  const azure = /^azblob:\/\/([a-z0-9]+)\/([\w$-]+)(?:\/(.*))?$/s.exec(to);
  if (!azure) {
    throw invalid(
      `Cannot write to "${to}": expected s3://BUCKET/PREFIX or azblob://ACCOUNT/CONTAINER/PREFIX`,
    );
  }
  const [, account = "", container = "", prefix = ""] = azure;
  return new AzureSeedStore(azureContainer(account, container, endpoint, secrets), prefix);
}

function invalid(message: string): OrcaError {
  return new OrcaError("invalid_argument", "config", message);
}

function keyBelow(prefix: string, index: number): string {
  const name = String(index).padStart(6, "0");
  const folder = prefix.replace(/\/+$/, "");
  return folder === "" ? name : `${folder}/${name}`;
}

function s3ClientOf(endpoint: string | undefined, secrets: Secrets, env: Environment): S3Client {
  const { awss3AccessKey, awss3SecretKey, awss3SessionToken } = secrets;
  return new S3Client({
    region: env["ORCA_ORIGIN_AWSS3_REGION"] || env["AWS_REGION"] || env["AWS_DEFAULT_REGION"] || "us-east-1",
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
    ...(awss3AccessKey &&
      awss3SecretKey && {
        credentials: {
          accessKeyId: awss3AccessKey.reveal(),
          secretAccessKey: awss3SecretKey.reveal(),
          ...(awss3SessionToken && { sessionToken: awss3SessionToken.reveal() }),
        },
      }),
    // Compatible servers do not know the checksums that the SDK sends by default.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
}

class S3SeedStore implements SeedStore {
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #client: S3Client;

  constructor(bucket: string, prefix: string, client: S3Client) {
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.#client = client;
  }

  keyOf(index: number): string {
    return keyBelow(this.#prefix, index);
  }

  async create(abortSignal: AbortSignal): Promise<void> {
    const bucket = { Bucket: this.#bucket };
    const exists = await this.#client.send(new HeadBucketCommand(bucket), { abortSignal }).then(
      () => true,
      () => false,
    );
    if (!exists) await this.#client.send(new CreateBucketCommand(bucket), { abortSignal });
  }

  async put(key: string, content: Buffer, abortSignal: AbortSignal): Promise<void> {
    await this.#client.send(new PutObjectCommand({ Bucket: this.#bucket, Key: key, Body: content }), {
      abortSignal,
    });
  }

  async begin(key: string, abortSignal: AbortSignal): Promise<SeedUpload> {
    const client = this.#client;
    const object = { Bucket: this.#bucket, Key: key };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(object), { abortSignal });
    const Parts: { readonly PartNumber: number; readonly ETag: string | undefined }[] = [];
    return {
      part: async (Body) => {
        const PartNumber = Parts.length + 1;
        const command = new UploadPartCommand({ ...object, UploadId, PartNumber, Body });
        const { ETag } = await client.send(command, { abortSignal });
        Parts.push({ PartNumber, ETag });
      },
      finish: async () => {
        const command = new CompleteMultipartUploadCommand({
          ...object,
          UploadId,
          MultipartUpload: { Parts },
        });
        await client.send(command, { abortSignal });
      },
      abandon: async () => {
        await client.send(new AbortMultipartUploadCommand({ ...object, UploadId })).catch(() => {});
      },
    };
  }

  close(): void {
    this.#client.destroy();
  }
}

function azureContainer(
  account: string,
  container: string,
  endpoint = `https://${account}.blob.core.windows.net`,
  { azureblobAccountKey }: Secrets,
): ContainerClient {
  const credential = azureblobAccountKey
    ? new StorageSharedKeyCredential(account, azureblobAccountKey.reveal())
    : new DefaultAzureCredential();
  return new BlobServiceClient(endpoint, credential).getContainerClient(container);
}

class AzureSeedStore implements SeedStore {
  readonly #container: ContainerClient;
  readonly #prefix: string;

  constructor(container: ContainerClient, prefix: string) {
    this.#container = container;
    this.#prefix = prefix;
  }

  keyOf(index: number): string {
    return keyBelow(this.#prefix, index);
  }

  async create(abortSignal: AbortSignal): Promise<void> {
    await this.#container.createIfNotExists({ abortSignal });
  }

  async put(key: string, content: Buffer, abortSignal: AbortSignal): Promise<void> {
    await this.#container.getBlockBlobClient(key).upload(content, content.length, { abortSignal });
  }

  begin(key: string, abortSignal: AbortSignal): Promise<SeedUpload> {
    const blob = this.#container.getBlockBlobClient(key);
    const blocks: string[] = [];
    return Promise.resolve({
      part: async (content: Buffer) => {
        const id = Buffer.from(String(blocks.length).padStart(6, "0")).toString("base64");
        await blob.stageBlock(id, content, content.length, { abortSignal });
        blocks.push(id);
      },
      finish: async () => {
        await blob.commitBlockList(blocks, { abortSignal });
      },
      // Azure deletes blocks that were not committed, after a week.
      abandon: () => Promise.resolve(),
    });
  }

  /** The client of Azure holds no connections that keep a process alive. */
  close(): void {}
}
