/** How Polars reaches stores. Its options are those of the `object_store` crate, which other programs in Rust share. */
import type { Access } from "./client.ts";

export interface CloudStore {
  /** What comes before the key in the URL of an object. */
  readonly url: string;
  readonly options: Readonly<Record<string, string>>;
}

export function s3CloudOf({ endpoint, bucket, key }: Omit<Access, "folder">): CloudStore {
  return {
    url: `s3://${bucket}/`,
    options: {
      aws_endpoint_url: endpoint,
      aws_access_key_id: key.accessKeyId,
      aws_secret_access_key: key.secretAccessKey,
      aws_region: "us-east-1",
      aws_allow_http: "true",
    },
  };
}

export function azureCloudOf(store: {
  readonly endpoint: string;
  readonly account: string;
  readonly accountKey: string;
  readonly container: string;
}): CloudStore {
  return {
    url: `az://${store.container}/`,
    options: {
      azure_storage_endpoint: store.endpoint,
      azure_storage_account_name: store.account,
      azure_storage_account_key: store.accountKey,
      azure_allow_http: "true",
    },
  };
}
