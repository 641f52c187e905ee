/**
 * The settings of the failure detector and of gossip, each with the effect of a higher or lower value and its cost. The
 * defaults suit one datacentre and up to some hundred replicas. With five replicas, all know of a crash after about 6 s
 * (8 s at worst), and a replica may be silent for 4 s before it counts as dead.
 */
export interface SwimSettings {
  /**
   * Time from one probe to the next. Each replica probes one member at a time, so it probes a crashed member after at most
   * this time multiplied by the number of others. Lower finds crashes sooner and sends more messages. Suspicion timeouts
   * scale with it, so lower also tolerates only shorter pauses.
   */
  readonly probeIntervalMs: number;
  /**
   * How long a direct ping may take before other members are asked to try. They have the rest of the interval. Set it
   * above the 99th percentile of a round trip under load. Lower causes more unnecessary indirect pings.
   */
  readonly probeTimeoutMs: number;
  /**
   * How many others are asked to ping a member that does not answer. More find a path around a broken link more reliably.
   * Each costs a message, but only while a member is silent.
   */
  readonly indirectProbes: number;
  /**
   * The minimum time of a suspicion, in probe intervals (times log10 of the number of replicas, from 10 replicas on).
   * Higher tolerates longer pauses of the event loop or the network, and detects a crash later by as much. This value
   * minus two is the number of further accusers that shorten a suspicion to the minimum.
   */
  readonly suspicionMultiplier: number;
  /**
   * The maximum time of a suspicion, as a multiple of the minimum. It applies while only one replica accuses the suspect.
   * Higher protects better from an accuser that is itself slow. A crash that only one replica can observe is detected
   * later.
   */
  readonly suspicionTimeoutMaxMultiplier: number;
  /**
   * How far a slow replica may stretch its own intervals and timeouts (Lifeguard's local health). Higher makes fewer false
   * accusations under overload, and detects a crash during it later. 1 turns it off.
   */
  readonly localHealthMax: number;
  /**
   * How often gossip is sent while items wait. Lower spreads it faster, in smaller messages. Nothing is sent while no item
   * waits.
   */
  readonly gossipIntervalMs: number;
  /** How many members get gossip each time. More is faster and survives more loss. Each costs a message. */
  readonly gossipFanout: number;
  /**
   * How often each replica sends each item of gossip: this times log10(members + 1), rounded up. Higher survives more
   * loss, and each step costs every replica one more copy.
   */
  readonly retransmitMultiplier: number;
  /**
   * How often a replica exchanges whole views with a random live member, for statements that gossip has lost. Lower
   * repairs different views sooner. Each exchange costs about 200 bytes per member, in both directions.
   */
  readonly syncIntervalMs: number;
  /**
   * How long such an exchange may take, connecting included. Higher tolerates a loaded peer, and wastes more time on a
   * dead one.
   */
  readonly syncTimeoutMs: number;
  /**
   * How often a dead member is asked whether it is back, one at a time. This heals partitions. Lower heals them sooner.
   * Each request costs a connection attempt.
   */
  readonly deadRetryIntervalMs: number;
  /**
   * How long dead members are remembered. Higher heals a longer partition without the seeds, and asks longer
   * for members that were replaced.
   */
  readonly deadRetentionMs: number;
  /**
   * How long left members are remembered: some exchanges of views, so that a late statement does not revive them. Higher
   * tolerates slower gossip, and makes views larger while replicas with new ids replace others.
   */
  readonly leftRetentionMs: number;
  /** How often the seeds are asked for addresses (`cluster.membership_refresh`). Lower finds new replicas sooner. */
  readonly discoveryIntervalMs: number;
  /** The same while no other member is live. A replica that is alone fills chunks that other replicas have. */
  readonly aloneDiscoveryIntervalMs: number;
  /**
   * A timer that fires later than this was delayed by this process itself. Then silence is no sign of death. Lower makes a
   * busy replica accuse fewer members, and detect real crashes later.
   */
  readonly stallToleranceMs: number;
  /**
   * How far the incarnation of a statement may be ahead of this replica's clock. Higher tolerates larger differences
   * between clocks. A replica whose clock is further ahead cannot join.
   */
  readonly incarnationAheadMaxMs: number;
  /**
   * Members in a view. More cost memory and larger exchanges. A view that is full forgets left and dead members, and
   * rejects further ones only if all are live.
   */
  readonly membersMax: number;
  /** Gossip in one message. More spreads a burst in fewer messages, each of which takes longer to read. */
  readonly gossipBytesMax: number;
  /**
   * Rumors of each kind that wait to be sent. Higher survives larger bursts and costs memory. Beyond it, the rumors sent
   * most often are dropped.
   */
  readonly rumorsQueuedMax: number;
  /**
   * Messages per second on one session, and twice that in a burst. All sessions together may send eight times as many.
   * Lower stops a flood earlier. Ordinary traffic stays below 16.
   */
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
  leftRetentionMs: 60_000,
  discoveryIntervalMs: 5000,
  aloneDiscoveryIntervalMs: 1000,
  stallToleranceMs: 250,
  incarnationAheadMaxMs: 86_400_000,
  membersMax: 1024,
  gossipBytesMax: 64 * 1024,
  rumorsQueuedMax: 4096,
  messagesPerSecondMax: 64,
};
