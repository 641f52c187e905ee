/**
 * A bucket for the S3 cachestores of several replicas. The fixture puts, reads and deletes objects through the SDK, so
 * that the store under test never checks its own work.
 */
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { type Clock, SystemClock } from "../../../../src/base/clock.ts";
import { MemoryBudget } from "../../../../src/base/memory-budget.ts";
import { MiB } from "../../../../src/base/units.ts";
import type { GuardedCachestore } from "../../../../src/store/cachestore/guarded-cachestore.ts";
import { S3Cachestore, type S3CachestoreOptions } from "../../../../src/store/cachestore/s3/s3-cachestore.ts";
import type { ChunkKey } from "../../../../src/store/chunk-store.ts";
import { RecordedLogger } from "../../../support/recorded-logger.ts";
import type { S3Endpoint } from "../../../support/s3-fixture.ts";
import { putChunk } from "../../disk/disk-fixture.ts";
import { guarded } from "../guarded.ts";

export interface StoredObject {
  readonly body: Buffer;
  readonly metadata: Readonly<Record<string, string>>;
}

export class S3CachestoreFixture {
  readonly bucket: string;
  readonly clock: Clock;
  readonly logger = new RecordedLogger();
  readonly budget: MemoryBudget;
  readonly #server: Omit<S3Endpoint, "stop">;
  readonly #client: S3Client;
  readonly #stores: S3Cachestore[] = [];

  private constructor(server: Omit<S3Endpoint, "stop">, bucket: string, clock: Clock) {
    this.bucket = bucket;
    this.clock = clock;
    this.budget = new MemoryBudget({ maxBytes: 256 * MiB, clock, poison: true });
    this.#server = server;
    this.#client = new S3Client({
      endpoint: server.endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
  }

  /** Creates the bucket. The caller still owns the server. */
  static async open(
    server: Omit<S3Endpoint, "stop">,
    bucket = "chunks",
    clock: Clock = new SystemClock(),
  ): Promise<S3CachestoreFixture> {
    const fixture = new S3CachestoreFixture(server, bucket, clock);
    await fixture.#client.send(new CreateBucketCommand({ Bucket: bucket }));
    return fixture;
  }

  /** A store whose check has not run. */
  unchecked(overrides: Partial<S3CachestoreOptions> = {}): S3Cachestore {
    const { endpoint, accessKey, secretKey } = this.#server;
    const store = new S3Cachestore({
      endpoint,
      region: "us-east-1",
      usePathStyle: true,
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
      bucket: this.bucket,
      commit: "auto",
      connectTimeoutMs: 10_000,
      attemptTimeoutMs: 10_000,
      stallTimeoutMs: 10_000,
      queueTimeoutMs: 10_000,
      connectionsIdleMax: 4,
      readsInFlightMax: 4,
      putsInFlightMax: 2,
      clock: this.clock,
      logger: this.logger,
      ...overrides,
    });
    this.#stores.push(store);
    return store;
  }

  async store(overrides: Partial<S3CachestoreOptions> = {}): Promise<S3Cachestore> {
    const store = this.unchecked(overrides);
    await store.check();
    return store;
  }

  async guarded(): Promise<GuardedCachestore> {
    return guarded(await this.store(), this.clock, this.logger);
  }

  put(store: S3Cachestore, key: ChunkKey): Promise<"stored" | "present"> {
    return putChunk(store, this.budget, key);
  }

  /** The object of a chunk; undefined if there is none. */
  async look(key: ChunkKey): Promise<StoredObject | undefined> {
    try {
      const Key = key.version.chunkPath(key.index);
      const answer = await this.#client.send(new GetObjectCommand({ Bucket: this.bucket, Key }));
      const body = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
      return { body, metadata: answer.Metadata ?? {} };
    } catch (thrown) {
      if (thrown instanceof Error && thrown.name === "NoSuchKey") return undefined;
      throw thrown;
    }
  }

  /** Writes the object of a chunk, and replaces an existing one. */
  async lay(key: ChunkKey, body: Uint8Array, metadata: Readonly<Record<string, string>> = {}): Promise<void> {
    const Key = key.version.chunkPath(key.index);
    await this.#client.send(
      new PutObjectCommand({ Bucket: this.bucket, Key, Body: body, Metadata: metadata }),
    );
  }

  async remove(key: ChunkKey): Promise<void> {
    const Key = key.version.chunkPath(key.index);
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key }));
  }

  async setVersioning(status: "Enabled" | "Suspended"): Promise<void> {
    const VersioningConfiguration = { Status: status };
    await this.#client.send(new PutBucketVersioningCommand({ Bucket: this.bucket, VersioningConfiguration }));
  }

  async close(): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.close(60_000)));
    this.#client.destroy();
  }
}
