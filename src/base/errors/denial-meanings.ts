/**
 * The part of the table of errors (error-table.ts) about clients that are denied because of their credentials or rights.
 * Status, code and message are those of S3 (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), which
 * SDKs act upon.
 */
import type { ErrorMeaning } from "./error-meaning.ts";

export const denialMeanings = {
  access_denied: {
    status: 403,
    s3Code: "AccessDenied",
    clientMessage: "Access Denied",
    ownMessage: true,
    connectCode: "PermissionDenied",
    meaning:
      "The client has no right to read this, sent no credentials, or sent a URL or a date that is no longer valid. The " +
      "answer is the same whether the object exists or not.",
    remedy:
      "Check what the key, the token or the certificate may read (`server.auth.access_keys_file`), and that the client " +
      "signs. With `server.auth.authorize: origin`, check the key's rights at the origin.",
  },
  invalid_access_key_id: {
    status: 403,
    s3Code: "InvalidAccessKeyId",
    clientMessage: "The AWS Access Key Id you provided does not exist in our records.",
    ownMessage: true,
    connectCode: "Unauthenticated",
    meaning:
      "The access key is not in `server.auth.access_keys_file`, or it is temporary and came without its token.",
    remedy: "Add the key to the file, or correct the client's key.",
  },
  signature_mismatch: {
    status: 403,
    s3Code: "SignatureDoesNotMatch",
    clientMessage: "The request signature we calculated does not match the signature you provided.",
    ownMessage: true,
    connectCode: "Unauthenticated",
    meaning:
      "The client signs with another secret, or a proxy between client and Orca changes a signed header or the path.",
    remedy:
      "Compare `CanonicalRequest` of the answer with what the client signs. A proxy must keep `Host`, the path and all " +
      "signed headers.",
  },
  request_time_skewed: {
    status: 403,
    s3Code: "RequestTimeTooSkewed",
    clientMessage: "The difference between the request time and the current time is too large.",
    ownMessage: true,
    connectCode: "Unauthenticated",
    meaning: "The clocks of client and replica differ by more than 15 minutes.",
    remedy: "Set the clocks: the answer shows both times.",
  },
  expired_token: {
    status: 400,
    s3Code: "ExpiredToken",
    clientMessage: "The provided token has expired.",
    ownMessage: true,
    connectCode: "Unauthenticated",
    meaning: "The bearer token, the access key or the client certificate has expired.",
    remedy: "Give the client a new one.",
  },
  invalid_token: {
    status: 400,
    s3Code: "InvalidToken",
    clientMessage: "The provided token is malformed or otherwise invalid.",
    ownMessage: true,
    connectCode: "Unauthenticated",
    meaning:
      "A bearer token that no key in `server.auth.bearer_secret_file` has signed, one that is not valid yet, or a session " +
      "token that is not that of the access key.",
    remedy:
      "Give the client a token of `orca token` with the key of this replica, or correct its session token.",
  },
  authorization_header_malformed: {
    status: 400,
    s3Code: "AuthorizationHeaderMalformed",
    clientMessage: "The authorization header is malformed.",
    ownMessage: true,
    connectCode: "InvalidArgument",
    meaning: "The Authorization header is not of AWS Signature Version 4 for the service `s3`.",
    remedy: "Correct the client. The message says what is wrong.",
  },
  authorization_query_malformed: {
    status: 400,
    s3Code: "AuthorizationQueryParametersError",
    clientMessage: "The authorization parameters of the query are malformed.",
    ownMessage: true,
    connectCode: "InvalidArgument",
    meaning: "A presigned URL lacks a parameter, or one has a value that S3 does not allow.",
    remedy: "Make the URL again. It is valid for a second to seven days.",
  },
  missing_security_header: {
    status: 400,
    s3Code: "MissingSecurityHeader",
    clientMessage: "Your request was missing a required header.",
    ownMessage: true,
    connectCode: "InvalidArgument",
    meaning: "A signed request with a body does not tell the hash of the body.",
    remedy: "Send `x-amz-content-sha256`.",
  },
} as const satisfies Readonly<Record<string, ErrorMeaning>>;
