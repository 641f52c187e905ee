/**
 * The Azure Blob driver on top of Azurite, for the origin contract. Blobs are stored through the vendor's own client,
 * so that the driver under test never checks its own work.
 */
import { randomBytes } from "node:crypto";
import type { BlobHTTPHeaders, ContainerClient } from "@azure/storage-blob";
import { SystemClock } from "../../src/base/clock.ts";
import { AzureBlobOrigin } from "../../src/origin/azure-blob-origin.ts";
import type { OriginFixture, OriginTraits, StoredHeaders } from "../contract/origin-fixture.ts";
import { startAzurite } from "./azurite.ts";
import { freePort } from "./process.ts";

/**
 * Blobs have no Expires, Azure's own clients resolve `.` and `..` in a name before they ask for it, and Azurite lists
 * names in JavaScript's order.
 */
export const azureTraits: OriginTraits = {
  storedHeaders: [
    "contentType",
    "contentEncoding",
    "contentLanguage",
    "contentDisposition",
    "cacheControl",
    "metadata",
  ],
  oddKeys: ["/leading", "trailing/", "two//slashes"],
  ordersByUtf8: false,
  isRemote: true,
};

export interface AzureFixture extends OriginFixture {
  /** The vendor's own client for the bucket. */
  readonly container: ContainerClient;
}

export async function openAzureFixture(): Promise<AzureFixture> {
  const bucket = "contract";
  const azurite = await startAzurite();
  const container = azurite.client.getContainerClient(bucket);
  await container.create();
  const { account, accountKey, endpoint } = azurite;
  const origin = azureOriginAt(endpoint, account, accountKey);
  const strangerOrigin = azureOriginAt(endpoint, account, randomBytes(32).toString("base64"));
  const absentOrigin = azureOriginAt(`http://127.0.0.1:${await freePort()}/${account}`, account, accountKey);
  return {
    origin,
    bucket,
    container,
    remote: { strangerOrigin, absentOrigin },
    put: async (key, body, headers) => {
      await container.getBlockBlobClient(key).upload(body, body.length, {
        blobHTTPHeaders: blobHeaders(headers),
        metadata: headers.metadata ?? {},
      });
    },
    delete: async (key) => {
      await container.getBlobClient(key).delete();
    },
    close: async () => {
      for (const each of [origin, strangerOrigin, absentOrigin]) each.close();
      await azurite.stop();
    },
  };
}

/** The SDK takes a header that is not there and one that is undefined for two things. */
function blobHeaders(headers: StoredHeaders): BlobHTTPHeaders {
  const { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl } = headers;
  return {
    ...(contentType !== undefined && { blobContentType: contentType }),
    ...(contentEncoding !== undefined && { blobContentEncoding: contentEncoding }),
    ...(contentLanguage !== undefined && { blobContentLanguage: contentLanguage }),
    ...(contentDisposition !== undefined && { blobContentDisposition: contentDisposition }),
    ...(cacheControl !== undefined && { blobCacheControl: cacheControl }),
  };
}

function azureOriginAt(endpoint: string, account: string, accountKey: string): AzureBlobOrigin {
  return new AzureBlobOrigin({
    id: "contract-azure",
    account,
    accountKey,
    endpoint,
    connectTimeoutMs: 5000,
    attemptTimeoutMs: 20_000,
    stallTimeoutMs: 20_000,
    connectionsIdleMax: 8,
    clock: new SystemClock(),
  });
}
