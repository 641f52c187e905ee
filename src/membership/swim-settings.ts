/**
 * The knobs of the failure detector and of gossip, each with which way to turn it and what that costs. The defaults are
 * for one datacentre and up to some hundred replicas. With five, a crash is known everywhere after about 6 s (8 s at
 * the worst), and a replica may be silent for 4 s before anybody takes it for dead.
 */
export interface SwimSettings {
  /**
   * Time from one probe to the next. Each replica probes one other at a time, so that a crash is met after at most
   * this times the number of others. Lower finds crashes sooner and sends more; suspicion timeouts scale with it too,
   * so that lower also forgives shorter pauses.
   */
  readonly probeIntervalMs: number;
  /**
   * How long a direct ping may take before others are asked to try; they have the rest of the interval. Set it above
   * the 99th percentile of a round trip under load. Lower asks others more often for nothing.
   */
  readonly probeTimeoutMs: number;
  /**
   * How many others are asked to ping a member that does not answer. More finds a way around a broken link more surely,
   * at that many times the messages, but only while something is wrong.
   */
  readonly indirectProbes: number;
  /**
   * The least time of a suspicion, in probe intervals (times log10 of the cluster's size, from 10 replicas on). Higher
   * forgives longer pauses of the event loop or the network; a crash is known later by as much. Two less is the number
   * of further accusers that cut the time to this least.
   */
  readonly suspicionMultiplier: number;
  /**
   * The longest time of a suspicion, as a multiple of the least: what a suspect gets while only one replica accuses it.
   * Higher protects better from an accuser that is itself unwell; a crash that only one other can see is known later.
   */
  readonly suspicionTimeoutMaxMultiplier: number;
  /**
   * How far an unwell replica may stretch its own intervals and timeouts (Lifeguard's local health). Higher makes fewer
   * false accusations under overload; a crash during it is noticed later. 1 turns it off.
   */
  readonly localHealthMax: number;
  /**
   * How often news is passed on while there is any. Lower spreads it faster and in smaller messages. Nothing is sent
   * while there is no news.
   */
  readonly gossipIntervalMs: number;
  /** To how many others news goes each time. More is faster and survives more loss, for as many times the messages. */
  readonly gossipFanout: number;
  /**
   * How often each replica passes on each piece of news: this times log10(members + 1), rounded up. Higher survives more
   * loss; each step costs every replica a copy.
   */
  readonly retransmitMultiplier: number;
  /**
   * How often whole views are exchanged with a random live member, for what gossip has lost. Lower mends differing views
   * sooner; each exchange costs about 200 bytes for every member, both ways.
   */
  readonly syncIntervalMs: number;
  /** How long such an exchange may take, connecting included. Higher is kinder to a loaded peer, and slower to move on. */
  readonly syncTimeoutMs: number;
  /**
   * How often a dead member is asked whether it is back, one at a time: this is what heals a partition. Lower heals
   * sooner, at one connection attempt each time.
   */
  readonly deadRetryIntervalMs: number;
  /**
   * How long dead and left members are remembered. Higher lets a longer partition heal without the seeds; replicas with
   * a new id after each restart fill the table meanwhile.
   */
  readonly deadRetentionMs: number;
  /** How often the seeds are asked for addresses (`cluster.membership_refresh`). Lower finds new replicas sooner. */
  readonly discoveryIntervalMs: number;
  /** The same while no other member is live: a replica that is alone fills what others have. */
  readonly aloneDiscoveryIntervalMs: number;
  /**
   * A timer that fires later than this was held up by this process itself, and then silence is no sign of death.
   * Lower is more forgiving to others on a busy replica, which then finds real crashes later.
   */
  readonly stallToleranceMs: number;
  /** Members in the view, the dead included. More costs memory and longer exchanges; further ones are refused. */
  readonly membersMax: number;
  /** News on one message. More spreads a burst in fewer messages, each of which takes longer to read. */
  readonly gossipBytesMax: number;
  /** News of each kind that waits to be passed on. Higher survives larger bursts in more memory; the oldest gives way. */
  readonly rumorsQueuedMax: number;
  /** Messages a second from one member, with twice that at once. Lower stops a flood earlier; ordinary traffic
   * stays below 16. */
  readonly messagesPerSecondMax: number;
}

export const defaultSwimSettings: SwimSettings = {
  probeIntervalMs: 1000,
  probeTimeoutMs: 500,
  indirectProbes: 3,
  suspicionMultiplier: 4,
  suspicionTimeoutMaxMultiplier: 3,
  localHealthMax: 8,
  gossipIntervalMs: 200,
  gossipFanout: 3,
  retransmitMultiplier: 6,
  syncIntervalMs: 10_000,
  syncTimeoutMs: 2000,
  deadRetryIntervalMs: 2000,
  deadRetentionMs: 3_600_000,
  discoveryIntervalMs: 5000,
  aloneDiscoveryIntervalMs: 1000,
  stallToleranceMs: 250,
  membersMax: 1024,
  gossipBytesMax: 64 * 1024,
  rumorsQueuedMax: 4096,
  messagesPerSecondMax: 64,
};
