/** Metrics of the membership: this replica's view of the others, the messages behind it, and the coordinators it picks. */
import type { Coordination } from "../../membership/coordination.ts";
import { memberStates } from "../../membership/member.ts";
import type { Membership } from "../../membership/membership.ts";
import { labelled, type MetricsRegistry } from "./metrics.ts";

export interface MembershipParts {
  readonly membership: Pick<Membership, "members" | "live" | "stats" | "healthScore">;
  readonly coordination: Pick<Coordination, "stats">;
}

export function registerMembershipMetrics(metrics: MetricsRegistry, parts: MembershipParts): void {
  registerMembers(metrics, parts.membership);
  registerAnswering(metrics, parts.membership);
  registerHealth(metrics, parts.membership);
  registerMessages(metrics, parts.membership);
  registerGossip(metrics, parts.membership);
  registerCoordination(metrics, parts.coordination);
}

function registerMembers(metrics: MetricsRegistry, membership: MembershipParts["membership"]): void {
  const { table, discovery } = membership.stats;
  metrics.gauge(
    "orca_members",
    {
      meaning: "Replicas in this one's view, itself included, by state: alive, suspect, dead, left.",
      watch: "Alert when fewer are alive than you run.",
    },
    () => {
      const counts = Object.fromEntries(memberStates.map((state) => [state, 0]));
      for (const { state } of membership.members()) counts[state] = (counts[state] ?? 0) + 1;
      return labelled("state", counts);
    },
  );
  metrics.counter(
    "orca_member_changes_total",
    {
      meaning: "Changes of other replicas in this view, by change: joined, suspected, died, left, revived.",
      watch: "Quiet while no replica starts or stops.",
    },
    () =>
      labelled("change", {
        joined: table.joins,
        suspected: table.suspicions,
        died: table.deaths,
        left: table.leaves,
        revived: table.revivals,
      }),
  );
  metrics.counter(
    "orca_member_refutations_total",
    {
      meaning: "Times this replica had to tell others that it is alive, or what its address is.",
      watch: "Should stay low: this replica is overloaded, or its network is bad.",
    },
    () => table.refutations,
  );
  metrics.counter(
    "orca_member_id_conflicts_total",
    {
      meaning: "Times another replica with this one's id appeared.",
      watch:
        "Should not grow: two replicas have one cluster.replica_id. Once after a change of address is normal.",
    },
    () => table.idConflicts,
  );
  metrics.counter(
    "orca_membership_lookups_failed_total",
    { meaning: "Look-ups of cluster.service that failed.", watch: "Should not grow: DNS." },
    () => discovery.lookupsFailed,
  );
}

function registerAnswering(metrics: MetricsRegistry, membership: MembershipParts["membership"]): void {
  metrics.gauge(
    "orca_members_answering",
    {
      meaning:
        "Live replicas that have answered this one, itself included. Shares and placement count these only.",
      watch: "Lower than the number of live members for long: they do not reach each other.",
    },
    () => membership.live.length,
  );
}

function registerHealth(metrics: MetricsRegistry, membership: MembershipParts["membership"]): void {
  const { stalls } = membership.stats;
  metrics.gauge(
    "orca_membership_health_score",
    {
      meaning:
        "How slow this replica thinks it is itself, 0 to 7. The higher, the longer it waits for others.",
      watch: "0 is best.",
    },
    () => membership.healthScore,
  );
  metrics.counter(
    "orca_membership_stalls_total",
    {
      meaning:
        "Times this process stood still for more than 250 ms, so that silence of others meant nothing.",
      watch: "Should stay low: the processor is overloaded, or the container was frozen.",
    },
    () => stalls.stalls,
  );
  metrics.counter(
    "orca_membership_stalled_seconds_total",
    { meaning: "How long this process stood still in all.", watch: "See orca_membership_stalls_total." },
    () => stalls.stalledMs / 1000,
  );
}

function registerMessages(metrics: MetricsRegistry, membership: MembershipParts["membership"]): void {
  const { messenger, detector, table, gate } = membership.stats;
  metrics.counter(
    "orca_membership_messages_total",
    {
      meaning: "Messages sent to other replicas, by kind: ping, ping_indirect (by way of a third), sync.",
      watch: "Grows with the number of replicas.",
    },
    () =>
      labelled("kind", {
        ping: messenger.pings,
        ping_indirect: messenger.indirectPings,
        sync: messenger.syncs,
      }),
  );
  metrics.counter(
    "orca_membership_messages_failed_total",
    {
      meaning: "Messages without an answer in time, or answered by another replica than the addressee.",
      watch: "Should stay low: a replica or the network is down.",
    },
    () => labelled("kind", { ping: messenger.pingsFailed, sync: messenger.syncsFailed }),
  );
  metrics.counter(
    "orca_membership_probes_failed_total",
    {
      meaning: "Members that answered neither this replica nor those that it asked to try.",
      watch: "Should stay low: a replica or the network is down.",
    },
    () => detector.probesFailed,
  );
  metrics.counter(
    "orca_membership_rejected_total",
    {
      meaning:
        "Content of messages that this replica rejected, by reason: mismatch (another cluster or configuration), malformed, flood, identity (the certificate of its sender is another replica's), ahead (an incarnation far ahead of the clock), other_target (meant for another replica), foreign_member, view_full.",
      watch:
        "Mismatch grows: a replica with another configuration tries to join, and the log names the setting.",
    },
    () =>
      labelled("reason", {
        mismatch: messenger.rejectedMismatch,
        malformed: messenger.rejectedMalformed,
        flood: gate.overRate,
        identity: messenger.rejectedIdentity,
        ahead: table.rejectedAhead,
        other_target: messenger.rejectedTarget,
        foreign_member: table.rejectedForeign,
        view_full: table.rejectedFull,
      }),
  );
}

function registerGossip(metrics: MetricsRegistry, membership: MembershipParts["membership"]): void {
  const { rumors } = membership.stats;
  metrics.counter(
    "orca_membership_rumors_total",
    {
      meaning:
        "News of objects and chunks, by event: published, heard, repeated (heard before), oversize (too large to send), dropped (made room for newer ones).",
      watch: "Dropped or oversize grow: other replicas learn that news late, or not at all.",
    },
    () =>
      labelled("event", {
        published: rumors.published,
        heard: rumors.heard,
        repeated: rumors.repeated,
        oversize: rumors.oversize,
        dropped: membership.stats.rumorsDropped,
      }),
  );
  metrics.counter(
    "orca_membership_changes_dropped_total",
    {
      meaning: "Changes of members that made room for newer ones before they were passed on often enough.",
      watch: "Should stay 0. A sync repairs what it loses.",
    },
    () => membership.stats.changesDropped,
  );
}

function registerCoordination(metrics: MetricsRegistry, { stats }: MembershipParts["coordination"]): void {
  metrics.counter(
    "orca_coordination_failures_total",
    {
      meaning: "Requests to a coordinator that was unreachable, broke off or fell silent.",
      watch: "Should stay low: a replica or the network is down.",
    },
    () => stats.failures,
  );
  metrics.counter(
    "orca_coordination_avoided_total",
    {
      meaning:
        "Times a coordinator was skipped, because it had just failed. The next in rank takes its place.",
      watch: "Should stay low: objects may be fetched twice meanwhile.",
    },
    () => stats.avoided,
  );
  metrics.counter(
    "orca_coordination_disagreements_total",
    {
      meaning: "Times a peer answered that another replica is the coordinator.",
      watch: "Grows for minutes: the views of the replicas differ; compare orca status of each.",
    },
    () => stats.disagreements,
  );
}
