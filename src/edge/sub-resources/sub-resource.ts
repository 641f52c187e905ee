/**
 * What S3 answers about a bucket or an object beside its bytes and its listing: access rules, tags, attributes. Each is a
 * parameter of the query. Ignoring one would send an object's bytes to a client that asked for its access rules. Orca keeps
 * none of them: the origin is asked, or the client learns what S3 answers where nothing is configured.
 */
import type { ErrorCode } from "../../base/orca-error.ts";
import type { Query } from "../query.ts";

export interface SubResource {
  readonly name: string;
  /** The first element of the answer. An origin that does not know the parameter answers with a listing or an object. */
  readonly root: RegExp;
  /** What S3 answers where it is not configured. Undefined where S3 has no such answer. */
  readonly absence?: Absence;
  /** Whether Orca asks with its own key where the origin does not decide who may read. */
  readonly asksAsOrca?: true;
}

export type Absence =
  | { readonly code: ErrorCode; readonly message: string }
  /** A 200 with an element of this name and content. */
  | { readonly element: string; readonly content: string };

export interface SubResourceRequest {
  readonly kind: "get-sub-resource";
  readonly bucket: string;
  /** Empty for one of the bucket. */
  readonly key: string;
  readonly subResource: SubResource;
  /** All that the origin must know: the sub-resource, and the parameters that belong to it. */
  readonly query: Readonly<Record<string, string>>;
}

const isMissing = {
  code: "invalid_request",
  message: "Bucket is missing Object Lock Configuration",
} as const;

const ofBucket = tableOf([
  { name: "abac", root: /^AbacStatus$/ },
  { name: "accelerate", root: /^AccelerateConfiguration$/, absence: empty("AccelerateConfiguration") },
  { name: "acl", root: /^AccessControlPolicy$/ },
  { name: "analytics", root: /^(?:AnalyticsConfiguration|ListBucketAnalyticsConfiguration\w*)$/ },
  { name: "cors", root: /^CORSConfiguration$/, absence: error("no_such_cors_configuration") },
  { name: "encryption", root: /^ServerSideEncryptionConfiguration$/ },
  { name: "intelligent-tiering", root: /^(?:ListBucket)?IntelligentTieringConfiguration\w*$/ },
  { name: "inventory", root: /^(?:List(?:Bucket)?)?InventoryConfiguration\w*$/ },
  { name: "lifecycle", root: /^LifecycleConfiguration$/, absence: error("no_such_lifecycle") },
  { name: "logging", root: /^BucketLoggingStatus$/, absence: empty("BucketLoggingStatus") },
  { name: "metadataConfiguration", root: /^GetBucketMetadataConfiguration\w*$/ },
  { name: "metadataTable", root: /^GetBucketMetadataTableConfiguration\w*$/ },
  { name: "metrics", root: /^(?:List(?:Bucket)?)?MetricsConfiguration\w*$/ },
  { name: "notification", root: /^NotificationConfiguration$/, absence: empty("NotificationConfiguration") },
  { name: "object-lock", root: /^ObjectLockConfiguration$/, absence: error("no_object_lock") },
  { name: "ownershipControls", root: /^OwnershipControls$/, absence: error("no_ownership_controls") },
  // A policy is JSON.
  { name: "policy", root: /^\{$/, absence: error("no_such_bucket_policy") },
  { name: "policyStatus", root: /^PolicyStatus$/, absence: error("no_such_bucket_policy") },
  // RGW repeats a word in it.
  {
    name: "publicAccessBlock",
    root: /^(?:Block)?PublicAccessBlockConfiguration$/,
    absence: error("no_public_access_block"),
  },
  { name: "replication", root: /^ReplicationConfiguration$/, absence: error("no_replication") },
  {
    name: "requestPayment",
    root: /^RequestPaymentConfiguration$/,
    absence: { element: "RequestPaymentConfiguration", content: "<Payer>BucketOwner</Payer>" },
  },
  { name: "tagging", root: /^Tagging$/, absence: error("no_such_tag_set") },
  { name: "versioning", root: /^VersioningConfiguration$/, absence: empty("VersioningConfiguration") },
  { name: "website", root: /^WebsiteConfiguration$/, absence: error("no_such_website") },
]);

const ofObject = tableOf([
  { name: "acl", root: /^AccessControlPolicy$/ },
  { name: "attributes", root: /^GetObjectAttributes\w*$/, asksAsOrca: true },
  { name: "legal-hold", root: /^LegalHold$/, absence: isMissing },
  { name: "retention", root: /^Retention$/, absence: isMissing },
  { name: "tagging", root: /^Tagging$/, absence: { element: "Tagging", content: "<TagSet></TagSet>" } },
]);

/** Further parameters that S3 answers with neither an object nor a listing, and that Orca never answers. */
const unserved: ReadonlySet<string> = new Set([
  ...ofBucket.keys(),
  ...ofObject.keys(),
  "delete",
  "restore",
  "select",
  "session",
  "torrent",
  "uploadId",
  "uploads",
  "versions",
]);

/** Parameters that belong to a sub-resource. */
const parameters = ["versionId", "id", "continuation-token"] as const;

/** The request for the sub-resource that `query` names, if Orca serves it. `key` is empty for one of the bucket. */
export function subResourceRequest(
  bucket: string,
  key: string,
  query: Query,
): SubResourceRequest | undefined {
  const table = key === "" ? ofBucket : ofObject;
  for (const name of query.keys()) {
    const subResource = table.get(name);
    if (subResource === undefined) continue;
    const asked: Record<string, string> = { [name]: query.get(name) ?? "" };
    for (const parameter of parameters) {
      const value = query.get(parameter);
      if (value !== undefined) asked[parameter] = value;
    }
    return { kind: "get-sub-resource", bucket, key, subResource, query: asked };
  }
  return undefined;
}

/** The parameter that names something which is neither an object nor a listing, and that Orca does not serve, but for `served`. */
export function unservedSubResource(query: Query, served: string): string | undefined {
  for (const name of query.keys()) if (unserved.has(name) && name !== served) return name;
  return undefined;
}

/** Whether S3 has a sub-resource of this name, served here or not. */
export function isSubResource(name: string): boolean {
  return unserved.has(name) || name === "location";
}

function tableOf(subResources: readonly SubResource[]): ReadonlyMap<string, SubResource> {
  return new Map(subResources.map((each) => [each.name, each]));
}

function empty(element: string): Absence {
  return { element, content: "" };
}

function error(code: ErrorCode): Absence {
  return { code, message: "Cannot find a configuration of the bucket: Orca keeps none" };
}
