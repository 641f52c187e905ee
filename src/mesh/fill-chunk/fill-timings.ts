/**
 * How long the two ends of a FillChunk stream bear with each other. They stand together because they must fit: a sender
 * that waits for its origin says so several times within the silence that a caller bears.
 */
export interface FillTimings {
  /** How long a caller may take to send its request. */
  readonly requestTimeoutMs: number;
  /** Between two heartbeats of a sender that awaits bytes. */
  readonly heartbeatMs: number;
  /** How long a sender may be silent, and how long a caller may leave a slice unread. */
  readonly stallTimeoutMs: number;
  /** How long a caller waits from byte to byte while the sender says that it is waiting, too. */
  readonly waitMaxMs: number;
}

export const defaultFillTimings: FillTimings = {
  requestTimeoutMs: 5000,
  heartbeatMs: 1000,
  stallTimeoutMs: 5000,
  waitMaxMs: 120_000,
};
