/** `cluster`: how replicas find each other, reach each other and trust each other. */
import { dialAddress, ipAddress, replicaUrl } from "../address-codec.ts";
import { deadline, duration, flag, id, integer, listenAddress, text } from "../codec.ts";
import { goSetting, item, listOf, optional, section, setting } from "../field.ts";

const internalTls = section({
  enabled: setting(
    flag(),
    "false",
    "TLS with client certificates between replicas. Without it, everybody who reaches `internal_listen` is a member. With it, the four settings below are required. Must be written where there are `peers` or a `service` and `internal_listen` is not on loopback, and be `true` there with `replication` above 1.",
    "`true` wherever another machine can reach the port. `false` only where a network policy lets nobody but replicas connect.",
  ),
  cert_file: optional(
    text(),
    "Certificate chain (PEM) of this replica, for both ends of a connection.",
    "Replace it together with `key_file`. Replaced files are used within 5 s, without a restart.",
  ),
  key_file: optional(
    text(),
    "Private key (PEM) of the certificate.",
    "Replace it together with `cert_file`.",
  ),
  ca_file: optional(
    text(),
    "Certificate authorities (PEM) of the cluster.",
    "Use an authority that signs for nothing else. While you change it, let the file hold the old and the new one.",
  ),
  server_name: optional(
    text(/^[\w.-]{1,253}$/, "a DNS name such as orca.internal"),
    "Certificate identity: a DNS name that every replica's certificate must carry. Alike on all replicas.",
    "Use one name for each cluster: replicas with different names do not talk to each other.",
  ),
});

export const clusterSection = section({
  peers: listOf(
    item(replicaUrl(), ""),
    [],
    "Replicas to find the cluster by, as `https://host:8444` (`http://` where `internal_tls` is off). One that answers is enough, and this replica may be among them. Without `peers` and `service`, a cluster of one.",
    "List all replicas, or some that are usually up. In Kubernetes, use `service`.",
  ),
  service: optional(
    text(/^[\w.-]{1,253}$/, "a host name such as orca-headless.default.svc"),
    "Headless Service to find the cluster by: each of its addresses is a replica, at the port of `internal_listen`.",
    "Set it in Kubernetes, on a Service with `publishNotReadyAddresses: true`.",
  ),
  membership_refresh: goSetting(
    deadline,
    "5s",
    "How often Orca looks up `service` and tries those of `peers` that are not members. A replica that is alone does so every second.",
    "Rarely worth a change: a replica that starts finds the others itself. Raise it for fewer DNS queries.",
  ),
  internal_listen: setting(
    listenAddress(),
    "0.0.0.0:8444",
    "Where other replicas connect. Not opened in a cluster of one.",
    "Let only the other replicas reach it.",
  ),
  bytes_listen: optional(
    listenAddress(),
    "Where the threads that serve clients send chunks to other replicas, so that `server.threads` above 1 share that work. Opened only with these, and needs `internal_tls`. Replicas learn of the port at `internal_listen`, and use that one where they cannot reach this one. Left out, all chunks are sent at `internal_listen`, by one thread.",
    "Set it, for example to `0.0.0.0:8445`, where one thread cannot send what other replicas read. They reach it at the host where they reach `internal_listen`; it is not offered where `advertise` names another port than that.",
  ),
  advertise: optional(
    dialAddress(),
    "Address at which other replicas reach this one, as `host:port`. Left out: `self_pod_ip`, else the host of `internal_listen`, else the machine's first IPv4 address, with the port listened on.",
    "Set it behind NAT, or on a machine with several networks. `orca status` shows the address in use.",
  ),
  self_pod_ip: optional(
    ipAddress(),
    "This replica's own IP address, where `advertise` is left out.",
    "In Kubernetes, set `POD_IP` or `ORCA_CLUSTER_SELF_POD_IP` from `status.podIP`. `POD_IP` counts where neither the file nor the other variable sets it.",
  ),
  replica_id: optional(
    id,
    "Names this replica and its directory below `disk.root`. Unique in the cluster. Left out, Orca makes one and keeps it on the disk.",
    "Set it to the name of the host or pod. Without it and without a disk, every restart is a new member.",
  ),
  zone: optional(
    text(/^.{1,64}$/u, "1 to 64 characters"),
    "Failure domain of this replica, which `orca status` shows. Orca places nothing by it.",
    "Set it where replicas run in several zones and you want to see which.",
  ),
  stall_timeout: setting(
    duration({ min: "100ms", max: "1h" }),
    "5s",
    "Orca gives up a peer that sends nothing for this long, and fetches the bytes elsewhere. A peer that waits for the origin sends a heartbeat every quarter of this time.",
    "Lower it to give up a silent peer sooner. Keep it above the pauses of your replicas (garbage collection, frozen containers), or they fetch twice. Set it alike on all replicas.",
  ),
  replication: setting(
    integer({ min: 1, max: 16 }),
    "1",
    "Replicas that keep each chunk on their own disks. Needs `disk`, and excludes a cachestore. Where there are fewer replicas, all keep it.",
    "`2` where a lost disk must cost no refetch and there is no shared store. The room for chunks is the sum of all disks divided by this. Set it alike on all replicas.",
  ),
  target_replicas: goSetting(
    integer({ min: 1, max: 10_000 }),
    "3",
    "Replicas that the cluster should have. Orca only checks that `target_global` of each origin is at least this.",
    "Lower it where `target_global` has to be smaller.",
  ),
  internal_tls: internalTls,
});
