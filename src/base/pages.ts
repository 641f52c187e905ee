/**
 * The places in docs/ that explain what a warning is about. A warning of the log carries one as its field `see`, so that
 * the person who reads it at night need not search. A test checks that each place exists.
 */
const symptoms = "docs/operations/symptoms.md";

export const pages = {
  access: "docs/operations/access.md#access-keys",
  bodiesCut: `${symptoms}#bodies-end-too-early`,
  cachestore: "docs/operations/when-the-store-fails.md#act-on-a-cachestore-that-is-down-full-or-denies-orca",
  certificates: "docs/operations/cluster.md#renew-certificates",
  copies: "docs/operations/where-chunks-live.md#keep-copies-on-several-disks",
  credentials: "docs/operations/access.md#credentials-that-rotate",
  disk: `${symptoms}#the-disk-is-full-or-damaged`,
  doesNotJoin: `${symptoms}#a-replica-does-not-join`,
  originThrottles: `${symptoms}#the-origin-throttles`,
  originUnreadable: `${symptoms}#an-origin-cannot-be-read`,
  pins: "docs/operations/warm-and-purge.md#pin-what-is-warmed",
  replicasComeAndGo: "docs/operations/cluster.md#what-happens-when-replicas-come-and-go",
  requestFailed: `${symptoms}#clients-get-502`,
  sizing: "docs/operations/sizing.md#choose-memory-disk-file-descriptors-and-cores",
  stalls: `${symptoms}#a-call-stalls`,
  staleAnswers: "docs/operations/when-the-store-fails.md#answer-while-the-origin-fails",
  stop: "docs/operations/start-and-stop.md#stop-it",
  tracing: "docs/operations/monitoring.md#traces",
  withoutTls: "docs/operations/cluster.md#set-it-up",
} as const;

export type Page = (typeof pages)[keyof typeof pages];
