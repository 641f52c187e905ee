/**
 * The part of the table of errors (error-table.ts) about configurations of a bucket that S3 has and Orca has not. Status,
 * code and message are those of S3 for a bucket without such a configuration.
 */
import type { ErrorMeaning } from "./error-meaning.ts";

const unconfigured = {
  status: 404,
  connectCode: "NotFound",
  remedy: "Ask the origin where the configuration of its bucket matters: Orca does not look at it.",
} as const;

export const unconfiguredMeanings = {
  no_such_tag_set: {
    ...unconfigured,
    s3Code: "NoSuchTagSet",
    clientMessage: "The TagSet does not exist",
    meaning: "The client asked for the tags of a bucket (`?tagging`), and Orca's buckets have none.",
  },
  no_such_bucket_policy: {
    ...unconfigured,
    s3Code: "NoSuchBucketPolicy",
    clientMessage: "The bucket policy does not exist",
    meaning: "The client asked for the policy of a bucket (`?policy`), and Orca's buckets have none.",
  },
  no_such_cors_configuration: {
    ...unconfigured,
    s3Code: "NoSuchCORSConfiguration",
    clientMessage: "The CORS configuration does not exist",
    meaning: "The client asked for the CORS rules of a bucket (`?cors`), and Orca's buckets have none.",
  },
  no_such_lifecycle: {
    ...unconfigured,
    s3Code: "NoSuchLifecycleConfiguration",
    clientMessage: "The lifecycle configuration does not exist",
    meaning: "The client asked for the lifecycle of a bucket (`?lifecycle`), and Orca's buckets have none.",
  },
  no_such_website: {
    ...unconfigured,
    s3Code: "NoSuchWebsiteConfiguration",
    clientMessage: "The specified bucket does not have a website configuration",
    meaning: "The client asked for the website of a bucket (`?website`), and Orca's buckets have none.",
  },
  no_object_lock: {
    ...unconfigured,
    s3Code: "ObjectLockConfigurationNotFoundError",
    clientMessage: "Object Lock configuration does not exist for this bucket",
    meaning:
      "The client asked for the object lock of a bucket (`?object-lock`), and Orca's buckets have none.",
  },
  no_ownership_controls: {
    ...unconfigured,
    s3Code: "OwnershipControlsNotFoundError",
    clientMessage: "The bucket ownership controls were not found",
    meaning:
      "The client asked for the ownership controls of a bucket (`?ownershipControls`), and Orca's buckets have none.",
  },
  no_public_access_block: {
    ...unconfigured,
    s3Code: "NoSuchPublicAccessBlockConfiguration",
    clientMessage: "The public access block configuration was not found",
    meaning:
      "The client asked for the public access block of a bucket (`?publicAccessBlock`), and Orca's buckets have none.",
  },
  no_replication: {
    ...unconfigured,
    s3Code: "ReplicationConfigurationNotFoundError",
    clientMessage: "The replication configuration was not found",
    meaning:
      "The client asked for the replication of a bucket (`?replication`), and Orca's buckets have none.",
  },
} as const satisfies Readonly<Record<string, ErrorMeaning>>;
