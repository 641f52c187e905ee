/**
 * An S3 server inside the test process: a stand-in for RGW where that is not installed (it passes the same contract
 * suite), an origin of any size for benchmarks, and the one origin that can be told to fail (s3-fault.ts). It counts
 * exactly what it was asked, because the promise of a cache is about how often its origin hears of it.
 *
 * Invariants: every request is in `requests` once, from its head on. `inFlight` counts those whose connection still
 * owes an answer. A body counts into `bytesSent` slice by slice as it is handed to the kernel.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Clock, SystemClock } from "../../src/base/clock.ts";
import { bytesOf } from "./http-get.ts";
import { end, pause, refuse, type S3Exchange, type S3Request, sendBody } from "./s3-exchange.ts";
import { FaultScript, type Gate, type S3Operation } from "./s3-fault.ts";
import { answerObject } from "./s3-get.ts";
import { compareKeys, listPage } from "./s3-listing.ts";
import { S3Object, type S3ObjectInput } from "./s3-object.ts";
import { type S3Credentials, type S3User, signatureFault, userFault } from "./s3-signature.ts";
import { type S3Version, S3Versions } from "./s3-versions.ts";
import { bucketsXml, listXml, versioningXml } from "./s3-xml.ts";

export interface S3ServerOptions {
  /** Buckets that exist from the start. */
  readonly buckets?: readonly string[];
  /** With these, a request that is not signed with them is answered 403; without them nothing is checked. */
  readonly credentials?: S3Credentials;
  /** With it, each request needs a signature of one of these, and the right to its key or prefix. */
  readonly users?: ReadonlyMap<string, S3User>;
  /** For paces, delays and Last-Modified. */
  readonly clock?: Clock;
  /** What a PUT with `If-None-Match: *` meets: 412 where there is an object (the default), no notice, or 501. */
  readonly conditionalPuts?: "honoured" | "ignored" | "refused";
  /** Whether `partNumber` is ignored, as Ceph RGW 16 does. */
  readonly ignoresParts?: boolean;
  /**
   * What GetBucketVersioning tells of every bucket; without it, none ever had versions. With `Enabled`, every PUT and
   * DELETE makes a version, and its id is in the object's headers.
   */
  readonly versioning?: "Enabled" | "Suspended";
}

export interface SubResourceScript {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

const storedHeaders = /^(content-(type|encoding|language|disposition)|cache-control|expires|x-amz-meta-.*)$/;

interface Bucket {
  readonly versions: S3Versions;
  readonly objects: Map<string, S3Object>;
  /** Keys in UTF-8 order, made when a LIST asks for them. */
  sortedKeys: readonly string[] | undefined;
}

export class S3Server {
  readonly faults = new FaultScript();
  /** What `?acl` and the like are answered, by `<bucket>/<key>?<name>`. Any other name is ignored, as RGW does. */
  readonly subResources = new Map<string, SubResourceScript>();
  readonly #server = createServer(
    { keepAliveTimeout: 0 },
    (request, response) => void this.#serve(request, response),
  );
  readonly #buckets = new Map<string, Bucket>();
  readonly #credentials: S3Credentials | undefined;
  readonly #users: ReadonlyMap<string, S3User> | undefined;
  readonly #clock: Clock;
  readonly #conditionalPuts: "honoured" | "ignored" | "refused";
  readonly #ignoresParts: boolean;
  readonly #versioning: "Enabled" | "Suspended" | undefined;
  #versionsMade = 0;
  #requests: S3Request[] = [];
  #inFlight = 0;
  #inFlightMax = 0;
  #connections = 0;
  #port = 0;

  constructor(options: S3ServerOptions = {}) {
    this.#credentials = options.credentials;
    this.#users = options.users;
    this.#clock = options.clock ?? new SystemClock();
    this.#conditionalPuts = options.conditionalPuts ?? "honoured";
    this.#ignoresParts = options.ignoresParts ?? false;
    this.#versioning = options.versioning;
    for (const name of options.buckets ?? []) this.#buckets.set(name, emptyBucket());
    this.#server.on("connection", () => {
      this.#connections += 1;
    });
  }

  static async start(options: S3ServerOptions = {}): Promise<S3Server> {
    const server = new S3Server(options);
    await server.listen();
    return server;
  }

  /** `http://127.0.0.1:<port>`, path style. */
  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get requests(): readonly S3Request[] {
    return this.#requests;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get inFlightMax(): number {
    return this.#inFlightMax;
  }

  /** TCP connections accepted so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Requests of one operation, for one key or for all. */
  count(operation: S3Operation, key?: string): number {
    return this.#requests.filter(
      (request) => request.operation === operation && (key ?? request.key) === request.key,
    ).length;
  }

  /** Object bytes sent by GETs, of one key or of all. */
  bytesSent(key?: string): number {
    let total = 0;
    for (const request of this.#requests) {
      if (request.operation === "GET" && (key ?? request.key) === request.key) total += request.bytesSent;
    }
    return total;
  }

  /** Starts all counts anew. */
  forgetRequests(): void {
    this.#requests = [];
    this.#inFlightMax = this.#inFlight;
    this.#connections = 0;
  }

  /** Stores or overwrites an object. Makes the bucket where it is missing. @returns the new object, with its ETag. */
  put(bucketName: string, key: string, input: S3ObjectInput): S3Object {
    const nowMs = this.#clock.now();
    const bucket = this.#buckets.get(bucketName) ?? emptyBucket();
    const id = this.#nextVersionId();
    const version = id !== undefined && { headers: { ...input.headers, "x-amz-version-id": id } };
    const object = new S3Object({ ...input, ...version }, nowMs);
    if (id !== undefined) bucket.versions.add(key, { id, object, lastModifiedMs: object.lastModifiedMs });
    if (!bucket.objects.has(key)) bucket.sortedKeys = undefined;
    bucket.objects.set(key, object);
    this.#buckets.set(bucketName, bucket);
    return object;
  }

  /** The object of a key, if there is one. */
  get(bucketName: string, key: string): S3Object | undefined {
    return this.#buckets.get(bucketName)?.objects.get(key);
  }

  makeBucket(name: string): void {
    this.#buckets.set(name, emptyBucket());
  }

  /** With all its objects. */
  deleteBucket(name: string): void {
    this.#buckets.delete(name);
  }

  delete(bucketName: string, key: string): void {
    const bucket = this.#buckets.get(bucketName);
    if (bucket?.objects.delete(key)) bucket.sortedKeys = undefined;
    const id = this.#nextVersionId();
    const marker = { object: undefined, lastModifiedMs: this.#clock.now() };
    if (id !== undefined) bucket?.versions.add(key, { id, ...marker });
  }

  /** Deletes one version for good. It must not be the current one. */
  deleteVersion(bucketName: string, key: string, id: string): void {
    this.#buckets.get(bucketName)?.versions.remove(key, id);
  }

  /** The newest first; none where there are no versions. */
  versionsOf(bucketName: string, key: string): readonly S3Version[] {
    return this.#buckets.get(bucketName)?.versions.of(key) ?? [];
  }

  #nextVersionId(): string | undefined {
    if (this.#versioning !== "Enabled") return undefined;
    this.#versionsMade += 1;
    return `version.${this.#versionsMade}`;
  }

  /** @see FaultScript.hold */
  hold(operation: S3Operation | "*", key: string, afterBytes?: number): Gate {
    return this.faults.hold(operation, key, afterBytes);
  }

  /** Listens, on the same port as before where there was one. */
  async listen(): Promise<void> {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Refuses new connections and cuts the open ones, until {@link listen} is called again. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  /** Closes every connection, so that a client finds its kept ones dead. */
  cutConnections(): void {
    this.#server.closeAllConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const record = this.#open(request, response);
    const fault = this.faults.take(record.operation, record.key);
    const closed = new Promise<void>((resolve) => {
      response.once("close", resolve);
    });
    // A write to a connection that the client has closed fails in its own callback; there is nobody to tell.
    response.on("error", () => {});
    const exchange: S3Exchange = { request, response, record, fault, closed, clock: this.#clock };
    if (fault.reset) {
      request.socket.resetAndDestroy();
      return;
    }
    if (fault.gate && fault.gate.afterBytes === undefined) await Promise.race([fault.gate.pass(), closed]);
    if (fault.delayHeadMs !== undefined) await pause(exchange, fault.delayHeadMs);
    if (response.destroyed) return;
    if (fault.garbageHead) {
      request.socket.end("\0\x01 this is no HTTP \xff\r\n\r\n", "latin1");
    } else if (fault.status !== undefined) {
      refuse(exchange, fault.status, fault.code);
    } else {
      await this.#answer(exchange);
    }
  }

  #open(request: IncomingMessage, response: ServerResponse): S3Request {
    const [path = "", search = ""] = (request.url ?? "").split("?", 2);
    const [, bucket = "", rawKey = ""] = /^\/([^/]*)\/?(.*)$/s.exec(path) ?? [];
    const query = new URLSearchParams(search);
    const operation = operationOf(request.method ?? "", bucket, rawKey, query);
    const record: S3Request = {
      operation,
      bucket,
      key: operation === "LIST" ? (query.get("prefix") ?? "") : decodeURIComponent(rawKey),
      range: request.headers.range,
      ifMatch: request.headers["if-match"],
      ifNoneMatch: request.headers["if-none-match"],
      userAgent: request.headers["user-agent"],
      query,
      headers: request.headers,
      status: 0,
      bytesSent: 0,
      closed: false,
    };
    this.#requests.push(record);
    this.#inFlight += 1;
    this.#inFlightMax = Math.max(this.#inFlightMax, this.#inFlight);
    response.once("close", () => {
      record.closed = true;
      this.#inFlight -= 1;
    });
    response.setHeader("x-amz-request-id", `request-${this.#requests.length}`);
    return record;
  }

  async #answer(exchange: S3Exchange): Promise<void> {
    const { record, request, fault } = exchange;
    const denied = this.#users
      ? userFault(request, record, this.#users)
      : this.#credentials && signatureFault(request, this.#credentials);
    if (denied) return refuse(exchange, 403, denied);
    if (record.operation === "LIST_BUCKETS") return this.#listBuckets(exchange);
    const bucket = this.#buckets.get(record.bucket);
    if (record.operation === "CREATE_BUCKET") {
      if (!bucket) this.#buckets.set(record.bucket, emptyBucket());
      return end(exchange, 200);
    }
    if (!bucket) return refuse(exchange, 404, "NoSuchBucket");
    const scripted = this.#scriptOf(exchange);
    if (scripted) {
      const { status = 200, headers = {}, body } = scripted;
      for (const [name, value] of Object.entries(headers)) exchange.response.setHeader(name, value);
      return end(exchange, status, body);
    }
    switch (record.operation) {
      case "HEAD_BUCKET":
        return end(exchange, 200);
      case "GET_VERSIONING":
        return end(exchange, 200, versioningXml(this.#versioning));
      case "LIST":
        return list(exchange, bucket);
      case "PUT":
        return this.#store(exchange);
      case "DELETE":
        this.delete(record.bucket, record.key);
        return end(exchange, 204);
    }
    const object = this.#objectOf(exchange, bucket);
    if (!object) return;
    const { status, headers, offset, lengthBytes } = answerObject(
      object,
      request.headers,
      fault,
      this.#partNumberOf(record),
    );
    for (const [name, value] of Object.entries(headers)) exchange.response.setHeader(name, value);
    if (status === 304) return end(exchange, 304);
    if (status >= 400) return refuse(exchange, status);
    return sendBody(exchange, status, object, offset, lengthBytes);
  }

  #listBuckets(exchange: S3Exchange): void {
    const { query } = exchange.record;
    const accessKey = /Credential=([^/]+)\//.exec(exchange.request.headers.authorization ?? "")?.[1] ?? "";
    const mine = this.#users?.get(accessKey)?.buckets;
    const after = query.get("continuation-token") ?? "";
    const names = [...this.#buckets.keys()]
      .filter((name) => name > after && (mine?.includes(name) ?? true))
      .sort();
    const page = names.slice(0, Number(query.get("max-buckets") ?? 10_000));
    end(
      exchange,
      200,
      bucketsXml(page, this.#clock.now(), page.length < names.length ? (page.at(-1) ?? "") : ""),
    );
  }

  #scriptOf({ record, request }: S3Exchange): SubResourceScript | undefined {
    if (request.method !== "GET" || this.subResources.size === 0) return undefined;
    const key = record.operation === "LIST" ? "" : record.key;
    for (const name of record.query.keys()) {
      const script = this.subResources.get(`${record.bucket}/${key}?${name}`);
      if (script) return script;
    }
    return undefined;
  }

  #partNumberOf({ query }: S3Request): number | undefined {
    const text = this.#ignoresParts ? null : query.get("partNumber");
    return text === null ? undefined : Number(text);
  }

  /** Undefined after an answer that there is none. */
  #objectOf(exchange: S3Exchange, bucket: Bucket): S3Object | undefined {
    const { record, response } = exchange;
    const asked = record.query.get("versionId");
    const object = bucket.objects.get(record.key);
    const versions = bucket.versions.of(record.key);
    if (object && (asked === null || (asked === "null" && versions.length === 0))) return object;
    const version = asked === null ? versions[0] : versions.find(({ id }) => id === asked);
    if (version?.object) return version.object;
    if (version) {
      response.setHeader("x-amz-delete-marker", "true");
      response.setHeader("x-amz-version-id", version.id);
      response.setHeader("last-modified", new Date(version.lastModifiedMs).toUTCString());
    }
    const [status, code] =
      asked === null
        ? ([404, "NoSuchKey"] as const)
        : version
          ? ([405, "MethodNotAllowed"] as const)
          : asked.startsWith("malformed")
            ? ([400, "InvalidArgument"] as const)
            : ([404, "NoSuchVersion"] as const);
    refuse(exchange, status, code);
    return undefined;
  }

  async #store(exchange: S3Exchange): Promise<void> {
    const { record, request, response } = exchange;
    // A client that leaves in the middle of its body has stored nothing.
    const body = await bytesOf(request).catch(() => undefined);
    if (body === undefined) return;
    const streamed = String(request.headers["x-amz-content-sha256"]).startsWith("STREAMING-");
    const subresource = [...record.query.keys()].some((name) => name !== "x-id");
    if (streamed || subresource) return refuse(exchange, 501, "NotImplemented");
    if (request.headers["content-length"] === undefined) return refuse(exchange, 411, "MissingContentLength");
    if (!matchesPayloadHash(request, body)) return refuse(exchange, 400, "XAmzContentSHA256Mismatch");
    if (record.ifNoneMatch !== undefined && this.#conditionalPuts !== "ignored") {
      if (this.#conditionalPuts === "refused") return refuse(exchange, 501, "NotImplemented");
      if (this.get(record.bucket, record.key)) return refuse(exchange, 412);
    }
    const kept = Object.entries(request.headers).filter(([name]) => storedHeaders.test(name));
    const headers = Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
    const object = this.put(record.bucket, record.key, { body, headers });
    response.setHeader("etag", `"${object.etag}"`);
    end(exchange, 200);
  }
}

/** The signed hash is that of the body, where it is a hash. */
function matchesPayloadHash(request: IncomingMessage, body: Buffer): boolean {
  const signed = String(request.headers["x-amz-content-sha256"]);
  return !/^[0-9a-f]{64}$/.test(signed) || createHash("sha256").update(body).digest("hex") === signed;
}

function emptyBucket(): Bucket {
  return { versions: new S3Versions(), objects: new Map(), sortedKeys: undefined };
}

function list(exchange: S3Exchange, bucket: Bucket): void {
  const { record } = exchange;
  const { query } = record;
  if (query.has("versions")) return end(exchange, 200, bucket.versions.page(record.bucket, query));
  if (query.get("list-type") !== "2") return refuse(exchange, 501, "NotImplemented");
  const maxKeys = Number(query.get("max-keys") ?? 1000);
  if (!Number.isInteger(maxKeys) || maxKeys < 0) return refuse(exchange, 400, "InvalidArgument");
  const asked = {
    prefix: record.key,
    delimiter: query.get("delimiter") ?? "",
    startAfter: query.get("start-after") ?? "",
    continuationToken: query.get("continuation-token") ?? "",
    maxKeys: Math.min(maxKeys, 1000),
  };
  bucket.sortedKeys ??= [...bucket.objects.keys()].sort(compareKeys);
  const page = listPage(bucket.sortedKeys, bucket.objects, asked);
  const urlEncoded = query.get("encoding-type") === "url";
  end(exchange, 200, listXml({ bucket: record.bucket, urlEncoded, ...asked, ...page }));
}

function operationOf(method: string, bucket: string, rawKey: string, query: URLSearchParams): S3Operation {
  if (bucket === "" && method === "GET") return "LIST_BUCKETS";
  if (method === "PUT") return rawKey === "" ? "CREATE_BUCKET" : "PUT";
  if (method === "HEAD") return rawKey === "" ? "HEAD_BUCKET" : "HEAD";
  if (method === "DELETE") return "DELETE";
  if (rawKey !== "") return "GET";
  return query.has("versioning") ? "GET_VERSIONING" : "LIST";
}
