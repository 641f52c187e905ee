/** `server`: the listeners for clients and for operators, and the limits of what clients may use. */
import {
  bytes,
  deadline,
  duration,
  flag,
  integer,
  listenAddress,
  oneOf,
  text,
  threadCount,
  wait,
} from "../codec.ts";
import { item, listOf, optional, optionalSection, required, section, setting } from "../field.ts";

const tls = optionalSection({
  cert_file: required(
    text(),
    "",
    "Certificate chain (PEM) that Orca shows to clients. Without `server.tls`, clients speak plain HTTP.",
    "Set it together with `key_file` to serve HTTPS. Replaced files are used within 5 s, without a restart.",
  ),
  key_file: required(
    text(),
    "",
    "Private key (PEM) of the certificate.",
    "Replace it together with the certificate.",
  ),
  client_ca_file: optional(
    text(),
    "Certificate authorities (PEM). With it, only a client with a certificate from one of them can connect.",
    "Set it to keep out clients without a certificate. It is all or nothing: there are no rights per bucket.",
  ),
});

const auth = section({
  enabled: setting(
    flag(),
    "false",
    "Whether clients must authenticate. Without it, everybody who reaches `server.listen` reads everything.",
    "Set it to `true` wherever others than trusted clients reach the port.",
  ),
  mode: listOf<"sigv4" | "bearer" | "mtls">(
    item(oneOf("sigv4", "bearer", "mtls"), "sigv4"),
    ["sigv4"],
    "How clients may authenticate: `sigv4` (AWS Signature Version 4, in headers and presigned URLs), `bearer` (tokens of `orca token`), `mtls` (client certificates), or a list of these.",
    "`sigv4` for S3 clients. `bearer` for clients that cannot sign. `mtls` needs `server.tls.client_ca_file`.",
  ),
  access_keys_file: optional(
    text(),
    "YAML file of the access keys and client certificates, and what each may read. Needed for `sigv4` and `mtls`.",
    "A changed file is used within 5 s. [access.md](operations/access.md) shows its form.",
  ),
  bearer_secret_file: optional(
    text(),
    "File with the keys that sign tokens for `bearer`, one a line of at least 32 bytes. The first signs, all verify.",
    "Make one with `openssl rand -hex 32`. To replace a key, put the new one on the first line, and remove the old one when its tokens have expired.",
  ),
  anonymous: listOf(
    item(
      text(/^[\w.$-]{1,255}(?:\/[^]*)?$/, "a bucket, or a bucket and a prefix such as models/public/"),
      "",
    ),
    [],
    "What everybody may read without credentials: buckets (`models`), and prefixes in them (`models/public/`).",
    "Leave it empty unless objects are public.",
  ),
  authorize: setting(
    oneOf("keys", "origin"),
    "keys",
    "Who decides what a client may read: `keys` (the access keys file, or the token) or `origin` (also the origin, which Orca asks with the client's own key, or without one).",
    "`origin` where the origin has users and policies of its own. It needs S3 origins and `sigv4` alone, and keys that the origin knows.",
  ),
  authorize_ttl: setting(
    duration({ min: "1s", max: "1h" }),
    "60s",
    "How long an answer of the origin to `authorize: origin` is trusted. Denials are trusted for 10 s at most.",
    "Lower it to notice sooner that a right was taken away. Raise it to send fewer HEADs.",
  ),
});

/** As a browser names it, with at most one `*`, or `*` alone. */
const webOrigin = /^(?:\*|https?:\/\/(?=.)[\w.:[\]-]*\*?[\w.:[\]-]*)$/;

const cors = section({
  origins: listOf(
    item(text(webOrigin, "an origin such as https://app.example.com with at most one *, or *"), ""),
    [],
    "Origins of web pages that may read (CORS), such as `https://app.example.com`. One `*` in an origin stands for any text, `*` alone for every origin.",
    "Set it for browsers that read from Orca. Without it Orca sends no CORS headers.",
  ),
  expose_headers: listOf(
    item(text(/^[\w-]+$/, "the name of a header"), ""),
    [
      "ETag",
      "Content-Range",
      "Content-Length",
      "Accept-Ranges",
      "Last-Modified",
      "x-amz-mp-parts-count",
      "x-amz-request-id",
      "x-amz-id-2",
    ],
    "Headers of an answer that a page may see, besides those that every page sees.",
    "Add the `x-amz-meta-` headers that a page needs.",
  ),
  max_age: setting(
    duration({ min: "0s", max: "24h" }),
    "1h",
    "How long a browser may remember that a page may read.",
    "Lower it while you change `origins`.",
  ),
});

export const serverSection = section({
  listen: setting(
    listenAddress(),
    "0.0.0.0:8443",
    "Where S3 clients connect. Port 0 takes a free port.",
    "Use `127.0.0.1:8443` to serve only this host.",
  ),
  ops_listen: setting(
    listenAddress(),
    "0.0.0.0:8442",
    "Where `/healthz`, `/readyz`, `/metrics`, `/cluster`, `/figures`, `/console`, `/cache`, `/inspect` and `/explain` are served. They need no credentials, unless `server.ops_token_file` is set.",
    "Use an internal address. Probes, Prometheus and `orca status` must reach it.",
  ),
  ops_actions: setting(
    oneOf("local", "all", "none"),
    "local",
    "Who may run actions (warm, unpin, purge, clear, verify, log-level, profile) on the ops listener: `local` (this host), `all`, or `none`. With `server.ops_token_file`, they need the token, too.",
    "`none` behind a proxy or sidecar on the same host, because its requests look local. `all` only with a token, or where a network policy protects the port.",
  ),
  ops_token_file: optional(
    text(),
    "File with a token. Requests to the ops listener that `server.ops_token_for` names must send it, as `Authorization: Bearer TOKEN`.",
    "Make one with `openssl rand -hex 32`, and give it to `orca` with `--ops-token-file`. A changed file is used within 5 s.",
  ),
  ops_token_for: setting(
    oneOf("actions", "all"),
    "actions",
    "Which requests need the token: `actions`, or `all` but `/healthz`, `/readyz` and the files of `/console`, which hold no figures.",
    "`all` where others than operators reach the port. Prometheus can send the token.",
  ),
  ops_tls: setting(
    flag(),
    "false",
    "Whether the ops listener serves HTTPS, with the certificate of `server.tls`. It asks for no client certificate.",
    "Set it with a token, so that the token is not sent in the clear. Probes then need `scheme: HTTPS`.",
  ),
  tls,
  auth,
  cors,
  domain: optional(
    text(/^[\w.-]+$/, "a domain such as s3.example.com"),
    "Buckets are also served as `<bucket>.<domain>` (virtual-host style). Path style always works.",
    "Set it for clients that cannot use path style. DNS and the certificate must cover `*.<domain>`.",
  ),
  strict_ranges: setting(
    flag(),
    "false",
    "Whether a malformed `Range`, or several ranges in one, is answered with 416. Without it the whole object is sent, as S3 does.",
    "Set it where a client's wrong range must not read a large object as a whole.",
  ),
  warm_header: setting(
    flag(),
    "false",
    "Whether a client with the right to read an object can make Orca fetch it into the cluster: by a HEAD with `Range: bytes=0-0` and the header `x-orca-warm`.",
    "Set it for clients that cannot run `orca warm`. Each such HEAD can make the origin send a whole object, so set it only where you trust all readers.",
  ),
  threads: setting(
    threadCount({ max: 16 }),
    "cores",
    "Threads that serve clients. With `1`, one thread does everything. With more, each serves hits in memory by itself, and one further thread does the rest. `cores`: as many as the process may use, by its CPU affinity and its cgroup, up to 16.",
    "Set it to `1` where Orca shall use one core and little memory: each thread takes some 20 MiB at rest.",
  ),
  max_connections: setting(
    integer({ min: 1, max: 1_000_000 }),
    "10000",
    "Client connections open at once. Orca closes a further connection immediately.",
    "Raise it, and the limit of file descriptors, for more clients. Lower it to protect a small machine.",
  ),
  max_requests: setting(
    integer({ min: 1, max: 1_000_000 }),
    "4096",
    "Requests answered at once. A further request gets 503 SlowDown. As many again may wait for their turn on a connection.",
    "Keep it at or below `memory.max_bytes` / 256 KiB: then memory has room for all, however slow the clients are. `orca config check` warns otherwise.",
  ),
  client_stall_timeout: setting(
    deadline,
    "60s",
    "Orca disconnects a client that accepts no byte for this long.",
    "Lower it to free memory sooner. Raise it for clients that pause while they read.",
  ),
  client_min_rate: setting(
    bytes({ max: "1GiB" }),
    "16KiB",
    "Orca disconnects a client that takes fewer bytes a second than this over `client_stall_timeout`. Time while Orca waits for the origin does not count. `0` is no minimum.",
    "Raise it to free memory sooner. Lower it for clients on very slow links.",
  ),
  keep_alive_timeout: setting(
    deadline,
    "75s",
    "How long a connection may stay idle between two requests.",
    "Keep it above the idle timeout of a load balancer in front. Lower it to free file descriptors sooner.",
  ),
  header_timeout: setting(
    deadline,
    "20s",
    "How long a client may take to send a request, or to finish a TLS handshake. Orca checks once in this time, so a slow request ends after at most twice as long.",
    "Raise it for very slow links. Lower it against clients that hold connections open.",
  ),
  drain_delay: setting(
    duration({ max: "10m" }),
    "0s",
    "How long Orca goes on serving new requests after SIGTERM, while `/readyz` says 503 already. Answers then close their connection.",
    "Set it to the time that a load balancer takes to notice, such as `5s` in Kubernetes. Let the supervisor wait for as much longer.",
  ),
  drain_timeout: setting(
    wait,
    "30s",
    "How long running responses may continue after SIGTERM. Then they are cut.",
    "Raise it where downloads take longer. Let the supervisor wait for twice this and 10 s more, and for 70 s at least.",
  ),
});
