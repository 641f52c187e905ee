/**
 * The part of the table of errors (error-table.ts) about versions of objects. Status, code and message are those of S3.
 */
import type { ErrorMeaning } from "./error-meaning.ts";

export const versionMeanings = {
  no_such_version: {
    status: 404,
    s3Code: "NoSuchVersion",
    clientMessage: "The specified version does not exist.",
    connectCode: "NotFound",
    meaning:
      "The origin has no version of the object by this `versionId`, or has no versions. The answer is cached for " +
      "`metadata.negative_ttl`.",
    remedy: "Check the version id: `?versions` on the bucket lists those that there are.",
  },
  invalid_version_id: {
    status: 400,
    s3Code: "InvalidArgument",
    clientMessage: "Invalid version id specified",
    ownMessage: true,
    connectCode: "InvalidArgument",
    lasting: true,
    meaning:
      "`versionId` is empty, is longer than 1,024 bytes, has control characters, or the origin does not take it for " +
      "the id of a version.",
    remedy: "Correct the request.",
  },
  delete_marker: {
    status: 405,
    s3Code: "MethodNotAllowed",
    clientMessage: "The specified method is not allowed against this resource.",
    connectCode: "FailedPrecondition",
    meaning:
      "The version asked for is a delete marker, which has no bytes. The answer is cached for `metadata.negative_ttl`.",
    remedy: "Read a version that `?versions` on the bucket does not list as a DeleteMarker.",
  },
} as const satisfies Readonly<Record<string, ErrorMeaning>>;
