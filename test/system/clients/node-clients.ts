/** Clients of S3 that are libraries for Node. */
import { GetObjectCommand, HeadObjectCommand, paginateListObjectsV2, S3Client } from "@aws-sdk/client-s3";
import { AwsClient } from "aws4fetch";
import { Client as MinioClient } from "minio";
import type { Requirement } from "../installed.ts";
import { type Client, listTarget, namesIn, pathOf } from "./client.ts";

function npm(name: string): Requirement {
  return { name, isInstalled: () => true, install: "npm ci", isInstalledByCi: true };
}

const awsSdk: Client = {
  name: "AWS SDK for JavaScript",
  required: npm("@aws-sdk/client-s3"),
  open: async ({ endpoint, bucket, key: credentials }) => {
    const client = new S3Client({
      endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials,
      maxAttempts: 1,
      // It asks for checksums, and compares each that it gets.
      responseChecksumValidation: "WHEN_SUPPORTED",
    });
    const bytesOf = async (key: string, range?: string): Promise<Uint8Array> => {
      const { Body } = await client.send(
        new GetObjectCommand({ Bucket: bucket, Key: key, ...(range !== undefined && { Range: range }) }),
      );
      return Body?.transformToByteArray() ?? new Uint8Array();
    };
    return {
      list: async (prefix) => {
        const names: string[] = [];
        const query = { Bucket: bucket, Prefix: prefix, Delimiter: "/" };
        for await (const page of paginateListObjectsV2({ client, pageSize: 2 }, query)) {
          names.push(...(page.CommonPrefixes ?? []).map((each) => each.Prefix ?? ""));
          names.push(...(page.Contents ?? []).map((each) => each.Key ?? ""));
        }
        return names.map((name) => name.slice(prefix.length));
      },
      head: async (key) =>
        (await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))).ContentLength ?? -1,
      read: (key) => bytesOf(key),
      readRange: (key, first, last) => bytesOf(key, `bytes=${first}-${last}`),
      close: async () => client.destroy(),
    };
  },
  missing: /NoSuchKey|NotFound/,
  denied: /SignatureDoesNotMatch/,
  unknown: /InvalidAccessKeyId/,
  rangesOfLarge: 0,
};

const aws4fetch: Client = {
  name: "aws4fetch",
  required: npm("aws4fetch"),
  open: async ({ endpoint, bucket, key: credentials }) => {
    const client = new AwsClient({ ...credentials, service: "s3", region: "us-east-1", retries: 0 });
    const get = async (target: string, init: RequestInit = {}): Promise<Response> => {
      const response = await client.fetch(`${endpoint}/${bucket}${target}`, init);
      if (!response.ok) throw new Error(`status ${response.status}`);
      return response;
    };
    const bytesOf = async (key: string, headers: Record<string, string> = {}): Promise<Uint8Array> =>
      new Uint8Array(await (await get(`/${pathOf(key)}`, { headers })).arrayBuffer());
    return {
      list: async (prefix) => namesIn(await (await get(listTarget(prefix))).text(), prefix),
      head: async (key) => {
        const { headers } = await get(`/${pathOf(key)}`, { method: "HEAD" });
        return Number(headers.get("content-length"));
      },
      read: (key) => bytesOf(key),
      readRange: (key, first, last) => bytesOf(key, { range: `bytes=${first}-${last}` }),
    };
  },
  missing: /status 404/,
  denied: /status 403/,
  rangesOfLarge: 0,
};

const minio: Client = {
  name: "minio",
  required: npm("minio"),
  open: async ({ endpoint, bucket, key: credentials }) => {
    const { hostname, port } = new URL(endpoint);
    const client = new MinioClient({
      endPoint: hostname,
      port: Number(port),
      useSSL: false,
      accessKey: credentials.accessKeyId,
      secretKey: credentials.secretAccessKey,
      retryOptions: { disableRetry: true },
    });
    return {
      list: async (prefix) => {
        const entries = client.listObjectsV2(bucket, prefix) as AsyncIterable<{
          name?: string;
          prefix?: string;
        }>;
        const names = await Array.fromAsync(entries, (each) => each.name ?? each.prefix ?? "");
        return names.map((name) => name.slice(prefix.length));
      },
      head: async (key) => (await client.statObject(bucket, key)).size,
      read: async (key) => collect(await client.getObject(bucket, key)),
      readRange: async (key, first, last) =>
        collect(await client.getPartialObject(bucket, key, first, last + 1 - first)),
    };
  },
  missing: /does not exist|Not Found/,
  denied: /SignatureDoesNotMatch|signature/,
  unknown: /InvalidAccessKeyId|Access Key Id/,
  rangesOfLarge: 0,
};

async function collect(body: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(body));
}

export const nodeClients: readonly Client[] = [awsSdk, aws4fetch, minio];
