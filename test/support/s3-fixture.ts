/**
 * The S3 driver on top of a server that speaks S3, for the origin contract. Objects are stored through the SDK, so
 * that the driver under test never checks its own work; the same code serves RGW and the in-repo server.
 */
import { CreateBucketCommand, DeleteObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { SystemClock } from "../../src/base/clock.ts";
import { S3Origin } from "../../src/origin/s3-origin.ts";
import type { OriginFixture, OriginTraits } from "../contract/origin-fixture.ts";
import { freePort } from "./process.ts";
import { S3Server } from "./s3-server.ts";

export interface S3Endpoint {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  stop(): Promise<void>;
}

export const s3Traits: OriginTraits = {
  storedHeaders: [
    "contentType",
    "contentEncoding",
    "contentLanguage",
    "contentDisposition",
    "cacheControl",
    "expires",
    "metadata",
  ],
  oddKeys: [
    "/leading",
    "trailing/",
    "two//slashes",
    "a/../b",
    "../up",
    "./here",
    "a/.",
    "back\\slash",
    "tab\tnewline\n",
  ],
  ordersByUtf8: true,
  isRemote: true,
};

/** The in-repo server where it has to stand in for a real one: signatures are checked. */
export async function startSignedS3Server(): Promise<S3Endpoint> {
  const credentials = { accessKey: "orcatest", secretKey: "orcatestsecret" };
  const server = await S3Server.start({ credentials });
  return { endpoint: server.endpoint, ...credentials, stop: () => server.stop() };
}

/** Takes over `server`: closing the fixture stops it. */
export async function openS3Fixture(server: S3Endpoint): Promise<OriginFixture> {
  const bucket = "contract";
  const credentials = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey };
  const client = new S3Client({
    endpoint: server.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  const origins = [
    s3OriginAt(server.endpoint, credentials),
    s3OriginAt(server.endpoint, { ...credentials, secretAccessKey: "wrong" }),
    s3OriginAt(`http://127.0.0.1:${await freePort()}`, credentials),
  ] as const;
  const [origin, strangerOrigin, absentOrigin] = origins;
  return {
    origin,
    remote: { strangerOrigin, absentOrigin },
    bucket,
    put: async (key, body, headers) => {
      await client.send(
        new PutObjectCommand({
          Bucket: bucket,
          Key: key,
          Body: body,
          ContentType: headers.contentType,
          ContentEncoding: headers.contentEncoding,
          ContentLanguage: headers.contentLanguage,
          ContentDisposition: headers.contentDisposition,
          CacheControl: headers.cacheControl,
          Expires: headers.expires === undefined ? undefined : new Date(headers.expires),
          Metadata: headers.metadata,
        }),
      );
    },
    delete: async (key) => {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    },
    close: async () => {
      for (const each of origins) each.close();
      client.destroy();
      await server.stop();
    },
  };
}

export function s3OriginAt(
  endpoint: string,
  credentials: { readonly accessKeyId: string; readonly secretAccessKey: string },
): S3Origin {
  return new S3Origin({
    id: "contract-s3",
    region: "us-east-1",
    endpoint,
    usePathStyle: true,
    credentials,
    connectTimeoutMs: 5000,
    attemptTimeoutMs: 20_000,
    stallTimeoutMs: 20_000,
    connectionsIdleMax: 8,
    clock: new SystemClock(),
  });
}
