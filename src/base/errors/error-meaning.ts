/** The form of an entry in the table of errors (error-table.ts): everything that must be decided about a code. */

/** Names of Connect's codes (https://connectrpc.com/docs/protocol/#error-codes), as its own enum spells them. */
type ConnectCode =
  | "Canceled"
  | "Unknown"
  | "InvalidArgument"
  | "DeadlineExceeded"
  | "NotFound"
  | "AlreadyExists"
  | "PermissionDenied"
  | "ResourceExhausted"
  | "FailedPrecondition"
  | "Aborted"
  | "OutOfRange"
  | "Unimplemented"
  | "Internal"
  | "Unavailable"
  | "DataLoss"
  | "Unauthenticated";

export interface ErrorMeaning {
  /** HTTP status that an S3 client receives. */
  readonly status: number;
  /** `Code` of the S3 error body. */
  readonly s3Code: string;
  /** `Message` of the S3 error body. It names no host, path or account. */
  readonly clientMessage: string;
  /** True where the client itself is at fault: an error that the edge wrote sends its own message instead. */
  readonly ownMessage?: true;
  /** True where the answer carries `Retry-After`. */
  readonly retryAfter?: true;
  readonly connectCode: ConnectCode;
  /** True where the same request may be sent again to the same target. */
  readonly retryable?: true;
  /**
   * Set where the error is the trouble of the peer that answered with it, so that another replica can be asked. A peer
   * that is `absent` answers nothing for a while. A peer that is `troubled` cannot answer this one request.
   */
  readonly peer?: "absent" | "troubled";
  /** True where the error is a lasting fact about an object that exists, so that it can be cached and passed on. */
  readonly lasting?: true;
  /** For the operator, in Markdown. */
  readonly meaning: string;
  /** What the operator does about it, in Markdown. */
  readonly remedy: string;
}
